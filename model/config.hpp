// config.json, preprocessor_config.json and generation_config.json as one plain struct, in either published spelling.
#pragma once

#include <array>
#include <string>

#include "core/result.hpp"
#include "model/florence2.hpp"

namespace florence2 {

inline constexpr int kVisionStages = 4;

struct VisionConfig {
  std::array<int, kVisionStages> depths{}, dims{}, heads{}, groups{};
  std::array<int, kVisionStages> patch_size{}, patch_stride{}, patch_padding{};
  std::array<bool, kVisionStages> patch_prenorm{};
  int window = 12;
  int mlp_ratio = 4;
  int max_positions = 50;  ///< side of the learned 2-D position tables
};

struct TextConfig {
  int d_model = 0;
  int encoder_layers = 0, decoder_layers = 0;
  int encoder_heads = 0, decoder_heads = 0;
  int encoder_ffn = 0, decoder_ffn = 0;
  int vocabulary = 0;     ///< rows of the embedding as configured; the file's own count wins
  int max_positions = 0;  ///< as configured; the file's own count wins
  int bos = 0, pad = 1, eos = 2, decoder_start = 2;
  int forced_bos = 0, forced_eos = 2;  ///< -1: not forced
};

/// Defaults of GenerationOptions (florence2 specification, section 10.1).
struct GenerationDefaults {
  int num_beams = 3;
  int no_repeat_ngram = 3;
  float length_penalty = 1.0f;
  EarlyStopping early_stopping = EarlyStopping::yes;
};

struct ImageConfig {
  int side = 768;
  std::array<float, 3> mean{0.485f, 0.456f, 0.406f};
  std::array<float, 3> stddev{0.229f, 0.224f, 0.225f};
};

struct Config {
  VisionConfig vision;
  TextConfig text;
  GenerationDefaults generation;
  ImageConfig image;

  int grid_side() const;  ///< of the last stage's map, e.g. 24
  int image_tokens() const { return 1 + grid_side() * grid_side(); }
  int image_width() const { return vision.dims[kVisionStages - 1]; }  ///< channels of the last stage
};

/// Reads the folder's small files; only config.json must exist. Every value is ranged, lists have four entries,
/// dims divide by heads, the grid fits the position tables. Errors: not_found, permission, model.
Result<Config> load_config(const std::string& directory);

/// The published shapes, for tests and benchmarks without files: "mini", "base" or "large" (input 768).
Result<Config> named_config(std::string_view size);

}  // namespace florence2
