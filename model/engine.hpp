// The loaded model and one run's workspace, as the public API, the tests and the benchmark see them.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "kernels/context.hpp"
#include "model/config.hpp"
#include "model/davit.hpp"
#include "model/florence2.hpp"
#include "model/precision.hpp"
#include "model/projector.hpp"
#include "model/text_decoder.hpp"
#include "model/text_encoder.hpp"
#include "tokenizer/tokenizer.hpp"

namespace florence2 {

struct Weights {
  DavitWeights vision;
  ProjectorWeights projector;
  EncoderWeights encoder;
  DecoderWeights decoder;
  std::uint32_t vision_id = 0;  // of vision, projector and the preprocessing before them
};

struct ModelImpl {
  ModelInfo info;
  Config config;
  std::optional<Tokenizer> tokenizer;  // absent only in seeded models
  Weights weights;
  const KernelTable* table = nullptr;
  PrecisionPlan precision;
};

/// The kernels that `options` ask for.
Result<const KernelTable*> choose_table(const ModelOptions& options);

/// What the configuration and the kernels say about a model; the weight fields stay empty.
ModelInfo info_of(const Config& config, const KernelTable& table);

/// Error argument: not in the range that loading and running take.
Status check_threads(int threads);

/// The physical cores this process may use (affinity and cgroup quota respected), at least 1.
int default_threads();

/// Reads all weights of `directory` for `config` (whose vocabulary and max_positions it corrects to the file's), packed
/// for `table` as `precision` says. Fills the weight fields of `info`.
Result<Weights> load_weights(const std::string& directory, Config& config, const KernelTable& table,
                             const PrecisionPlan& precision, const ModelOptions& options, ModelInfo& info);

/// A model of the named size with seeded, non-zero random weights and no tokenizer, for benchmarks.
Result<Model> seeded_model(std::string_view size, std::uint64_t seed, DType storage, const ModelOptions& options = {});

/// One stage after the other, without tokenizer or parser.
class Engine {
 public:
  Engine(const ModelImpl& model, int threads);

  Context& context() { return context_; }
  /// pixels: [side * side, 3] -> image tokens [image_tokens, d]; valid until the next call.
  View<const float> encode_image(View<const float> pixels,
                                 const std::function<void(int, View<const float>)>& after_stage = {});
  /// Encoder over image tokens and prompt ids; memory [s, d], valid until the next call.
  View<const float> encode_prompt(View<const float> image, std::span<const std::int32_t> ids);
  DecoderState& decoder() { return decoder_; }

 private:
  const ModelImpl& model_;
  Context context_;
  DavitBuffers vision_;
  ProjectorBuffers projector_;
  EncoderBuffers encoder_;
  DecoderState decoder_;
  Buffer<float> image_tokens_;
};

}  // namespace florence2
