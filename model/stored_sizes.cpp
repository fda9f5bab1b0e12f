#include "model/stored_sizes.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "model/text_encoder.hpp"

namespace florence2 {
namespace {

std::string_view size_with_width(std::int64_t d_model) {
  return d_model == 768 ? "base" : d_model == 1024 ? "large" : "another size";
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
  return {};
}

}  // namespace florence2
