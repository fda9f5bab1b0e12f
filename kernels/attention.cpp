// Attention over whole sequences and over a decoder's caches. The vision tower's two blocks: window_attention.cpp and
// channel_attention.cpp.
#include "kernels/attention.hpp"

#include <algorithm>
#include <cmath>

#include "core/check.hpp"
#include "kernels/attention_head.hpp"

namespace florence2 {

void attention(Context& context, View<float> dst, View<const float> q, View<const float> k, View<const float> v,
               int heads, float scale, Arithmetic arithmetic) {
  const std::int64_t head_dim = q.cols / heads;
  const HeadAttention head(context.table(), arithmetic, k.rows, head_dim);
  context.reserve(head.packed_floats() + head.scratch_floats(q.rows));
  context.parallel_for(heads, [&](std::int64_t index, int thread) {
    const std::int64_t first = index * head_dim;
    float* const packed = context.scratch(thread);
    float* const scratch = packed + head.packed_floats();
    head.pack(packed, scratch, k.col_range(first, head_dim), v.col_range(first, head_dim));
    head.attend(dst.col_range(first, head_dim), q.col_range(first, head_dim), packed, scratch, scale);
  });
}

void pack_cross_cache(Context& context, CrossCache& cache, View<const float> k, View<const float> v, int heads,
                      Arithmetic arithmetic) {
  cache.heads = heads;
  cache.length = k.rows;
  cache.head_dim = k.cols / heads;
  cache.arithmetic = arithmetic;
  const HeadAttention head(context.table(), arithmetic, cache.length, cache.head_dim);
  cache.packed.ensure(heads * head.packed_floats());
  context.reserve(head.scratch_floats(1));
  context.parallel_for(heads, [&](std::int64_t index, int thread) {
    const std::int64_t first = index * cache.head_dim;
    head.pack(cache.packed.data() + index * head.packed_floats(), context.scratch(thread),
              k.col_range(first, cache.head_dim), v.col_range(first, cache.head_dim));
  });
}

void cross_attention(Context& context, View<float> dst, View<const float> q, const CrossCache& cache, float scale) {
  FL_DCHECK(q.cols == cache.heads * cache.head_dim);
  const HeadAttention head(context.table(), cache.arithmetic, cache.length, cache.head_dim);
  context.reserve(head.scratch_floats(q.rows));
  context.parallel_for(cache.heads, [&](std::int64_t index, int thread) {
    const std::int64_t first = index * cache.head_dim;
    head.attend(dst.col_range(first, cache.head_dim), q.col_range(first, cache.head_dim),
                cache.packed.data() + index * head.packed_floats(), context.scratch(thread), scale);
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
