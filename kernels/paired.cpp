#include "kernels/paired.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/panels.hpp"
#include "kernels/product.hpp"

namespace florence2 {
namespace {

/// Pairs of k lie together, so a paired panel is an ordinary panel of 32-bit elements. convert(row of `rows`, r) makes
/// row r of src.
template <typename Element, typename Convert>
void pack(const KernelTable& table, Element* dst, View<const float> src, Element* rows, const Convert& convert) {
  const std::int64_t depth = paired_depth(table, src.cols);
  for (std::int64_t first = 0; first < src.rows; first += table.nr, dst += table.nr * depth) {
    const std::int64_t count = std::min<std::int64_t>(table.nr, src.rows - first);
    for (std::int64_t r = 0; r < count; ++r) convert(rows + r * depth, first + r);
    pack_panels(reinterpret_cast<std::uint32_t*>(dst), {reinterpret_cast<const std::uint32_t*>(rows), count, depth / 2},
                table.nr);
  }
}

template <typename Element, typename Convert>
void pack_transposed(const KernelTable& table, Element* dst, View<const float> src, Element* rows,
                     const Convert& convert) {
  const std::int64_t depth = paired_depth(table, src.rows), panel = table.nr * depth;
  Element* const pair[] = {rows, rows + paired_depth(table, src.cols)};
  for (std::int64_t k = 0; k < depth; k += 2) {
    for (const std::int64_t i : {0, 1}) {
      if (k + i < src.rows) {
        convert(pair[i], k + i);
      } else {
        std::fill_n(pair[i], src.cols, Element{0});
      }
    }
    for (std::int64_t n = 0; n < src.cols; n += table.nr) {
      const std::int64_t count = std::min<std::int64_t>(table.nr, src.cols - n);
      interleave_rows(reinterpret_cast<std::uint16_t*>(dst + n / table.nr * panel + k * table.nr),
                      reinterpret_cast<const std::uint16_t*>(pair[0] + n),
                      reinterpret_cast<const std::uint16_t*>(pair[1] + n), count, table.nr);
    }
  }
}

/// What makes `magnitude` the limit; 0 where nothing does, or nothing finite.
float fixing_factor(float magnitude, std::int32_t limit) {
  const float factor = static_cast<float>(limit) / magnitude;
  return std::isfinite(factor) ? factor : 0.0f;
}

/// dst = row / scale for the row's own scale, which is returned.
float fix(const KernelTable& table, std::int16_t* dst, const float* row, std::int64_t n, std::int32_t limit) {
  const float magnitude = table.magnitude(row, n);
  table.fix_row(dst, row, n, fixing_factor(magnitude, limit));
  return magnitude / static_cast<float>(limit);
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

void pack_paired(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows) {
  pack(table, dst, src, rows, [&](std::uint16_t* row, std::int64_t r) { table.round_row(row, src.row(r), src.cols); });
}

void pack_paired_transposed(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows) {
  pack_transposed(table, dst, src, rows,
                  [&](std::uint16_t* row, std::int64_t k) { table.round_row(row, src.row(k), src.cols); });
}

void round_columns(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows) {
  const std::int64_t pairs = ceil_div(src.rows, std::int64_t{2}), depth = paired_depth(table, src.cols);
  std::uint16_t* const pair[] = {rows, rows + depth};
  std::uint16_t* const words = rows + 2 * depth;  // [pairs][depth][2]
  for (std::int64_t p = 0; p < pairs; ++p) {
    table.round_row(pair[0], src.row(2 * p), src.cols);
    if (2 * p + 1 < src.rows) {
      table.round_row(pair[1], src.row(2 * p + 1), src.cols);
    } else {
      std::fill_n(pair[1], src.cols, std::uint16_t{0});
    }
    interleave_rows(words + 2 * p * depth, pair[0], pair[1], src.cols, static_cast<int>(src.cols));
  }
  pack_panels(reinterpret_cast<std::uint32_t*>(dst),
              {reinterpret_cast<const std::uint32_t*>(words), pairs, src.cols, depth},
              static_cast<int>(paired_stride(table, src.rows) / 2));
}

void multiply_paired(const KernelTable& table, View<float> dst, View<const std::uint16_t> a,
                     const std::uint16_t* panels) {
  GemmBlockBf16 block = {};
  block.c = dst.data;
  block.c_stride = dst.stride;
  block.a = a.data;
  block.a_stride = a.stride;
  block.panels = panels;
  block.panel_bytes = table.nr * paired_depth(table, a.cols) * 2;
  block.group_bytes = std::int64_t{table.nr} * 4;
  block.strip_bytes = kStripGroupBytes;
  block.m = dst.rows;
  block.n = dst.cols;
  block.k = paired_depth(table, a.cols);
  table.gemm_f32_bf16_bf16p(block);
}

std::int32_t fixed_limit(std::int64_t k) {
  constexpr std::int64_t most = std::numeric_limits<std::int16_t>::max();
  const auto root = static_cast<std::int64_t>(std::sqrt(static_cast<double>(INT32_MAX / k)));
  return static_cast<std::int32_t>(std::min(most, root));
}

void fix_rows(const KernelTable& table, std::int16_t* dst, float* scales, View<const float> src, std::int32_t limit) {
  const std::int64_t stride = paired_stride(table, src.cols);
  for (std::int64_t r = 0; r < src.rows; ++r) {
    scales[r] = fix(table, dst + r * stride, src.row(r), src.cols, limit);
  }
}

void pack_fixed(const KernelTable& table, std::int16_t* dst, float* scales, View<const float> src, std::int32_t limit,
                std::int16_t* rows) {
  pack(table, dst, src, rows,
       [&](std::int16_t* row, std::int64_t r) { scales[r] = fix(table, row, src.row(r), src.cols, limit); });
  std::fill(scales + src.rows, scales + ceil_div(src.rows, table.nr) * table.nr, 0.0f);
}

float pack_fixed_transposed(const KernelTable& table, std::int16_t* dst, View<const float> src, std::int32_t limit,
                            std::int16_t* rows) {
  float most = 0;
  for (std::int64_t k = 0; k < src.rows; ++k) {
    const float magnitude = table.magnitude(src.row(k), src.cols);
    if (!(magnitude <= most)) most = magnitude;  // a NaN stays: nothing is <= it
    if (std::isnan(most)) break;
  }
  const float factor = fixing_factor(most, limit);
  pack_transposed(table, dst, src, rows,
                  [&](std::int16_t* row, std::int64_t k) { table.fix_row(row, src.row(k), src.cols, factor); });
  return most / static_cast<float>(limit);
}

void multiply_fixed(const KernelTable& table, View<float> dst, const std::int16_t* a, const float* row_scales,
                    std::int64_t k, const FixedPanels& panels) {
  const std::int64_t depth = paired_depth(table, k);
  for (std::int64_t n = 0; n < dst.cols; n += table.nr) {
    GemmBlock16 block = {};
    block.c = dst.data + n;
    block.c_stride = dst.stride;
    block.a = a;
    block.a_stride = paired_stride(table, k);
    block.row_scale = row_scales;
    block.panel = panels.elements + n * depth;
    block.column_scale = panels.scales + (panels.one_scale ? 0 : n);
    block.m = dst.rows;
    block.n = std::min<std::int64_t>(table.nr, dst.cols - n);
    block.k = depth;
    table.gemm_f32_s16_s16p(block);
  }
}

}  // namespace florence2
