// The matrices of a checkpoint that can be quantised, one entry for each that the engine multiplies by.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "kernels/table.hpp"
#include "model/build_weights.hpp"
#include "model/stored_sizes.hpp"
#include "weights/weight_reader.hpp"

namespace florence2 {

/// Walks over all weights of a checkpoint once: what WeightBuilder visits, then the embedding and an LM head of its
/// own. These come last because a converted file keeps the order, and their scales, one a token, would move the
/// matrices behind them off the cache lines. `source` has the calls of WeightReader that are used there.
template <typename Source>
Status walk_weights(Source& source, const WeightReader& reader, const Config& config, const KernelTable& table) {
  const TextConfig& text = config.text;
  FL_TRY(WeightBuilder(source, config, table).build(nullptr, nullptr));
  FL_TRY(source.linear(table, token_embedding_name(reader), text.vocabulary, text.d_model, false));
  if (!reader.shape_of("lm_head.weight").empty()) {
    FL_TRY(source.linear(table, "lm_head", text.vocabulary, text.d_model, false));
  }
  if (!reader.shape_of("final_logits_bias").empty()) {
    FL_TRY(source.tensor("final_logits_bias", {1, text.vocabulary}));
  }
  return {};
}

struct MatrixEntry {
  std::string name;                  ///< for people: without "model.", "self_attn.qkv_proj" for the three together
  std::vector<std::string> tensors;  ///< Hugging Face's names without ".weight"
};

/// All matrices of the checkpoint, in the order of the walk. Errors: model.
Result<std::vector<MatrixEntry>> list_matrices(const WeightReader& reader, const Config& config,
                                               const KernelTable& table);

/// The tensors of all entries that one of `patterns` matches ('*' and '?' as in a shell; the name of the entry or of
/// one of its tensors). Error argument: a pattern that matches nothing.
Result<std::set<std::string, std::less<>>> matching_tensors(std::span<const MatrixEntry> matrices,
                                                            std::span<const std::string> patterns);

}  // namespace florence2
