#include "model/text_decoder.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.hpp"
#include "kernels/rowwise.hpp"

namespace florence2 {
namespace {

float attention_scale(std::int64_t d, int heads) { return 1.0f / std::sqrt(static_cast<float>(d / heads)); }

}  // namespace

void DecoderState::start(Context& context, const DecoderWeights& weights, View<const float> memory, int beams,
                         std::int64_t max_steps) {
  d_ = memory.cols;
  beams_ = beams;
  steps_ = 0;
  max_steps_ = max_steps;
  slot_of_.resize(static_cast<std::size_t>(max_steps * beams));
  reordered_.resize(slot_of_.size());
  x_.ensure(beams * d_);
  attended_.ensure(beams * d_);
  qkv_.ensure(beams * 3 * d_);
  logits_.ensure(beams * weights.head->out());
  memory_kv_.ensure(memory.rows * 2 * d_);
  layers_.resize(weights.layers.size());
  const View<float> kv(memory_kv_.data(), memory.rows, 2 * d_);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    layers_[l].keys.ensure(max_steps * beams * d_);
    layers_[l].values.ensure(max_steps * beams * d_);
    matmul(context, kv, memory, weights.layers[l].cross.kv);
    pack_cross_cache(context, layers_[l].cross, kv.col_range(0, d_), kv.col_range(d_, d_), weights.heads);
  }
}

void DecoderState::follow_parents(std::span<const int> parents) {
  for (std::int64_t t = 0; t < steps_; ++t) {
    const std::size_t first = static_cast<std::size_t>(t * beams_);
    for (std::size_t b = 0; b < static_cast<std::size_t>(beams_); ++b) {
      reordered_[first + b] = slot_of_[first + static_cast<std::size_t>(parents[b])];
    }
  }
  std::swap(slot_of_, reordered_);
  for (int b = 0; b < beams_; ++b) slot_of_[static_cast<std::size_t>(steps_ * beams_ + b)] = b;
}

/// x = LN(x + out(causal attention over the cache, to which this step's keys and values are added)).
void DecoderState::self_attention(Context& context, const DecoderLayer& layer, LayerCache& cache, int heads) {
  const View<float> qkv(qkv_.data(), beams_, 3 * d_);
  const View<float> attended(attended_.data(), beams_, d_);
  const std::int64_t rows = (steps_ + 1) * beams_;
  const View<float> keys(cache.keys.data(), rows, d_);  // row t * beams + slot
  const View<float> values(cache.values.data(), rows, d_);
  matmul(context, qkv, x(), layer.attention.qkv);
  for (std::int64_t b = 0; b < beams_; ++b) {
    std::copy_n(qkv.row(b) + d_, d_, keys.row(steps_ * beams_ + b));
    std::copy_n(qkv.row(b) + 2 * d_, d_, values.row(steps_ * beams_ + b));
  }
  decode_attention(context, attended, qkv.col_range(0, d_), keys, values,
                   std::span(slot_of_).first(static_cast<std::size_t>(rows)), steps_ + 1, beams_, heads,
                   attention_scale(d_, heads));
  matmul(context, x(), attended, layer.attention.out, {.residual = x()});
  layer_norm(context, x(), x(), layer.attention.norm);
}

/// x = LN(x + out(attention over the encoder memory)).
void DecoderState::cross_attention_block(Context& context, const DecoderLayer& layer, const LayerCache& cache,
                                         int heads) {
  const View<float> q(qkv_.data(), beams_, d_);
  const View<float> attended(attended_.data(), beams_, d_);
  matmul(context, q, x(), layer.cross.q);
  cross_attention(context, attended, q, cache.cross, attention_scale(d_, heads));
  matmul(context, x(), attended, layer.cross.out, {.residual = x()});
  layer_norm(context, x(), x(), layer.cross.norm);
}

View<const float> DecoderState::step(Context& context, const DecoderWeights& weights,
                                     std::span<const std::int32_t> tokens, std::span<const int> parents) {
  FL_DCHECK(steps_ < max_steps_);
  FL_DCHECK(static_cast<int>(tokens.size()) == beams_);
  follow_parents(parents);
  for (std::int64_t b = 0; b < beams_; ++b) {
    embed_token(x().row(b), weights.embedding, tokens[static_cast<std::size_t>(b)], steps_);
  }
  layer_norm(context, x(), x(), weights.embedding.norm);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const DecoderLayer& layer = weights.layers[l];
    self_attention(context, layer, layers_[l], weights.heads);
    cross_attention_block(context, layer, layers_[l], weights.heads);
    feed_forward_block(context, x(), layer.fc1, layer.fc2, layer.norm);
  }
  ++steps_;
  const View<float> logits(logits_.data(), beams_, weights.head->out());
  matmul(context, logits, x(), *weights.head);
  return logits;
}

}  // namespace florence2
