// The BART decoder: one token a step for all beams, over a KV cache that beams read through row indices, and
// cross-attention keys and values that all beams share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/buffer.hpp"
#include "kernels/attention.hpp"
#include "model/text_encoder.hpp"

namespace florence2 {

struct CrossAttentionWeights {
  Linear q, out;
  Linear kv;  // [d] -> [2d]: k_proj, then v_proj; of the encoder memory
  Norm norm;
};

struct DecoderLayer {
  SelfAttention attention;
  CrossAttentionWeights cross;
  Linear fc1, fc2;
  Norm norm;
};

struct DecoderWeights {
  Embedding embedding;
  std::vector<DecoderLayer> layers;
  std::shared_ptr<const Linear> head;  // [d] -> [vocabulary]; bias: final_logits_bias, or empty
  int heads = 1;
};

/// Caches of one request: keys and values of its own tokens, read through row indices, and of its encoder memory.
class DecoderCache {
 public:
  int beams() const { return beams_; }
  std::int64_t steps() const { return steps_; }

 private:
  friend class DecoderState;
  struct Layer {
    Buffer<float> keys, values;  // [max_steps * beams, d]: row t * beams + b is what beam b wrote in step t
    CrossCache cross;
  };

  /// Lets the beams take over the rows of their parents, and appends this step's.
  void follow_parents(std::span<const int> parents);
  /// [beams, steps and this one]: the cached row of each beam's token of each step.
  View<const std::int32_t> rows() const { return {rows_.data(), beams_, steps_ + 1, max_steps_}; }

  std::vector<Layer> layers_;
  std::vector<std::int32_t> rows_, reordered_;  // [beams, max_steps]
  std::int64_t steps_ = 0, max_steps_ = 0;
  int beams_ = 0;
};

/// Decodes one request, or several together: every request's rows are what they are alone.
class DecoderState {
 public:
  /// Prepares a cache for `beams` sequences of at most `max_steps` decoder inputs and packs every layer's cross keys
  /// and values of memory[s, d]. Reuses the cache's memory; may throw std::bad_alloc.
  void start(Context& context, const DecoderWeights& weights, DecoderCache& cache, View<const float> memory, int beams,
             std::int64_t max_steps);

  /// One decode step of the requests whose caches these are: for each its beams' tokens at its next position, beam b
  /// continuing the sequence of its beam parents[b] of the step before (ignored in its first step). Rows stand in the
  /// order of the caches. Returns logits[rows, vocabulary], valid until the next call.
  View<const float> step(Context& context, const DecoderWeights& weights, std::span<DecoderCache* const> caches,
                         std::span<const std::int32_t> tokens, std::span<const int> parents);

  /// The same for a single request with a cache of the state's own.
  void start(Context& context, const DecoderWeights& weights, View<const float> memory, int beams,
             std::int64_t max_steps) {
    start(context, weights, own_, memory, beams, max_steps);
  }
  View<const float> step(Context& context, const DecoderWeights& weights, std::span<const std::int32_t> tokens,
                         std::span<const int> parents) {
    DecoderCache* const cache = &own_;
    return step(context, weights, {&cache, 1}, tokens, parents);
  }
  std::int64_t steps() const { return own_.steps(); }

 private:
  /// A layer of the model and the requests that pass through it.
  struct Pass {
    const DecoderLayer& weights;
    std::size_t layer;
    std::span<DecoderCache* const> caches;
    int heads;
  };

  void reserve(const DecoderWeights& weights, std::int64_t rows);
  void embed(const DecoderWeights& weights, std::span<DecoderCache* const> caches,
             std::span<const std::int32_t> tokens);
  void self_attention(Context& context, const Pass& pass);
  void cross_attention_block(Context& context, const Pass& pass);
  View<float> x() { return {x_.data(), rows_, d_}; }
  View<float> attended() { return {attended_.data(), rows_, d_}; }

  DecoderCache own_;
  Buffer<float> x_, attended_;                  // [rows, d]
  Buffer<float> qkv_;                           // [rows, 3d]
  Buffer<float> logits_;                        // [rows, vocabulary]
  Buffer<float> memory_kv_;                     // [s, 2d]
  std::vector<DecodeAttention> self_requests_;  // arguments of the attentions, one a request
  std::vector<CrossAttention> cross_requests_;
  std::int64_t d_ = 0, rows_ = 0;
};

}  // namespace florence2
