// Which matrices of a checkpoint do not bear 8 bits, measured on pictures (docs/precision.md, "Calibration").
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "model/florence2.hpp"

namespace florence2 {

struct CalibrationOptions {
  std::string precision = "int8";      ///< as ConvertOptions::precision
  std::vector<std::string> keep = {};  ///< matrices kept in any case, as ConvertOptions::keep
  double budget = 0.001;               ///< largest divergence that is borne; the demo checkpoint lost nothing at it
  int threads = 0;                     ///< 0: all physical cores this process may use
  /// Called with what is measured before each picture; false cancels (error cancelled).
  std::function<bool(const std::string& what)> on_progress = {};
};

/// Divergences are of Kullback and Leibler, from the distribution of the next token in full precision to the one
/// measured: nats, mean over the tokens of the full-precision answers to a picture, and over the pictures.
struct PartError {
  std::string name;                   ///< of a matrix or a block, as in MatrixEntry
  std::vector<std::string> matrices;  ///< names of MatrixEntry
  double divergence = 0;              ///< with this part alone in 8 bits, on the worst pictures
  bool kept = false;
};

struct Calibration {
  int pictures = 0, tokens = 0;  ///< what was measured on
  double budget = 0;
  double plain = 0;               ///< divergence with nothing kept but CalibrationOptions::keep
  double final = 0;               ///< divergence with what is kept
  std::vector<PartError> parts;   ///< worst first; empty when the budget held with nothing kept
  std::vector<std::string> keep;  ///< for ConvertOptions::keep, those of CalibrationOptions included
};

/// Measures on `pictures` (at least one) what 8 bits change in the answers of the model in `directory`, and which of
/// its matrices to keep as they are stored so that the divergence stays within the budget. The kernels are those that
/// convert_model() writes for, whatever this CPU has. Errors: as Model::load and convert_model; argument: no pictures,
/// a precision without 8-bit parts; model: logits that are not finite.
Result<Calibration> calibrate_model(const std::string& directory, std::span<const ImageView> pictures,
                                    const CalibrationOptions& options = {});

/// Kullback-Leibler divergence, in nats, of softmax(logits) from softmax(reference). Not negative; infinite where
/// logits are not numbers.
double divergence(std::span<const float> reference, std::span<const float> logits);

}  // namespace florence2
