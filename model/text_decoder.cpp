#include "model/text_decoder.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.hpp"
#include "kernels/rowwise.hpp"

namespace florence2 {
namespace {

// In 8 bits two products have two terms (MatmulOptions): those behind an attention, whose averages are nearly the same
// in every step, and with them the rounding errors; and the LM head, where rounding would decide between neighbouring
// location tokens, which are often nearly alike.

float attention_scale(std::int64_t d, int heads) { return 1.0f / std::sqrt(static_cast<float>(d / heads)); }

}  // namespace

void DecoderCache::follow_parents(std::span<const int> parents) {
  for (std::int64_t b = 0; b < beams_; ++b) {
    const std::int32_t* const parent = rows_.data() + parents[static_cast<std::size_t>(b)] * max_steps_;
    std::int32_t* const own = reordered_.data() + b * max_steps_;
    std::copy_n(parent, steps_, own);
    own[steps_] = static_cast<std::int32_t>(steps_ * beams_ + b);
  }
  std::swap(rows_, reordered_);
}

void DecoderState::start(Context& context, const DecoderWeights& weights, DecoderCache& cache, View<const float> memory,
                         int beams, std::int64_t max_steps) {
  d_ = memory.cols;
  cache.beams_ = beams;
  cache.steps_ = 0;
  cache.max_steps_ = max_steps;
  cache.rows_.resize(static_cast<std::size_t>(max_steps * beams));
  cache.reordered_.resize(cache.rows_.size());
  cache.layers_.resize(weights.layers.size());
  reserve(weights, beams);
  memory_kv_.ensure(memory.rows * 2 * d_);
  const View<float> kv(memory_kv_.data(), memory.rows, 2 * d_);
  for (std::size_t l = 0; l < cache.layers_.size(); ++l) {
    DecoderCache::Layer& layer = cache.layers_[l];
    layer.keys.ensure(max_steps * beams * d_);
    layer.values.ensure(max_steps * beams * d_);
    const Linear& made_by = weights.layers[l].cross.kv;
    const auto pack = [&](auto both, auto... arithmetic) {
      matmul(context, both, memory, made_by);
      pack_cross_cache(context, layer.cross, both.col_range(0, d_), both.col_range(d_, d_), weights.heads,
                       arithmetic...);
    };
    if (qkv_in_bf16(context.table(), made_by, d_ / weights.heads)) {
      pack(View<std::uint16_t>(reinterpret_cast<std::uint16_t*>(kv.data), kv.rows, kv.cols));
    } else {
      pack(kv, arithmetic_of(context.table(), made_by));
    }
  }
}

void DecoderState::reserve(const DecoderWeights& weights, std::int64_t rows) {
  x_.ensure(rows * d_);
  attended_.ensure(rows * d_);
  qkv_.ensure(rows * 3 * d_);
  logits_.ensure(rows * weights.head->out());
}

/// x = LN(x + out(causal attention over each request's cache, to which this step's keys and values are added)).
void DecoderState::self_attention(Context& context, const Pass& pass) {
  const View<float> qkv(qkv_.data(), rows_, 3 * d_);
  matmul(context, qkv, x(), pass.weights.attention.qkv);
  self_requests_.clear();
  std::int64_t first = 0;
  for (DecoderCache* cache : pass.caches) {
    DecoderCache::Layer& layer = cache->layers_[pass.layer];
    const std::int64_t beams = cache->beams_, before = cache->steps_ * beams;
    const View<float> keys(layer.keys.data(), before + beams, d_), values(layer.values.data(), before + beams, d_);
    const View<float> own = qkv.row_range(first, beams);
    for (std::int64_t b = 0; b < beams; ++b) {
      std::copy_n(own.row(b) + d_, d_, keys.row(before + b));
      std::copy_n(own.row(b) + 2 * d_, d_, values.row(before + b));
    }
    self_requests_.push_back({attended().row_range(first, beams), own.col_range(0, d_), keys, values, cache->rows()});
    first += beams;
  }
  decode_attention(context, self_requests_, pass.heads, attention_scale(d_, pass.heads));
  matmul(context, x(), attended(), pass.weights.attention.out, {.residual = x(), .two_terms = true});
  layer_norm(context, x(), x(), pass.weights.attention.norm);
}

/// x = LN(x + out(attention over each request's encoder memory)).
void DecoderState::cross_attention_block(Context& context, const Pass& pass) {
  const View<float> q(qkv_.data(), rows_, d_);
  matmul(context, q, x(), pass.weights.cross.q);
  cross_requests_.clear();
  std::int64_t first = 0;
  for (const DecoderCache* cache : pass.caches) {
    cross_requests_.push_back({attended().row_range(first, cache->beams_), q.row_range(first, cache->beams_),
                               &cache->layers_[pass.layer].cross});
    first += cache->beams_;
  }
  cross_attention(context, cross_requests_, attention_scale(d_, pass.heads));
  matmul(context, x(), attended(), pass.weights.cross.out, {.residual = x(), .two_terms = true});
  layer_norm(context, x(), x(), pass.weights.cross.norm);
}

void DecoderState::embed(const DecoderWeights& weights, std::span<DecoderCache* const> caches,
                         std::span<const std::int32_t> tokens) {
  std::int64_t row = 0;
  for (const DecoderCache* cache : caches) {
    for (int b = 0; b < cache->beams_; ++b, ++row) {
      embed_token(x().row(row), weights.embedding, tokens[static_cast<std::size_t>(row)], cache->steps_);
    }
  }
}

View<const float> DecoderState::step(Context& context, const DecoderWeights& weights,
                                     std::span<DecoderCache* const> caches, std::span<const std::int32_t> tokens,
                                     std::span<const int> parents) {
  rows_ = static_cast<std::int64_t>(tokens.size());
  reserve(weights, rows_);
  std::size_t first = 0;
  for (DecoderCache* cache : caches) {
    FL_DCHECK(cache->steps_ < cache->max_steps_);
    cache->follow_parents(parents.subspan(first, static_cast<std::size_t>(cache->beams_)));
    first += static_cast<std::size_t>(cache->beams_);
  }
  FL_DCHECK(first == tokens.size());
  embed(weights, caches, tokens);
  layer_norm(context, x(), x(), weights.embedding.norm);
  for (std::size_t l = 0; l < weights.layers.size(); ++l) {
    const DecoderLayer& layer = weights.layers[l];
    const Pass pass{layer, l, caches, weights.heads};
    self_attention(context, pass);
    cross_attention_block(context, pass);
    feed_forward_block(context, x(), layer.fc1, layer.fc2, layer.norm);
  }
  for (DecoderCache* cache : caches) ++cache->steps_;
  const View<float> logits(logits_.data(), rows_, weights.head->out());
  matmul(context, logits, x(), *weights.head, {.two_terms = true});
  return logits;
}

}  // namespace florence2
