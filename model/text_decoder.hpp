// The BART decoder: one token a step for all beams, over a KV cache that beams read through slot indices, and
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

/// State of one generation: caches and activations.
class DecoderState {
 public:
  /// Prepares for `beams` sequences of at most `max_steps` decoder inputs and packs every layer's cross keys and values
  /// of memory[s, d]. Reuses memory of earlier calls; may throw std::bad_alloc.
  void start(Context& context, const DecoderWeights& weights, View<const float> memory, int beams,
             std::int64_t max_steps);

  /// One decode step: tokens[beams] at the next position, beam b continuing the sequence of beam parents[b] of the step
  /// before (ignored in the first step). Returns logits[beams, vocabulary], valid until the next call.
  View<const float> step(Context& context, const DecoderWeights& weights, std::span<const std::int32_t> tokens,
                         std::span<const int> parents);

  std::int64_t steps() const { return steps_; }

 private:
  struct LayerCache {
    Buffer<float> keys, values;  // [max_steps * beams, d]
    CrossCache cross;
  };

  /// Appends this step's slots and lets earlier steps follow the beams' parents.
  void follow_parents(std::span<const int> parents);
  void self_attention(Context& context, const DecoderLayer& layer, LayerCache& cache, int heads);
  void cross_attention_block(Context& context, const DecoderLayer& layer, const LayerCache& cache, int heads);
  View<float> x() { return {x_.data(), beams_, d_}; }

  std::vector<LayerCache> layers_;
  std::vector<int> slot_of_, reordered_;  // [max_steps * beams]
  Buffer<float> x_, attended_;            // [beams, d]
  Buffer<float> qkv_;                     // [beams, 3d]
  Buffer<float> logits_;                  // [beams, vocabulary]
  Buffer<float> memory_kv_;               // [s, 2d]
  std::int64_t d_ = 0, steps_ = 0, max_steps_ = 0;
  int beams_ = 0;
};

}  // namespace florence2
