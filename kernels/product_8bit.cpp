// Products with 8-bit weights and quantised rows: a panel's [depth][nr] bytes fit L1 or nearly, so k is not cut. Where
// a row has two terms, the second, the row after the first, is what quantising the first has left.
#include "kernels/product.hpp"

namespace florence2 {

void multiply_8bit(const Product& p, const Share& share) {
  const PackedMatrix& weight = p.linear.weight;
  const std::int64_t n = share.panel_begin * p.table.nr, first = p.a.terms * share.row;
  GemmBlock8 block = {};
  set_results(block, p.dst, share.row, n);
  block.a = p.a.quantized.row(first);
  block.a_stride = p.a.quantized.stride;
  block.terms = p.a.terms;
  block.row_scale = p.a.scales + first;
  block.row_zero = p.a.zeros + first;
  block.strips = reinterpret_cast<const std::int8_t*>(weight.panel(0));
  block.strip_bytes = weight.strip_bytes();
  block.first = n;
  block.column_scale = weight.scales(n);
  block.column_sum = weight.sums(n);
  block.m = p.a.terms * share.rows;
  block.n = std::min(share.panel_end * p.table.nr, p.linear.out()) - n;
  block.k = weight.depth();
  block.epilogue = epilogue_at(p, share.row, n);
  p.table.gemm_f32_u8_s8p(block);
}

}  // namespace florence2
