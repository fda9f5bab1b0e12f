#include "model/stored_sizes.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "model/text_encoder.hpp"

namespace florence2 {
namespace {

std::string_view size_with_width(std::int64_t d_model) {
  return d_model == 768 ? "base" : d_model == 1024 ? "large" : "another size";
}

/// Each becomes an index into the embedding or into a row of logits.
Status check_tokens(const TextConfig& text) {
  const std::array<std::pair<const char*, int>, 6> tokens{{{"bos_token_id", text.bos},
                                                           {"pad_token_id", text.pad},
                                                           {"eos_token_id", text.eos},
                                                           {"decoder_start_token_id", text.decoder_start},
                                                           {"forced_bos_token_id", text.forced_bos},
                                                           {"forced_eos_token_id", text.forced_eos}}};
  for (const auto& [name, id] : tokens) {
    if (id < text.vocabulary) continue;
    return Error{ErrorCode::model,
                 std::string(name) + " = " + std::to_string(id) + ", the vocabulary has " +
                     std::to_string(text.vocabulary) + " tokens",
                 ""};
  }
  return {};
}

}  // namespace

std::string token_embedding_name(const WeightReader& reader) {
  const std::array<std::string, 3> names{"model.language_model.shared", "model.language_model.encoder.embed_tokens",
                                         "model.language_model.decoder.embed_tokens"};
  const auto found = std::find_if(names.begin(), names.end(),
                                  [&](const std::string& name) { return !reader.shape_of(name + ".weight").empty(); });
  return found == names.end() ? names[0] : *found;
}

Status adopt_sizes(const WeightReader& reader, TextConfig& text) {
  const std::string embedding = token_embedding_name(reader);
  const auto tokens = reader.shape_of(embedding + ".weight");
  if (tokens.size() == 2 && tokens[1] != text.d_model) {
    return Error{ErrorCode::model,
                 "config.json says " + std::string(size_with_width(text.d_model)) + " (d_model " +
                     std::to_string(text.d_model) + "), weights look like " + std::string(size_with_width(tokens[1])) +
                     " (" + std::to_string(tokens[1]) + ")",
                 ""};
  }
  const std::int64_t vocabulary = reader.rows_of(embedding);
  if (vocabulary > 0) text.vocabulary = static_cast<int>(std::min<std::int64_t>(vocabulary, 1 << 24));
  const auto positions = reader.shape_of("model.language_model.encoder.embed_positions.weight");
  if (positions.size() == 2) {
    text.max_positions = static_cast<int>(std::clamp<std::int64_t>(positions[0] - kPositionOffset, 1, 1 << 24));
  }
  return check_tokens(text);
}

}  // namespace florence2
