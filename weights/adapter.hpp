// One adapter folder in PEFT's layout: low-rank changes and replacements of a checkpoint's tensors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.hpp"
#include "core/result.hpp"
#include "weights/adapter_config.hpp"
#include "weights/low_rank.hpp"
#include "weights/tensor_source.hpp"

namespace florence2 {

class Adapter {
 public:
  /// Opens adapter_config.json and adapter_model.safetensors or .bin; `scale` multiplies the adapter's own strength.
  /// Errors: as of files; model for what is no LoRA, rsLoRA or DoRA; argument for a scale that is not finite.
  static Result<Adapter> open(const std::string& directory, float scale);

  // Tensors are asked for by Hugging Face's names; the adapter may have been trained on either layout.

  bool touches(std::string_view hf_name) const;
  /// Names of the modules it changes or replaces, as in the adapter without PEFT's prefix; sorted.
  std::vector<std::string> modules() const;
  /// A whole tensor, widened, that takes the place of the base's, or (modules_to_save) of all that adapters made of it.
  struct Replacement {
    Buffer<float> values;
    bool is_base = false;
  };
  /// Empty when there is none.
  Result<std::optional<Replacement>> replacement(std::string_view hf_name, std::span<const std::int64_t> shape);
  /// The change of a weight whose first axis are the outputs, or of a bias; empty when there is none.
  Result<std::optional<LowRank>> change(std::string_view hf_name, std::span<const std::int64_t> shape);

  /// Error model when something in the adapter was never asked for: it was made for another model.
  Status check_all_used() const;

 private:
  using Part = const TensorInfo*;
  struct Module {
    Part a = nullptr, b = nullptr;                      // of linear layers and convolutions
    Part embedding_a = nullptr, embedding_b = nullptr;  // of embeddings
    Part magnitude = nullptr;
    Part bias = nullptr;  // of b
  };

  Adapter(TensorSource source, AdapterConfig config, float scale);
  Status sort_in(const TensorInfo& info);
  Module* find_module(std::string_view hf_name);
  Part find_replacement(std::string_view hf_name) const;
  Error wrong(const TensorInfo& info, const std::string& what) const;
  /// All values, widened; the tensor is used from now on.
  Result<Buffer<float>> floats(const TensorInfo& info);
  Result<LowRank> layer_change(const std::string& module, const Module& parts, std::span<const std::int64_t> shape);
  Result<LowRank> embedding_change(const std::string& module, const Module& parts, std::span<const std::int64_t> shape);
  Result<LowRank> bias_change(const std::string& module, const Module& parts, std::span<const std::int64_t> shape);

  TensorSource source_;
  AdapterConfig config_;
  float scale_;
  std::map<std::string, Module, std::less<>> modules_;     // by name in the adapter, without PEFT's prefix
  std::map<std::string, Part, std::less<>> replacements_;  // the same
  std::vector<bool> used_;                                 // by index in source_.tensors()
};

}  // namespace florence2
