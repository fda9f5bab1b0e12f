#include "kernels/paired.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/panels.hpp"
#include "kernels/product.hpp"

namespace florence2 {
namespace {

/// pack_panels and interleave_rows, by the table's own kernels where it has them.
void pack_words(const KernelTable& table, std::uint32_t* dst, View<const std::uint32_t> src, int nr) {
  if (table.transpose == nullptr) return pack_panels(dst, src, nr);
  for (std::int64_t first = 0; first < src.rows; first += nr, dst += nr * src.cols) {
    const std::int64_t count = std::min<std::int64_t>(nr, src.rows - first);
    table.transpose(dst, nr, src.row(first), src.stride, count, src.cols);
    for (std::int64_t k = 0; count < nr && k < src.cols; ++k) std::fill_n(dst + k * nr + count, nr - count, 0u);
  }
}
void interleave(const KernelTable& table, std::uint16_t* dst, const std::uint16_t* low, const std::uint16_t* high,
                std::int64_t count, int nr) {
  if (table.interleave == nullptr) return interleave_rows(dst, low, high, count, nr);
  table.interleave(dst, low, high, count);
  std::fill(dst + 2 * count, dst + 2 * std::int64_t{nr}, std::uint16_t{0});
}

/// Pairs of k lie together, so a paired panel is an ordinary panel of 32-bit elements.
template <typename Element>
void pack_pairs(const KernelTable& table, Element* dst, View<const Element> src) {
  const auto words = [](const Element* p) { return reinterpret_cast<const std::uint32_t*>(p); };
  pack_words(table, reinterpret_cast<std::uint32_t*>(dst), {words(src.data), src.rows, src.cols / 2, src.stride / 2},
             table.nr);
}

/// convert(row of `rows`, r) makes row r of src.
template <typename Element, typename Convert>
void pack(const KernelTable& table, Element* dst, View<const float> src, Element* rows, const Convert& convert) {
  const std::int64_t depth = paired_depth(table, src.cols);
  for (std::int64_t first = 0; first < src.rows; first += table.nr, dst += table.nr * depth) {
    const std::int64_t count = std::min<std::int64_t>(table.nr, src.rows - first);
    for (std::int64_t r = 0; r < count; ++r) convert(rows + r * depth, first + r);
    pack_pairs(table, dst, View<const Element>(rows, count, depth));
  }
}

/// body(k, row k of src, row k + 1) for every second k < depth, with zeros for rows that src lacks. row_of(r, memory)
/// gives row r, there or in memory; `rows` is memory for two.
template <typename Element, typename Source, typename RowOf, typename Body>
void for_each_pair(const KernelTable& table, std::int64_t depth, View<const Source> src, Element* rows,
                   const RowOf& row_of, const Body& body) {
  Element* const memory[] = {rows, rows + paired_depth(table, src.cols)};
  const auto row = [&](std::int64_t r, Element* there) -> const Element* {
    if (r < src.rows) return row_of(r, there);
    std::fill_n(there, src.cols, Element{0});
    return there;
  };
  const auto halves = [](const Element* p) { return reinterpret_cast<const std::uint16_t*>(p); };
  for (std::int64_t k = 0; k < depth; k += 2) body(k, halves(row(k, memory[0])), halves(row(k + 1, memory[1])));
}

template <typename Element, typename Source, typename RowOf>
void pack_transposed(const KernelTable& table, Element* dst, View<const Source> src, Element* rows,
                     const RowOf& row_of) {
  const std::int64_t depth = paired_depth(table, src.rows), panel = table.nr * depth;
  for_each_pair(table, depth, src, rows, row_of,
                [&](std::int64_t k, const std::uint16_t* low, const std::uint16_t* high) {
                  for (std::int64_t n = 0; n < src.cols; n += table.nr) {
                    const std::int64_t count = std::min<std::int64_t>(table.nr, src.cols - n);
                    interleave(table, reinterpret_cast<std::uint16_t*>(dst + n / table.nr * panel + k * table.nr),
                               low + n, high + n, count, table.nr);
                  }
                });
}

template <typename Source, typename RowOf>
void transpose_pairs(const KernelTable& table, std::uint16_t* dst, View<const Source> src, std::uint16_t* rows,
                     const RowOf& row_of) {
  const std::int64_t stride = paired_depth(table, src.cols), pairs = ceil_div(src.rows, std::int64_t{2});
  std::uint16_t* const words = rows + 2 * stride;  // [pairs][stride][2]
  for_each_pair(table, src.rows, src, rows, row_of,
                [&](std::int64_t k, const std::uint16_t* low, const std::uint16_t* high) {
                  interleave(table, words + k * stride, low, high, src.cols, static_cast<int>(src.cols));
                });
  pack_words(table, reinterpret_cast<std::uint32_t*>(dst),
             {reinterpret_cast<const std::uint32_t*>(words), pairs, src.cols, stride},
             static_cast<int>(paired_stride(table, src.rows) / 2));
}

/// Row r of bf16 where it is, of floats rounded into memory: what the above ask for.
auto rows_in_place(View<const std::uint16_t> src) {
  return [src](std::int64_t r, std::uint16_t*) { return src.row(r); };
}
auto rounded_rows(const KernelTable& table, View<const float> src) {
  return [&table, src](std::int64_t r, std::uint16_t* row) {
    table.round_row(row, src.row(r), src.cols);
    return row;
  };
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

void pack_paired(const KernelTable& table, std::uint16_t* dst, View<const std::uint16_t> src) {
  pack_pairs(table, dst, src);
}

void pack_paired(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows) {
  pack(table, dst, src, rows, [&](std::uint16_t* row, std::int64_t r) { table.round_row(row, src.row(r), src.cols); });
}

void pack_paired_transposed(const KernelTable& table, std::uint16_t* dst, View<const std::uint16_t> src,
                            std::uint16_t* rows) {
  pack_transposed(table, dst, src, rows, rows_in_place(src));
}

void pack_paired_transposed(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows) {
  pack_transposed(table, dst, src, rows, rounded_rows(table, src));
}

void round_columns(const KernelTable& table, std::uint16_t* dst, View<const std::uint16_t> src, std::uint16_t* rows) {
  transpose_pairs(table, dst, src, rows, rows_in_place(src));
}

void round_columns(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows) {
  transpose_pairs(table, dst, src, rows, rounded_rows(table, src));
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
  pack_transposed(table, dst, src, rows, [&](std::int64_t k, std::int16_t* row) {
    table.fix_row(row, src.row(k), src.cols, factor);
    return row;
  });
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
