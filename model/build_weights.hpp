// The walk over all weights of a Florence-2: which tensor, of which shape, goes where. Where the numbers come from is
// the source's business: a file (load.cpp), a random generator (seeded.cpp), a test.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "core/result.hpp"
#include "model/config.hpp"
#include "model/engine.hpp"

namespace florence2 {

/// Builds every weight of `config` from `Source`, which has those calls of WeightReader (weights/weight_reader.hpp)
/// that are used here. Names are Hugging Face's. LM head and token embedding are the caller's, who knows whether they
/// are tied.
template <typename Source>
class WeightBuilder {
 public:
  WeightBuilder(Source& source, const Config& config, const KernelTable& table)
      : source_(source), config_(config), table_(table) {}

  /// tokens: B[d, vocabulary]; head: [d] -> [vocabulary].
  Result<Weights> build(std::shared_ptr<const PackedMatrix> tokens, std::shared_ptr<const Linear> head) {
    Weights weights;
    FL_ASSIGN(weights.vision, vision());
    FL_ASSIGN(weights.projector, projector());
    const TextConfig& text = config_.text;
    FL_ASSIGN(weights.encoder.embedding, embedding("encoder", tokens));
    FL_ASSIGN(weights.decoder.embedding, embedding("decoder", tokens));
    weights.decoder.head = std::move(head);
    weights.encoder.heads = text.encoder_heads;
    weights.decoder.heads = text.decoder_heads;
    for (int l = 0; l < text.encoder_layers; ++l) {
      FL_ASSIGN(auto layer, encoder_layer(l));
      weights.encoder.layers.push_back(std::move(layer));
    }
    for (int l = 0; l < text.decoder_layers; ++l) {
      FL_ASSIGN(auto layer, decoder_layer(l));
      weights.decoder.layers.push_back(std::move(layer));
    }
    return weights;
  }

 private:
  Result<DavitWeights> vision() {
    DavitWeights weights;
    weights.window = config_.vision.window;
    for (std::size_t s = 0; s < kVisionStages; ++s) {
      FL_ASSIGN(weights.stages[s], stage(s));
    }
    return weights;
  }

  Result<DavitStage> stage(std::size_t s) {
    const VisionConfig& vision = config_.vision;
    const std::int64_t in = s == 0 ? 3 : vision.dims[s - 1];
    const std::int64_t out = vision.dims[s];
    const std::string conv = kVision + "convs." + std::to_string(s);
    DavitStage stage;
    stage.prenorm = vision.patch_prenorm[s];
    stage.embedding.kernel = vision.patch_size[s];
    stage.embedding.stride = vision.patch_stride[s];
    stage.embedding.padding = vision.patch_padding[s];
    stage.embedding.in_channels = in;
    FL_ASSIGN(stage.embedding.proj, source_.patch_linear(table_, conv + ".conv", out, in, vision.patch_size[s]));
    FL_ASSIGN(stage.norm, source_.norm(conv + ".norm", stage.prenorm ? in : out));
    for (int b = 0; b < vision.depths[s]; ++b) {
      const std::string pair = kVision + "blocks." + std::to_string(s) + "." + std::to_string(b);
      FL_ASSIGN(auto spatial, davit_block(pair + ".spatial_block.", "window_attn", out, vision.heads[s]));
      FL_ASSIGN(auto channel, davit_block(pair + ".channel_block.", "channel_attn", out, vision.groups[s]));
      stage.spatial.push_back(std::move(spatial));
      stage.channel.push_back(std::move(channel));
    }
    return stage;
  }

  Result<DavitBlock> davit_block(const std::string& name, const std::string& attention, std::int64_t c, int heads) {
    const std::int64_t hidden = c * config_.vision.mlp_ratio;
    DavitBlock block;
    block.attention.heads = heads;
    FL_ASSIGN(block.conv1, source_.depthwise(name + "conv1", c));
    FL_ASSIGN(block.attention.norm, source_.norm(name + "norm1", c));
    FL_ASSIGN(block.attention.qkv, source_.linear(table_, name + attention + ".qkv", 3 * c, c));
    FL_ASSIGN(block.attention.proj, source_.linear(table_, name + attention + ".proj", c, c));
    FL_ASSIGN(block.conv2, source_.depthwise(name + "conv2", c));
    FL_ASSIGN(block.norm2, source_.norm(name + "norm2", c));
    FL_ASSIGN(block.fc1, source_.linear(table_, name + "ffn.fc1", hidden, c));
    FL_ASSIGN(block.fc2, source_.linear(table_, name + "ffn.fc2", c, hidden));
    return block;
  }

