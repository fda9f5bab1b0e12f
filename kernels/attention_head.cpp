#include "kernels/attention_head.hpp"

#include <algorithm>

#include "kernels/paired.hpp"
#include "kernels/panels.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kQueryRows = 96;  // rows of the score tile that lies in L2

void attend_f32(const KernelTable& table, float* scratch, const HeadViews& head, float scale) {
  const std::int64_t length = head.k.rows, head_dim = head.q.cols;
  float* const keys = scratch;
  float* const values = keys + panel_floats(table.nr, length, head_dim);
  float* const score_tile = values + panel_floats(table.nr, head_dim, length);
  pack_panels(keys, head.k, table.nr);
  pack_panels_transposed(values, head.v, table.nr);
  for (std::int64_t first = 0; first < head.q.rows; first += kQueryRows) {
    const std::int64_t rows = std::min(kQueryRows, head.q.rows - first);
    const View<float> scores(score_tile, rows, length);
    multiply_panels(table, scores, head.q.row_range(first, rows), keys);
    for (std::int64_t r = 0; r < rows; ++r) table.softmax(scores.row(r), length, scale);
    multiply_panels(table, head.dst.row_range(first, rows), scores, values);
  }
}

std::int64_t f32_scratch(const KernelTable& table, std::int64_t length, std::int64_t head_dim) {
  return panel_floats(table.nr, length, head_dim) + panel_floats(table.nr, head_dim, length) + kQueryRows * length;
}

/// Scratch of attend_bf16. `rows` holds what is rounded for the moment: a panel of keys, a pair of rows of values, and
/// then the query tile and after it the score tile.
struct Bf16Buffers {
  std::int64_t keys, values, rows;  // elements

  Bf16Buffers(const KernelTable& table, std::int64_t length, std::int64_t head_dim)
      : keys(paired_elements(table, length, head_dim)),
        values(paired_elements(table, head_dim, length)),
        rows(std::max({table.nr * paired_depth(table, head_dim), 2 * paired_depth(table, head_dim),
                       kQueryRows * paired_stride(table, head_dim), kQueryRows * paired_stride(table, length)})) {}
  /// The halves are a whole number of cache lines, so that the scores behind them are aligned.
  std::int64_t half_floats() const { return (keys + values + rows) / 2; }
};

void attend_bf16(const KernelTable& table, float* scratch, const HeadViews& head, float scale) {
  const std::int64_t length = head.k.rows, head_dim = head.q.cols;
  const Bf16Buffers sizes(table, length, head_dim);
  auto* const keys = reinterpret_cast<std::uint16_t*>(scratch);
  auto* const values = keys + sizes.keys;
  auto* const rounded = values + sizes.values;
  float* const score_tile = scratch + sizes.half_floats();
  pack_paired(table, keys, head.k, rounded);
  pack_paired_transposed(table, values, head.v, rounded);
  for (std::int64_t first = 0; first < head.q.rows; first += kQueryRows) {
    const std::int64_t rows = std::min(kQueryRows, head.q.rows - first);
    const View<float> scores(score_tile, rows, length);
    round_rows(table, rounded, head.q.row_range(first, rows));
    multiply_paired(table, scores, rounded, head_dim, keys);
    for (std::int64_t r = 0; r < rows; ++r) table.softmax(scores.row(r), length, scale);
    round_rows(table, rounded, scores);
    multiply_paired(table, head.dst.row_range(first, rows), rounded, length, values);
  }
}

}  // namespace

void attention_head(const KernelTable& table, float* scratch, const HeadViews& head, float scale,
                    Arithmetic arithmetic) {
  const auto attend = arithmetic == Arithmetic::bf16 ? attend_bf16 : attend_f32;
  attend(table, scratch, head, scale);
}

std::int64_t attention_head_scratch(const KernelTable& table, std::int64_t length, std::int64_t head_dim) {
  const std::int64_t floats = f32_scratch(table, length, head_dim);
  if (table.gemm_f32_bf16_bf16p == nullptr) return floats;
  return std::max(floats, Bf16Buffers(table, length, head_dim).half_floats() + kQueryRows * length);
}

}  // namespace florence2
