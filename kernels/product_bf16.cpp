// Products with paired bf16 weights and rows of bf16; the kernel cuts k itself.
#include "kernels/product.hpp"

namespace florence2 {

void multiply_bf16(const Product& p, const Share& share) {
  const PackedMatrix& weight = p.linear.weight;
  const std::int64_t n = share.panel_begin * p.table.nr;
  GemmBlockBf16 block = {};
  set_results(block, p.dst, share.row, n);
  block.a = p.a.bf16.row(share.row);
  block.a_stride = p.a.bf16.stride;
  block.panels = reinterpret_cast<const std::uint16_t*>(weight.panel(share.panel_begin));
  block.panel_bytes = p.table.nr / kStripColumns * weight.strip_bytes();
  block.group_bytes = kStripGroupBytes;
  block.strip_bytes = weight.strip_bytes();
  block.m = share.rows;
  block.n = std::min(share.panel_end * p.table.nr, p.linear.out()) - n;
  block.k = weight.depth();
  block.epilogue = epilogue_at(p, share.row, n);
  p.table.gemm_f32_bf16_bf16p(block);
}

}  // namespace florence2