  Result<ProjectorWeights> projector() {
    const std::string name = "model.multi_modal_projector.";
    const std::string position = name + "image_position_embed.";
    const std::int64_t channels = config_.image_width();
    const std::int64_t half = channels / 2;
    const std::int64_t side = config_.vision.max_positions;
    ProjectorWeights weights;
    FL_ASSIGN(weights.column_embeddings, source_.tensor(position + "column_embeddings.weight", {side, half}));
    FL_ASSIGN(weights.row_embeddings, source_.tensor(position + "row_embeddings.weight", {side, channels - half}));
    FL_ASSIGN(weights.projection, source_.projection(table_, config_.text.d_model, channels));
    FL_ASSIGN(weights.norm, source_.norm(name + "image_proj_norm", config_.text.d_model));
    return weights;
  }

  Result<Embedding> embedding(const std::string& side, std::shared_ptr<const PackedMatrix> tokens) {
    const std::string name = kLanguage + side;
    const std::int64_t d = config_.text.d_model;
    Embedding embedding;
    embedding.tokens = std::move(tokens);
    FL_ASSIGN(embedding.positions,
              source_.tensor(name + ".embed_positions.weight", {config_.text.max_positions + kPositionOffset, d}));
    FL_ASSIGN(embedding.norm, source_.norm(name + ".layernorm_embedding", d));
    return embedding;
  }

  Result<SelfAttention> self_attention(const std::string& layer) {
    const std::string name = layer + "self_attn.";
    const std::int64_t d = config_.text.d_model;
    const std::array<std::string, 3> qkv{name + "q_proj", name + "k_proj", name + "v_proj"};
    SelfAttention attention;
    FL_ASSIGN(attention.qkv, source_.linears(table_, qkv, d, d));
    FL_ASSIGN(attention.out, source_.linear(table_, name + "out_proj", d, d));
    FL_ASSIGN(attention.norm, source_.norm(layer + "self_attn_layer_norm", d));
    return attention;
  }

  Result<CrossAttentionWeights> cross_attention(const std::string& layer) {
    const std::string name = layer + "encoder_attn.";
    const std::int64_t d = config_.text.d_model;
    const std::array<std::string, 2> kv{name + "k_proj", name + "v_proj"};
    CrossAttentionWeights attention;
    FL_ASSIGN(attention.q, source_.linear(table_, name + "q_proj", d, d));
    FL_ASSIGN(attention.kv, source_.linears(table_, kv, d, d));
    FL_ASSIGN(attention.out, source_.linear(table_, name + "out_proj", d, d));
    FL_ASSIGN(attention.norm, source_.norm(layer + "encoder_attn_layer_norm", d));
    return attention;
  }

  /// fc1, fc2 and the norm after them, which both kinds of layer end with.
  template <typename Layer>
  Status feed_forward(Layer& layer, const std::string& name, std::int64_t hidden) {
    const std::int64_t d = config_.text.d_model;
    FL_ASSIGN(layer.fc1, source_.linear(table_, name + "fc1", hidden, d));
    FL_ASSIGN(layer.fc2, source_.linear(table_, name + "fc2", d, hidden));
    FL_ASSIGN(layer.norm, source_.norm(name + "final_layer_norm", d));
    return {};
  }

  Result<EncoderLayer> encoder_layer(int l) {
    const std::string name = kLanguage + "encoder.layers." + std::to_string(l) + ".";
    EncoderLayer layer;
    FL_ASSIGN(layer.attention, self_attention(name));
    FL_TRY(feed_forward(layer, name, config_.text.encoder_ffn));
    return layer;
  }

  Result<DecoderLayer> decoder_layer(int l) {
    const std::string name = kLanguage + "decoder.layers." + std::to_string(l) + ".";
    DecoderLayer layer;
    FL_ASSIGN(layer.attention, self_attention(name));
    FL_ASSIGN(layer.cross, cross_attention(name));
    FL_TRY(feed_forward(layer, name, config_.text.decoder_ffn));
    return layer;
  }

  inline static const std::string kVision = "model.vision_tower.";
  inline static const std::string kLanguage = "model.language_model.";

  Source& source_;
  const Config& config_;
  const KernelTable& table_;
};

/// The head's matrix as token embedding, for tied models.
inline std::shared_ptr<const PackedMatrix> tied_tokens(const std::shared_ptr<const Linear>& head) {
  return {head, &head->weight};
}

/// What the weights take in memory, and how many they are; a matrix that two parts share counts once.
struct WeightSize {
  std::int64_t bytes = 0;
  std::int64_t parameters = 0;
};
WeightSize measure(const Weights& weights);

}  // namespace florence2
