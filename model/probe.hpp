// How far a model in some precision is from the same model in full precision, along the latter's answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "model/engine.hpp"

namespace florence2 {

/// The first stage whose results a change can alter; those before it are taken from full precision.
enum class ProbeStart : std::uint8_t { vision, encoder, decoder };

class Probe {
 public:
  /// Called before each picture; false cancels.
  using Progress = std::function<bool()>;

  /// Loads the model in full precision and lets it answer about the pictures. `table` serves all measurements.
  /// Errors: as Model::load; model: logits that are not finite; cancelled.
  static Result<Probe> create(const std::string& directory, std::span<const ImageView> pictures,
                              const KernelTable& table, int threads, const Progress& progress);

  int pictures() const { return static_cast<int>(pixels_.size()); }
  int tokens() const { return tokens_; }

  /// For each of `pictures` (indices) the divergence (see divergence() in model/calibrate.hpp) of the model in the
  /// precision `plan`, mean over the tokens.
  Result<std::vector<double>> measure(const PrecisionPlan& plan, ProbeStart start,
                                      std::span<const std::size_t> pictures, const Progress& progress) const;

 private:
  /// A question about a picture, and what full precision makes of it.
  struct Trial {
    std::size_t picture;
    std::vector<std::int32_t> prompt;
    std::vector<std::int32_t> inputs;  // of the decoder, one a step
    Buffer<float> memory;              // [rows, d], what the encoder gives
    std::vector<float> logits;         // [inputs, vocabulary]
  };

  Probe(std::string directory, const KernelTable& table, int threads)
      : directory_(std::move(directory)), table_(&table), threads_(threads) {}
  Status answer(const Model& model, std::span<const ImageView> pictures, const Progress& progress);
  Status record(Engine& engine, const ModelImpl& model, Trial& trial) const;
  double divergence_sum(Engine& engine, const ModelImpl& model, const Trial& trial, View<const float> memory) const;

  std::string directory_;
  const KernelTable* table_;
  int threads_;
  std::int64_t d_ = 0;
  int tokens_ = 0;
  std::vector<Buffer<float>> pixels_;  // [side * side, 3] each
  std::vector<EncodedImage> images_;   // in full precision
  std::vector<Trial> trials_;
};

}  // namespace florence2
