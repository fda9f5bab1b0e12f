// Products with f32, f16 and bf16 weights in f32 arithmetic.
#include "kernels/product.hpp"

namespace florence2 {
namespace {

/// Rows [row, row + rows) times rows [k0, k0 + k) of panel `panel`.
GemmBlock block_at(const Product& p, std::int64_t row, std::int64_t rows, std::int64_t panel, std::int64_t k0,
                   std::int64_t k) {
  const std::int64_t n = panel * p.table.nr;
  GemmBlock block = {};
  block.c = p.dst.floats.row(row) + n;
  block.c_stride = p.dst.floats.stride;
  block.a = p.a.floats.row(row) + k0;
  block.a_stride = p.a.floats.stride;
  block.panel = p.linear.weight.panel(panel, k0);
  block.m = rows;
  block.n = std::min<std::int64_t>(p.table.nr, p.linear.out() - n);
  block.k = k;
  return block;
}

/// The kernel for panels of this type. 8-bit ones are multiply_8bit's.
auto kernel_of(const KernelTable& table, DType dtype) {
  if (dtype == DType::f16) return table.gemm_f32_f32_f16p;
  return dtype == DType::bf16 ? table.gemm_f32_f32_bf16p : table.gemm_f32_f32_f32p;
}

/// Few rows: every panel is streamed once.
void multiply_few_rows(const Product& p, const Share& share) {
  const auto multiply = kernel_of(p.table, p.linear.weight.dtype());
  for (std::int64_t panel = share.panel_begin; panel < share.panel_end; ++panel) {
    GemmBlock block = block_at(p, 0, p.a.count, panel, 0, p.linear.in());
    const GemmEpilogue epilogue = epilogue_at(p, 0, panel * p.table.nr);
    block.epilogue = &epilogue;
    multiply(block);
  }
}

/// Many rows: a piece of a panel stays in L1, widened once, for a whole block of rows. Unfinished sums stay in scratch,
/// so that dst may be the residual.
void multiply_block(const Product& p, const Share& share) {
  const std::int64_t depth = p.linear.in();
  const std::int64_t step = ceil_div(depth, ceil_div(depth, kBlockK));
  const DType dtype = p.linear.weight.dtype();
  const auto multiply = kernel_of(p.table, dtype);
  float* const sums = p.scratch + kBlockK * p.table.nr;
  for (std::int64_t panel = share.panel_begin; panel < share.panel_end; ++panel) {
    const GemmEpilogue epilogue = epilogue_at(p, share.row, panel * p.table.nr);
    for (std::int64_t k0 = 0; k0 < depth; k0 += step) {
      GemmBlock block = block_at(p, share.row, share.rows, panel, k0, std::min(step, depth - k0));
      const std::int64_t bytes = block.k * p.table.nr * static_cast<std::int64_t>(size_of(dtype));
      block.next = static_cast<const std::byte*>(block.panel) + bytes;  // pieces follow each other in memory
      block.next_bytes = std::min(bytes, p.linear.weight.bytes_after(block.next));
      block.widened = p.scratch;
      if (k0 > 0) {
        block.start = sums;
        block.start_stride = p.table.nr;
      }
      if (k0 + block.k == depth) {
        block.epilogue = &epilogue;
      } else {
        block.c = sums;
        block.c_stride = p.table.nr;
      }
      multiply(block);
    }
  }
}

}  // namespace

std::int64_t multiply_rows_scratch(const KernelTable& table) { return (kBlockK + kBlockRows) * table.nr; }

void multiply_floats(const Product& p, const Share& share) {
  if (p.a.count <= p.table.mr) {
    multiply_few_rows(p, share);
  } else {
    multiply_block(p, share);
  }
}

}  // namespace florence2
