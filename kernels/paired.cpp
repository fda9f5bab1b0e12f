#include "kernels/paired.hpp"

#include <algorithm>

#include "kernels/panels.hpp"
#include "kernels/product.hpp"

namespace florence2 {
namespace {

/// dst[2 j] = low[j], dst[2 j + 1] = high[j] for j < count; zeros up to j = nr.
void interleave(std::uint16_t* dst, const std::uint16_t* low, const std::uint16_t* high, std::int64_t count, int nr) {
  for (std::int64_t j = 0; j < count; ++j) {
    dst[2 * j] = low[j];
    dst[2 * j + 1] = high[j];
  }
  std::fill(dst + 2 * count, dst + 2 * std::int64_t{nr}, std::uint16_t{0});
}

}  // namespace

std::int64_t paired_depth(const KernelTable& table, std::int64_t k) {
  const std::int64_t unit = table.depth_unit / 2;
  return ceil_div(k, unit) * unit;
}

std::int64_t paired_stride(const KernelTable& table, std::int64_t k) {
  return converted_stride(2 * paired_depth(table, k)) / 2;
}

std::int64_t paired_elements(const KernelTable& table, std::int64_t n, std::int64_t k) {
  return ceil_div(n, table.nr) * table.nr * paired_depth(table, k);
}

void round_rows(const KernelTable& table, std::uint16_t* dst, View<const float> src) {
  const std::int64_t stride = paired_stride(table, src.cols);
  for (std::int64_t r = 0; r < src.rows; ++r) table.round_row(dst + r * stride, src.row(r), src.cols);
}

/// Pairs of k lie together, so a paired panel is an ordinary panel of 32-bit elements.
void pack_paired(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows) {
  const std::int64_t depth = paired_depth(table, src.cols);
  for (std::int64_t first = 0; first < src.rows; first += table.nr, dst += table.nr * depth) {
    const std::int64_t count = std::min<std::int64_t>(table.nr, src.rows - first);
    for (std::int64_t r = 0; r < count; ++r) table.round_row(rows + r * depth, src.row(first + r), src.cols);
    pack_panels(reinterpret_cast<float*>(dst), {reinterpret_cast<const float*>(rows), count, depth / 2}, table.nr);
  }
}

void pack_paired_transposed(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows) {
  const std::int64_t depth = paired_depth(table, src.rows), panel = table.nr * depth;
  std::uint16_t* const low = rows;
  std::uint16_t* const high = rows + paired_depth(table, src.cols);
  for (std::int64_t k = 0; k < depth; k += 2) {
    for (const std::int64_t i : {0, 1}) {
      std::uint16_t* const row = i == 0 ? low : high;
      if (k + i < src.rows) {
        table.round_row(row, src.row(k + i), src.cols);
      } else {
        std::fill_n(row, src.cols, std::uint16_t{0});
      }
    }
    for (std::int64_t n = 0; n < src.cols; n += table.nr) {
      const std::int64_t count = std::min<std::int64_t>(table.nr, src.cols - n);
      interleave(dst + n / table.nr * panel + k * table.nr, low + n, high + n, count, table.nr);
    }
  }
}

void multiply_paired(const KernelTable& table, View<float> dst, const std::uint16_t* a, std::int64_t k,
                     const std::uint16_t* panels) {
  const GemmEpilogue nothing = {};
  for (std::int64_t n = 0; n < dst.cols; n += table.nr, panels += table.nr * paired_depth(table, k)) {
    GemmBlockBf16 block = {};
    block.c = dst.data + n;
    block.c_stride = dst.stride;
    block.a = a;
    block.a_stride = paired_stride(table, k);
    block.panel = panels;
    block.m = dst.rows;
    block.n = std::min<std::int64_t>(table.nr, dst.cols - n);
    block.k = paired_depth(table, k);
    block.epilogue = &nothing;
    table.gemm_f32_bf16_bf16p(block);
  }
}

}  // namespace florence2
