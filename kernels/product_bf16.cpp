// Products with paired bf16 weights. A block of rows is rounded to bf16 once and then multiplied with one panel after
// the other; the kernel cuts k itself.
#include "kernels/product.hpp"

namespace florence2 {

std::int64_t multiply_bf16_scratch(const KernelTable& table, std::int64_t depth) {
  if (table.gemm_f32_bf16_bf16p == nullptr) return 0;
  const std::int64_t rows = block_rows(2 * depth) + table.tile_rows;
  return rows * converted_stride(2 * depth) / std::int64_t{sizeof(float)};
}

void multiply_bf16(const Product& p, std::int64_t row, std::int64_t rows, std::int64_t panel_begin,
                   std::int64_t panel_end) {
  const PackedMatrix& weight = p.linear.weight;
  const std::int64_t stride = converted_stride(2 * weight.depth()) / 2;
  auto* const rounded = reinterpret_cast<std::uint16_t*>(p.scratch);
  for (std::int64_t r = 0; r < rows; ++r) p.table.round_row(rounded + r * stride, p.a.row(row + r), weight.k());
  const std::int64_t n = panel_begin * p.table.nr;
  GemmBlockBf16 block = {};
  block.c = p.dst.row(row) + n;
  block.c_stride = p.dst.stride;
  block.a = rounded;
  block.a_stride = stride;
  block.panels = reinterpret_cast<const std::uint16_t*>(weight.panel(panel_begin));
  block.panel_bytes = p.table.nr / kStripColumns * weight.strip_bytes();
  block.group_bytes = kStripGroupBytes;
  block.strip_bytes = weight.strip_bytes();
  block.m = rows;
  block.n = std::min(panel_end * p.table.nr, p.linear.out()) - n;
  block.k = weight.depth();
  block.epilogue = epilogue_at(p, row, n);
  p.table.gemm_f32_bf16_bf16p(block);
}

}  // namespace florence2
