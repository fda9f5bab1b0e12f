// Products with 8-bit weights. A block of rows is quantised once, each row with a scale and a zero point of its own,
// and then multiplied with one panel after the other: a panel's [depth][nr] bytes fit L1 or nearly, so k is not cut.
// Where two terms are asked for, what quantising a row has left is quantised once more, with a scale of its own, and is
// the row after it.
#include "kernels/product.hpp"

namespace florence2 {
namespace {

/// The quantised rows of a block, in scratch: [rows][stride] bytes, then their scales and zero points.
struct QuantizedRows {
  std::uint8_t* rows;
  float* scale;
  float* zero;

  QuantizedRows(float* scratch, std::int64_t count, std::int64_t stride)
      : rows(reinterpret_cast<std::uint8_t*>(scratch)),
        scale(scratch + count * stride / std::int64_t{sizeof(float)}),
        zero(scale + count) {}

  static std::int64_t floats(std::int64_t count, std::int64_t stride) {
    return count * stride / std::int64_t{sizeof(float)} + 2 * count;
  }
};

}  // namespace

std::int64_t multiply_8bit_scratch(const KernelTable& table, std::int64_t depth) {
  return QuantizedRows::floats(block_rows(depth) + 2 * table.tile_rows, converted_stride(depth)) + depth;
}

void multiply_8bit(const Product& p, std::int64_t row, std::int64_t rows, std::int64_t panel_begin,
                   std::int64_t panel_end) {
  const PackedMatrix& weight = p.linear.weight;
  const std::int64_t stride = converted_stride(weight.depth());
  const int terms = p.options.two_terms ? 2 : 1;
  const QuantizedRows q(p.scratch, terms * rows, stride);
  float* const rest = p.scratch + QuantizedRows::floats(terms * rows, stride);
  const auto quantize = [&](std::int64_t r, float* left, const float* src) {
    p.table.quantize_row(q.rows + r * stride, q.scale + r, q.zero + r, left, src, weight.k());
  };
  for (std::int64_t r = 0; r < rows; ++r) {
    quantize(terms * r, terms == 2 ? rest : nullptr, p.a.row(row + r));
    if (terms == 2) quantize(2 * r + 1, nullptr, rest);
  }
  const std::int64_t n = panel_begin * p.table.nr;
  GemmBlock8 block = {};
  block.c = p.dst.row(row) + n;
  block.c_stride = p.dst.stride;
  block.a = q.rows;
  block.a_stride = stride;
  block.terms = terms;
  block.row_scale = q.scale;
  block.row_zero = q.zero;
  block.strips = reinterpret_cast<const std::int8_t*>(weight.panel(0));
  block.strip_bytes = weight.strip_bytes();
  block.first = n;
  block.column_scale = weight.scales(n);
  block.column_sum = weight.sums(n);
  block.m = terms * rows;
  block.n = std::min(panel_end * p.table.nr, p.linear.out()) - n;
  block.k = weight.depth();
  block.epilogue = epilogue_at(p, row, n);
  p.table.gemm_f32_u8_s8p(block);
}

}  // namespace florence2
