// Inside matmul: one product with packed weights, cut into blocks, and how each kind of weight multiplies a block.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/matmul.hpp"
#include "kernels/rows.hpp"

namespace florence2 {

// A [kBlockK][nr] piece of a panel (16 to 32 KiB) stays near while a block of rows of A passes over it. The block lies
// in L2 as a whole or nearly so (kBlockBytes); the more rows it has the less often the weights are read.
inline constexpr std::int64_t kBlockK = 256;
inline constexpr std::int64_t kBlockRows = 336;  // whole tiles of every table
inline constexpr std::int64_t kBlockBytes = std::int64_t{1} << 20;

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// [0, total) cut into `parts` pieces that begin at multiples of `unit` and differ by one unit at most. A piece may be
/// empty.
struct Cut {
  std::int64_t total, parts, unit;
  std::int64_t begin(std::int64_t index) const { return std::min(ceil_div(total, unit) * index / parts * unit, total); }
  std::int64_t size(std::int64_t index) const { return begin(index + 1) - begin(index); }
  std::int64_t largest() const { return std::min(ceil_div(ceil_div(total, unit), parts) * unit, total); }
};

/// Rows of A that are multiplied together, by the size of a row as the kernels read it; rounded up to whole tiles.
inline std::int64_t block_rows(std::int64_t row_bytes) {
  return std::clamp(kBlockBytes / row_bytes, std::int64_t{48}, kBlockRows);
}
inline std::int64_t block_rows(const PackedMatrix& weight, const MatmulOptions& options) {
  const bool bytes = weight.dtype() == DType::s8;
  return block_rows(weight.k() * (bytes ? 1 : weight.paired() ? 2 : 4)) / (bytes && options.two_terms ? 2 : 1);
}

/// Rows of the tile that multiplies with `weight`.
inline int tile_rows(const KernelTable& table, const PackedMatrix& weight) {
  return converts_rows(weight) ? table.tile_rows : table.mr;
}

/// Bytes between converted rows of A: whole cache lines and tiles, and not a multiple of a page, as in padded_stride.
inline std::int64_t converted_stride(std::int64_t row_bytes) {
  return (ceil_div(row_bytes, std::int64_t{64}) + 1) * 64;
}

/// What one panel's products need besides the position of the block.
struct Product {
  const KernelTable& table;
  float* scratch;  // multiply_rows_scratch floats
  const Results& dst;
  const Rows& a;
  const Linear& linear;
  const MatmulOptions& options;
};

inline GemmEpilogue epilogue_at(const Product& p, std::int64_t row, std::int64_t n) {
  GemmEpilogue e = {};
  e.bias = p.linear.bias.empty() ? nullptr : p.linear.bias.data() + n;
  e.gelu = p.options.gelu;
  if (p.options.residual.data != nullptr) {
    e.residual = p.options.residual.row(row) + n;
    e.residual_stride = p.options.residual.stride;
  }
  return e;
}

/// Where the results of rows from `row` on and columns from `n` on go. Block: GemmBlock8 or GemmBlockBf16.
template <typename Block>
inline void set_results(Block& block, const Results& dst, std::int64_t row, std::int64_t n) {
  if (dst.floats.data != nullptr) {
    block.c = dst.floats.row(row) + n;
    block.c_stride = dst.floats.stride;
  } else {
    block.c_bf16 = dst.bf16.row(row) + n;
    block.c_stride = dst.bf16.stride;
  }
}

/// A share of a product: rows [row, row + rows) of A times panels [panel_begin, panel_end). Panels of the three kinds:
/// floating-point weights, paired bf16, 8 bits.
struct Share {
  std::int64_t row, rows, panel_begin, panel_end;
};
void multiply_floats(const Product& p, const Share& share);
void multiply_bf16(const Product& p, const Share& share);
void multiply_8bit(const Product& p, const Share& share);

}  // namespace florence2
