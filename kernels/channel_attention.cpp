// The channel block's attention in two passes over row panels: the first makes q, k and v and adds up q^T k, the second
// mixes the channels of v and projects. q and k never leave the cache.
#include <algorithm>
#include <cmath>

#include "kernels/attention.hpp"
#include "kernels/panels.hpp"

namespace florence2 {
namespace {

/// Rows of a panel. They depend on the channels alone: each panel has a partial sum of its own, and the order in which
/// these are added must not depend on the threads.
std::int64_t panel_rows(std::int64_t c) { return std::clamp<std::int64_t>((std::int64_t{1} << 16) / c, 48, 192); }

struct Sizes {
  std::int64_t n, c, groups, width;  // width: channels of a group
  std::int64_t rows, panels;

  Sizes(View<const float> x, int groups_)
      : n(x.rows), c(x.cols), groups(groups_), width(c / groups_), rows(panel_rows(c)), panels((n + rows - 1) / rows) {}
  std::int64_t count(std::int64_t panel) const { return std::min(rows, n - panel * rows); }
};

/// Pass 1 for one panel: partial[groups * width, width] = q^T k of its rows; v goes to `values`.
void sum_panel(const KernelTable& table, float* scratch, View<const float> x, View<float> values, View<float> partial,
               const Sizes& s, const AttentionWeights& weights) {
  float* const widened = scratch;
  const View<float> normed(widened + matmul_scratch(table, s.c), x.rows, s.c, padded_stride(s.c));
  const View<float> qkv(normed.row(x.rows), x.rows, 3 * s.c, padded_stride(3 * s.c));
  float* const key_panels = qkv.row(x.rows);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    table.layer_norm(normed.row(r), x.row(r), weights.norm.gamma.data(), weights.norm.beta.data(), s.c,
                     weights.norm.eps);
  }
  matmul_serial(table, widened, qkv, normed, weights.qkv);
  for (std::int64_t r = 0; r < x.rows; ++r) std::copy_n(qkv.row(r) + 2 * s.c, s.c, values.row(r));
  float* const queries = normed.data;  // [c, rows], one wide panel; the normed rows are done with
  pack_panels(queries, qkv.col_range(0, s.c), static_cast<int>(x.rows));
  for (std::int64_t g = 0; g < s.groups; ++g) {
    pack_panels_transposed(key_panels, qkv.col_range(s.c + g * s.width, s.width), table.nr);
    multiply_panels(table, partial.row_range(g * s.width, s.width),
                    View<const float>(queries + g * s.width * x.rows, s.width, x.rows), key_panels);
  }
}

/// Pass 2 for one panel: x += proj(v mixed by each group's matrix).
void mix_panel(const KernelTable& table, float* scratch, View<float> x, View<const float> values,
               const float* mix_panels, const Sizes& s, const AttentionWeights& weights) {
  float* const widened = scratch;
  const View<float> mixed(widened + matmul_scratch(table, s.c), x.rows, s.c, padded_stride(s.c));
  const std::int64_t group_floats = panel_floats(table.nr, s.width, s.width);
  for (std::int64_t g = 0; g < s.groups; ++g) {
    multiply_panels(table, mixed.col_range(g * s.width, s.width), values.col_range(g * s.width, s.width),
                    mix_panels + g * group_floats);
  }
  matmul_serial(table, widened, x, mixed, weights.proj, {.gelu = false, .residual = x});
}

}  // namespace

void channel_attention_block(Context& context, View<float> x, View<float> v, const AttentionWeights& weights) {
  const KernelTable& table = context.table();
  const Sizes s(x, weights.heads);
  const std::int64_t group_floats = panel_floats(table.nr, s.width, s.width);
  context.reserve(matmul_scratch(table, s.c) + s.rows * (padded_stride(s.c) + padded_stride(3 * s.c)) +
                  panel_floats(table.nr, s.width, s.rows));
  float* const partials = context.shared(s.panels * s.c * s.width + s.groups * group_floats);
  float* const mix_panels = partials + s.panels * s.c * s.width;

  context.parallel_for(s.panels, [&](std::int64_t p, int thread) {
    sum_panel(table, context.scratch(thread), x.row_range(p * s.rows, s.count(p)), v.row_range(p * s.rows, s.count(p)),
              View<float>(partials + p * s.c * s.width, s.c, s.width), s, weights);
  });
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.n));
  context.parallel_for(s.groups, [&](std::int64_t g, int) {
    const View<float> mix(partials + g * s.width * s.width, s.width, s.width);
    for (std::int64_t p = 1; p < s.panels; ++p) {
      table.add(mix.data, mix.data + p * s.c * s.width, s.width * s.width);
    }
    for (std::int64_t i = 0; i < s.width; ++i) table.softmax(mix.row(i), s.width, scale);
    pack_panels(mix_panels + g * group_floats, mix, table.nr);
  });
  context.parallel_for(s.panels, [&](std::int64_t p, int thread) {
    mix_panel(table, context.scratch(thread), x.row_range(p * s.rows, s.count(p)), v.row_range(p * s.rows, s.count(p)),
              mix_panels, s, weights);
  });
}

}  // namespace florence2
