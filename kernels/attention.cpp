// Attention over whole sequences and over a decoder's caches. The vision tower's two blocks: window_attention.cpp and
// channel_attention.cpp.
#include "kernels/attention.hpp"

#include <algorithm>
#include <cmath>

#include "core/check.hpp"
#include "kernels/attention_head.hpp"
#include "kernels/panels.hpp"

namespace florence2 {
void attention(Context& context, View<float> dst, View<const float> q, View<const float> k, View<const float> v,
               int heads, float scale, Arithmetic arithmetic) {
  const KernelTable& table = context.table();
  const std::int64_t head_dim = q.cols / heads;
  context.reserve(attention_head_scratch(table, k.rows, head_dim));
  context.parallel_for(heads, [&](std::int64_t head, int thread) {
    const std::int64_t first = head * head_dim;
    const HeadViews views = {dst.col_range(first, head_dim), q.col_range(first, head_dim), k.col_range(first, head_dim),
                             v.col_range(first, head_dim)};
    attention_head(table, context.scratch(thread), views, scale, arithmetic);
  });
}

void pack_cross_cache(Context& context, CrossCache& cache, View<const float> k, View<const float> v, int heads) {
  const KernelTable& table = context.table();
  cache.heads = heads;
  cache.length = k.rows;
  cache.head_dim = k.cols / heads;
  cache.key_floats = panel_floats(table.nr, cache.length, cache.head_dim);
  cache.value_floats = panel_floats(table.nr, cache.head_dim, cache.length);
  cache.keys.ensure(heads * cache.key_floats);
  cache.values.ensure(heads * cache.value_floats);
  context.parallel_for(heads, [&](std::int64_t head, int) {
    const std::int64_t first = head * cache.head_dim;
    pack_panels(cache.keys.data() + head * cache.key_floats, k.col_range(first, cache.head_dim), table.nr);
    pack_panels_transposed(cache.values.data() + head * cache.value_floats, v.col_range(first, cache.head_dim),
                           table.nr);
  });
}

void cross_attention(Context& context, View<float> dst, View<const float> q, const CrossCache& cache, float scale) {
  const KernelTable& table = context.table();
  FL_DCHECK(q.cols == cache.heads * cache.head_dim);
  context.reserve(q.rows * cache.length);
  context.parallel_for(cache.heads, [&](std::int64_t head, int thread) {
    const std::int64_t first = head * cache.head_dim;
    const View<float> scores(context.scratch(thread), q.rows, cache.length);
    multiply_panels(table, scores, q.col_range(first, cache.head_dim), cache.keys.data() + head * cache.key_floats);
    for (std::int64_t r = 0; r < q.rows; ++r) table.softmax(scores.row(r), cache.length, scale);
    multiply_panels(table, dst.col_range(first, cache.head_dim), scores,
                    cache.values.data() + head * cache.value_floats);
  });
}

void decode_attention(Context& context, View<float> dst, View<const float> q, View<const float> keys,
                      View<const float> values, std::span<const int> slot_of, std::int64_t steps, std::int64_t slots,
                      int heads, float scale) {
  const KernelTable& table = context.table();
  const std::int64_t head_dim = q.cols / heads, beams = q.rows;
  context.reserve(steps);
  context.parallel_for(beams * heads, [&](std::int64_t index, int thread) {
    const std::int64_t beam = index / heads, first = index % heads * head_dim;
    float* const scores = context.scratch(thread);
    const auto row_of = [&](std::int64_t t) { return t * slots + slot_of[static_cast<std::size_t>(t * beams + beam)]; };
    for (std::int64_t t = 0; t < steps; ++t) {
      scores[t] = table.dot(q.row(beam) + first, keys.row(row_of(t)) + first, head_dim);
    }
    table.softmax(scores, steps, scale);
    float* const out = dst.row(beam) + first;
    std::fill(out, out + head_dim, 0.0f);
    for (std::int64_t t = 0; t < steps; ++t) table.axpy(out, scores[t], values.row(row_of(t)) + first, head_dim);
  });
}

}  // namespace florence2
