// From a checkpoint folder to packed weights.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "model/build_weights.hpp"
#include "model/engine.hpp"
#include "weights/weight_reader.hpp"

namespace florence2 {
namespace {

constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kHeadBias = "final_logits_bias";

/// Name of the token embedding without ".weight". Files normally hold it once, as `shared`; copies made with other
/// tools may have it under one of its aliases alone.
std::string embedding_name(const WeightReader& reader) {
  const std::array<std::string, 3> names{"model.language_model.shared", "model.language_model.encoder.embed_tokens",
                                         "model.language_model.decoder.embed_tokens"};
  const auto found = std::find_if(names.begin(), names.end(),
                                  [&](const std::string& name) { return !reader.shape_of(name + ".weight").empty(); });
  return found == names.end() ? names[0] : *found;
}

std::string_view size_with_width(std::int64_t d_model) {
  return d_model == 768 ? "base" : d_model == 1024 ? "large" : "another size";
}

Error mismatch(std::string message) { return {ErrorCode::model, std::move(message), ""}; }

/// Vocabulary and positions as the file has them: copies of one model differ in both.
Status adopt_sizes(const WeightReader& reader, const std::string& embedding, TextConfig& text) {
  const auto tokens = reader.shape_of(embedding + ".weight");
  if (tokens.size() == 2 && tokens[1] != text.d_model) {
    return mismatch("config.json says " + std::string(size_with_width(text.d_model)) + " (d_model " +
                    std::to_string(text.d_model) + "), weights look like " + std::string(size_with_width(tokens[1])) +
                    " (" + std::to_string(tokens[1]) + ")");
  }
  if (tokens.size() == 2) text.vocabulary = static_cast<int>(std::min<std::int64_t>(tokens[0], 1 << 24));
  const auto positions = reader.shape_of("model.language_model.encoder.embed_positions.weight");
  if (positions.size() == 2) {
    text.max_positions = static_cast<int>(std::clamp<std::int64_t>(positions[0] - kPositionOffset, 1, 1 << 24));
  }
  return {};
}

/// final_logits_bias, or an empty buffer when the file lacks it or it is zero (as in all published files).
Result<Buffer<float>> head_bias(WeightReader& reader, std::int64_t vocabulary) {
  if (reader.shape_of(kHeadBias).empty()) return Buffer<float>();
  FL_ASSIGN(auto bias, reader.tensor(kHeadBias, {1, vocabulary}));
  const auto values = bias.span();
  if (std::all_of(values.begin(), values.end(), [](float value) { return value == 0; })) return Buffer<float>();
  return bias;
}

void describe(const WeightReader& reader, const Weights& weights, ModelInfo& info) {
  info.layout = reader.ms_layout() ? "ms" : "hf";
  info.storage = reader.storage();
  info.parameters = reader.parameters();
  info.weight_bytes = measure(weights).bytes;
  const std::vector<std::string> unused = reader.unused();
  if (!unused.empty()) {
    info.warnings.push_back(std::to_string(unused.size()) + " tensors not used (first: " + unused.front() + ")");
  }
}

Result<Weights> read_all(WeightReader& reader, Config& config, const KernelTable& table, ModelInfo& info) {
  const std::string embedding = embedding_name(reader);
  TextConfig& text = config.text;
  FL_TRY(adopt_sizes(reader, embedding, text));
  info.tied_head = reader.shape_of(kHead).empty();
  const std::string head_name = info.tied_head ? embedding : "lm_head";
  FL_ASSIGN(Linear read_head, reader.linear(table, head_name, text.vocabulary, text.d_model, false));
  auto head = std::make_shared<Linear>(std::move(read_head));
  FL_ASSIGN(head->bias, head_bias(reader, text.vocabulary));
  auto tokens = tied_tokens(head);
  if (!info.tied_head) {
    FL_ASSIGN(Linear rows, reader.linear(table, embedding, text.vocabulary, text.d_model, false));
    tokens = std::make_shared<PackedMatrix>(std::move(rows.weight));
  }
  return WeightBuilder(reader, config, table).build(std::move(tokens), std::move(head));
}

}  // namespace

Result<Weights> load_weights(const std::string& directory, Config& config, const KernelTable& table,
                             const PrecisionPlan& precision, const ModelOptions& options, ModelInfo& info) {
  const int threads = options.threads > 0 ? options.threads : default_threads();
  const auto choose = [&](std::string_view name, DType stored) { return precision.weight_type(name, stored, table); };
  FL_ASSIGN(auto reader, WeightReader::open(directory, {threads, options.check_weights, choose}));
  auto weights = read_all(reader, config, table, info);
  if (!weights) {
    Error error = std::move(weights).error();
    if (error.where.empty()) error.where = reader.path();
    return error;
  }
  describe(reader, *weights, info);
  return weights;
}

}  // namespace florence2
