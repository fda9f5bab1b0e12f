// Attention over whole sequences and over a decoder's caches. The vision tower's two blocks: window_attention.cpp and
// channel_attention.cpp.
#include "kernels/attention.hpp"

#include <algorithm>
#include <cmath>

#include "core/check.hpp"
#include "kernels/attention_head.hpp"

namespace florence2 {
namespace {

/// body(request, head, thread) for every head of every request, in one parallel loop: requests are small.
template <typename Request, typename Body>
void for_each_head(Context& context, std::span<const Request> requests, int heads, const Body& body) {
  context.parallel_for(static_cast<std::int64_t>(requests.size()) * heads, [&](std::int64_t index, int thread) {
    body(requests[static_cast<std::size_t>(index / heads)], static_cast<int>(index % heads), thread);
  });
}

template <typename Element>
void attention_of(Context& context, View<float> dst, View<const Element> q, View<const Element> k,
                  View<const Element> v, int heads, float scale, Arithmetic arithmetic) {
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

template <typename Element>
void pack_cross_cache_of(Context& context, CrossCache& cache, View<const Element> k, View<const Element> v, int heads,
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

}  // namespace

void attention(Context& context, View<float> dst, View<const float> q, View<const float> k, View<const float> v,
               int heads, float scale, Arithmetic arithmetic) {
  attention_of(context, dst, q, k, v, heads, scale, arithmetic);
}

void attention(Context& context, View<float> dst, View<const std::uint16_t> q, View<const std::uint16_t> k,
               View<const std::uint16_t> v, int heads, float scale) {
  attention_of(context, dst, q, k, v, heads, scale, Arithmetic::bf16);
}

void pack_cross_cache(Context& context, CrossCache& cache, View<const float> k, View<const float> v, int heads,
                      Arithmetic arithmetic) {
  pack_cross_cache_of(context, cache, k, v, heads, arithmetic);
}

void pack_cross_cache(Context& context, CrossCache& cache, View<const std::uint16_t> k, View<const std::uint16_t> v,
                      int heads) {
  pack_cross_cache_of(context, cache, k, v, heads, Arithmetic::bf16);
}

void cross_attention(Context& context, std::span<const CrossAttention> requests, float scale) {
  const auto head_of = [&](const CrossCache& cache) {
    return HeadAttention(context.table(), cache.arithmetic, cache.length, cache.head_dim);
  };
  for (const CrossAttention& request : requests) {
    FL_DCHECK(request.cache->heads == requests[0].cache->heads);
    context.reserve(head_of(*request.cache).scratch_floats(request.q.rows));
  }
  for_each_head(context, requests, requests[0].cache->heads, [&](const CrossAttention& r, int index, int thread) {
    const CrossCache& cache = *r.cache;
    const HeadAttention head = head_of(cache);
    const std::int64_t first = index * cache.head_dim;
    head.attend(r.dst.col_range(first, cache.head_dim), r.q.col_range(first, cache.head_dim),
                cache.packed.data() + index * head.packed_floats(), context.scratch(thread), scale);
  });
}

void decode_attention(Context& context, std::span<const DecodeAttention> requests, int heads, float scale) {
  const KernelTable& table = context.table();
  for (const DecodeAttention& request : requests) context.reserve(request.rows.cols);
  for_each_head(context, requests, heads, [&](const DecodeAttention& r, int head, int thread) {
    const std::int64_t head_dim = r.q.cols / heads, first = head * head_dim, steps = r.rows.cols;
    float* const scores = context.scratch(thread);
    for (std::int64_t beam = 0; beam < r.q.rows; ++beam) {
      const std::int32_t* const rows = r.rows.row(beam);
      table.dot_rows(scores, r.q.row(beam) + first, {r.keys.data + first, r.keys.stride, rows, steps}, head_dim);
      table.softmax(scores, steps, scale);
      table.sum_rows(r.dst.row(beam) + first, scores, {r.values.data + first, r.values.stride, rows, steps}, head_dim);
    }
  });
}

}  // namespace florence2
