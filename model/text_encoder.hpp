// The BART encoder: post-norm layers over image tokens and prompt tokens together.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/buffer.hpp"
#include "kernels/matmul.hpp"

namespace florence2 {

/// BART's position tables start with two unused rows.
inline constexpr std::int64_t kPositionOffset = 2;

/// Token embeddings and learned positions; the row of position p is p + kPositionOffset.
struct Embedding {
  std::shared_ptr<const PackedMatrix> tokens;  // B[d, vocabulary]: the LM head's matrix when tied
  Buffer<float> positions;                     // [max_positions + kPositionOffset, d]
  Norm norm;
};

/// dst[d] = tokens[id] + positions[position + kPositionOffset]; the norm comes after.
void embed_token(float* dst, const Embedding& embedding, std::int32_t id, std::int64_t position);
/// dst[d] += positions[position + kPositionOffset].
void add_position(float* dst, const Embedding& embedding, std::int64_t position);

struct SelfAttention {
  Linear qkv;  // [d] -> [3d]: q_proj, k_proj and v_proj one after the other
  Linear out;
  Norm norm;
};

struct EncoderLayer {
  SelfAttention attention;
  Linear fc1, fc2;
  Norm norm;
};

struct EncoderWeights {
  Embedding embedding;
  std::vector<EncoderLayer> layers;
  int heads = 1;
};

struct EncoderBuffers {
  Buffer<float> x;         // [s, d]: the residual stream and the result
  Buffer<float> qkv;       // [s, 3d]
  Buffer<float> attended;  // [s, d]
};

/// memory[s, d] of s = image tokens + ids.size() positions. image: [image tokens, d]. The result lies in `buffers`
/// until the next call. s must not exceed the position table, ids must be below the vocabulary.
View<const float> run_encoder(Context& context, const EncoderWeights& weights, View<const float> image,
                              std::span<const std::int32_t> ids, EncoderBuffers& buffers);

}  // namespace florence2
