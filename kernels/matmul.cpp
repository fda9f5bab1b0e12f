#include "kernels/matmul.hpp"

#include <algorithm>

#include "core/check.hpp"
#include "kernels/parallel.hpp"
#include "kernels/rowwise.hpp"

namespace florence2 {
namespace {

// A [kBlockK][nr] piece of a panel (16 to 32 KiB) and the sums it adds to stay in L1 while a block of rows of A, which
// lies in L2 as a whole (kBlockFloats), passes over it.
constexpr std::int64_t kBlockK = 256;
constexpr std::int64_t kBlockRows = 144;
constexpr std::int64_t kBlockFloats = std::int64_t{1} << 17;
// Scratch that a row panel of a fused block may fill: most of the smallest L2 we meet (1 MiB).
constexpr std::int64_t kPanelFloats = std::int64_t{3} << 16;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Cuts `total` into `parts` (or fewer) equal pieces of a multiple of `unit`.
std::int64_t piece(std::int64_t total, std::int64_t parts, std::int64_t unit) {
  return std::max(unit, ceil_div(ceil_div(total, std::max<std::int64_t>(parts, 1)), unit) * unit);
}

/// Rows of A that are multiplied together.
std::int64_t block_rows(std::int64_t depth) { return std::clamp(kBlockFloats / depth, std::int64_t{48}, kBlockRows); }

/// What one panel's products need besides the position of the block.
struct Product {
  const KernelTable& table;
  float* scratch;  // matmul_scratch: a widened piece of a panel, [kBlockK][nr], and sums, [kBlockRows][nr]
  View<float> dst;
  View<const float> a;
  const Linear& linear;
  const MatmulOptions& options;
};

GemmEpilogue epilogue_at(const Product& p, std::int64_t row, std::int64_t n) {
  GemmEpilogue e = {};
  e.bias = p.linear.bias.empty() ? nullptr : p.linear.bias.data() + n;
  e.gelu = p.options.gelu;
  if (p.options.residual.data != nullptr) {
    e.residual = p.options.residual.row(row) + n;
    e.residual_stride = p.options.residual.stride;
  }
  return e;
}

/// Rows [row, row + rows) times rows [k0, k0 + k) of panel `panel`.
GemmBlock block_at(const Product& p, std::int64_t row, std::int64_t rows, std::int64_t panel, std::int64_t k0,
                   std::int64_t k) {
  const std::int64_t n = panel * p.table.nr;
  GemmBlock block = {};
  block.c = p.dst.row(row) + n;
  block.c_stride = p.dst.stride;
  block.a = p.a.row(row) + k0;
  block.a_stride = p.a.stride;
  block.panel = p.linear.weight.panel(panel, k0);
  block.m = rows;
  block.n = std::min<std::int64_t>(p.table.nr, p.linear.out() - n);
  block.k = k;
  return block;
}

/// Few rows: every panel is streamed once, half-precision elements are widened in registers.
void multiply_few_rows(const Product& p, std::int64_t panel_begin, std::int64_t panel_end) {
  for (std::int64_t panel = panel_begin; panel < panel_end; ++panel) {
    GemmBlock block = block_at(p, 0, p.a.rows, panel, 0, p.linear.in());
    const GemmEpilogue epilogue = epilogue_at(p, 0, panel * p.table.nr);
    block.epilogue = &epilogue;
    switch (p.linear.weight.dtype()) {
      case DType::f32:
        p.table.gemm_f32_f32_f32p(block);
        break;
      case DType::f16:
        p.table.gemm_f32_f32_f16p(block);
        break;
      case DType::bf16:
        p.table.gemm_f32_f32_bf16p(block);
        break;
    }
  }
}

/// Many rows: a piece of a panel is widened once, into L1, for a whole block of rows. Unfinished sums stay in scratch,
/// so that dst may be the residual.
void multiply_block(const Product& p, std::int64_t row, std::int64_t rows, std::int64_t panel_begin,
                    std::int64_t panel_end) {
  const std::int64_t depth = p.linear.in();
  const std::int64_t step = piece(depth, ceil_div(depth, kBlockK), 1);
  const DType dtype = p.linear.weight.dtype();
  float* const widened = p.scratch;
  float* const sums = p.scratch + kBlockK * p.table.nr;
  for (std::int64_t panel = panel_begin; panel < panel_end; ++panel) {
    const GemmEpilogue epilogue = epilogue_at(p, row, panel * p.table.nr);
    for (std::int64_t k0 = 0; k0 < depth; k0 += step) {
      GemmBlock block = block_at(p, row, rows, panel, k0, std::min(step, depth - k0));
      const std::int64_t bytes = block.k * p.table.nr * static_cast<std::int64_t>(size_of(dtype));
      block.next = static_cast<const std::byte*>(block.panel) + bytes;  // pieces follow each other in memory
      block.next_bytes = std::min(bytes, p.linear.weight.bytes_after(block.next));
      if (dtype != DType::f32) {
        const auto widen = dtype == DType::f16 ? p.table.widen_f16 : p.table.widen_bf16;
        widen(widened, static_cast<const std::uint16_t*>(block.panel), block.k * p.table.nr);
        block.panel = widened;
      }
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
      p.table.gemm_f32_f32_f32p(block);
    }
  }
}

void multiply(const Product& p, std::int64_t row, std::int64_t rows, std::int64_t panel_begin, std::int64_t panel_end) {
  if (p.a.rows <= p.table.mr) {
    multiply_few_rows(p, panel_begin, panel_end);
  } else {
    multiply_block(p, row, rows, panel_begin, panel_end);
  }
}

/// Rows of a fused block's panel: as many as `floats_per_row` lets fit in L2, in equal shares for the threads.
std::int64_t panel_rows(const Context& context, std::int64_t rows, std::int64_t floats_per_row) {
  const std::int64_t fitting = std::clamp<std::int64_t>(kPanelFloats / floats_per_row, 48, 192);
  const std::int64_t parts = ceil_div(ceil_div(rows, fitting), context.threads()) * context.threads();
  return piece(rows, parts, context.table().mr);
}

}  // namespace

std::int64_t matmul_scratch(const KernelTable& table) { return (kBlockK + kBlockRows) * table.nr; }

void matmul_serial(const KernelTable& table, float* scratch, View<float> dst, View<const float> a, const Linear& linear,
                   const MatmulOptions& options) {
  FL_DCHECK(a.cols == linear.in() && dst.cols == linear.out() && a.rows == dst.rows);
  FL_DCHECK(linear.weight.nr() == table.nr);
  const Product product = {table, scratch, dst, a, linear, options};
  const std::int64_t rows = piece(a.rows, ceil_div(a.rows, block_rows(linear.in())), table.mr);
  for (std::int64_t row = 0; row < a.rows; row += rows) {
    multiply(product, row, std::min(rows, a.rows - row), 0, linear.weight.panels());
  }
}

void matmul(Context& context, View<float> dst, View<const float> a, const Linear& linear,
            const MatmulOptions& options) {
  FL_DCHECK(a.cols == linear.in() && dst.cols == linear.out() && a.rows == dst.rows);
  FL_DCHECK(linear.weight.nr() == context.table().nr);
  context.reserve(matmul_scratch(context.table()));
  const std::int64_t panels = linear.weight.panels();
  const int threads = context.threads();
  // Enough rows are shared out by rows, fewer by panels.
  const std::int64_t fitting = block_rows(linear.in());
  const bool by_rows = a.rows >= threads * fitting / 2;
  const std::int64_t row_parts = ceil_div(ceil_div(a.rows, fitting), by_rows ? threads : 1) * (by_rows ? threads : 1);
  const std::int64_t rows = piece(a.rows, row_parts, context.table().mr);
  const std::int64_t row_blocks = ceil_div(a.rows, rows);
  const std::int64_t columns = by_rows ? panels : piece(panels, threads, 1);
  const std::int64_t column_blocks = ceil_div(panels, columns);
  parallel_for(threads, row_blocks * column_blocks, [&](std::int64_t index, int thread) {
    const Product product = {context.table(), context.scratch(thread), dst, a, linear, options};
    const std::int64_t row = index / column_blocks * rows;
    const std::int64_t panel = index % column_blocks * columns;
    multiply(product, row, std::min(rows, a.rows - row), panel, std::min(panel + columns, panels));
  });
}

void mlp_block(Context& context, View<float> x, const Norm& norm, const Linear& fc1, const Linear& fc2) {
  const KernelTable& table = context.table();
  const std::int64_t dim = x.cols, hidden_dim = fc1.out();
  const std::int64_t rows = panel_rows(context, x.rows, dim + hidden_dim);
  const std::int64_t normed_stride = padded_stride(dim), hidden_stride = padded_stride(hidden_dim);
  context.reserve(matmul_scratch(table) + rows * (normed_stride + hidden_stride));
  parallel_for(context.threads(), ceil_div(x.rows, rows), [&](std::int64_t index, int thread) {
    float* widened = context.scratch(thread);
    const View<float> panel = x.row_range(index * rows, std::min(rows, x.rows - index * rows));
    const View<float> normed(widened + matmul_scratch(table), panel.rows, dim, normed_stride);
    const View<float> hidden(normed.data + rows * normed_stride, panel.rows, hidden_dim, hidden_stride);
    for (std::int64_t r = 0; r < panel.rows; ++r) {
      table.layer_norm(normed.row(r), panel.row(r), norm.gamma.data(), norm.beta.data(), dim, norm.eps);
    }
    matmul_serial(table, widened, hidden, normed, fc1, {.gelu = true, .residual = {}});
    matmul_serial(table, widened, panel, hidden, fc2, {.gelu = false, .residual = panel});
  });
}

void feed_forward_block(Context& context, View<float> x, const Linear& fc1, const Linear& fc2, const Norm& norm) {
  const std::int64_t stride = padded_stride(fc1.out());
  const View<float> hidden(context.shared(x.rows * stride), x.rows, fc1.out(), stride);
  matmul(context, hidden, x, fc1, {.gelu = true, .residual = {}});
  matmul(context, x, hidden, fc2, {.gelu = false, .residual = x});
  layer_norm(context, x, x, norm);
}

}  // namespace florence2
