// Softmax attention in the four forms the model needs.
#pragma once

#include <cstdint>
#include <span>

#include "core/buffer.hpp"
#include "kernels/context.hpp"
#include "kernels/matmul.hpp"

namespace florence2 {

/// How queries, keys, values and softmax weights are multiplied: as they are, rounded to bf16, or in 16-bit fixed
/// point.
enum class Arithmetic : std::uint8_t { f32, bf16, fixed };

/// The arithmetic that suits the layer that made queries, keys and values: bf16 after bf16, and after 8-bit weights
/// what is quickest among what is much more exact than they are.
inline Arithmetic arithmetic_of(const KernelTable& table, const Linear& qkv) {
  if (qkv.weight.paired()) return Arithmetic::bf16;
  if (qkv.weight.dtype() != DType::s8) return Arithmetic::f32;
  return table.bf16_beats_fixed ? Arithmetic::bf16 : Arithmetic::fixed;
}

/// dst[m, heads * d] = softmax(scale * q k^T) v per head. q: [m, heads * d]; k, v: [s, heads * d]. No mask.
/// All views may be column ranges of one wider matrix. bf16 is for tables that multiply bf16 by bf16.
void attention(Context& context, View<float> dst, View<const float> q, View<const float> k, View<const float> v,
               int heads, float scale, Arithmetic arithmetic = Arithmetic::f32);
/// The same in bf16 from bf16, where qkv_in_bf16 allows it.
void attention(Context& context, View<float> dst, View<const std::uint16_t> q, View<const std::uint16_t> k,
               View<const std::uint16_t> v, int heads, float scale);

/// Whether queries, keys and values of `head_dim` channels can stay in bf16 between the layer that makes them and
/// attention in bf16.
bool qkv_in_bf16(const KernelTable& table, const Linear& qkv, std::int64_t head_dim);

/// Height and width of a feature map whose rows are its tokens, row-major.
struct Grid {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t tokens() const { return height * width; }
};

struct AttentionWeights {
  Norm norm;    ///< [c]
  Linear qkv;   ///< [c] -> [3c]: q | k | v, each `heads` chunks of c / heads
  Linear proj;  ///< [c] -> [c]
  int heads = 1;
};

/// x += proj(attention within window x window squares of layer_norm(x)). x: [grid tokens, c], in place.
/// The map is padded with zeros at the right and bottom after the norm, so padded tokens have q = k = v = bias and
/// take part in the softmax. Scale: (c / heads)^-0.5. Arithmetic: qkv's.
void window_attention_block(Context& context, View<float> x, Grid grid, int window, const AttentionWeights& weights);

/// x += proj(channel attention of layer_norm(x)): per group the c/g x c/g matrix softmax(n^-0.5 q^T k) mixes the
/// channels of v. x: [n, c], in place. `values` is scratch of x's shape that keeps v between the two passes. `heads` is
/// the number of groups.
void channel_attention_block(Context& context, View<float> x, View<float> values, const AttentionWeights& weights);

/// Keys and values of one layer's cross-attention, packed once for an encoded prompt and shared by all beams.
struct CrossCache {
  Buffer<float> packed;  ///< [heads] times what HeadAttention packs
  std::int64_t length = 0, head_dim = 0;
  int heads = 0;
  Arithmetic arithmetic = Arithmetic::f32;
};

/// Packs k and v ([s, heads * d]) for cross_attention, reusing the cache's memory where it fits.
void pack_cross_cache(Context& context, CrossCache& cache, View<const float> k, View<const float> v, int heads,
                      Arithmetic arithmetic = Arithmetic::f32);
void pack_cross_cache(Context& context, CrossCache& cache, View<const std::uint16_t> k, View<const std::uint16_t> v,
                      int heads);

/// One request's share of a decode step: queries of its beams, [beams, heads * d], and where the results go.
struct CrossAttention {
  View<float> dst;
  View<const float> q;
  const CrossCache* cache;
};

/// dst = softmax(scale * q keys) values for each request. All caches have the same number of heads.
void cross_attention(Context& context, std::span<const CrossAttention> requests, float scale);

/// The same for causal self-attention, over a KV cache that is read through indices.
struct DecodeAttention {
  View<float> dst;
  View<const float> q;
  View<const float> keys, values;  ///< [cached rows, heads * d]
  View<const std::int32_t> rows;   ///< [beams, steps]: the cached row of each beam's token of each step
};

/// dst = softmax(scale * q keys) values for each request, over the rows of its steps.
void decode_attention(Context& context, std::span<const DecodeAttention> requests, int heads, float scale);

}  // namespace florence2
