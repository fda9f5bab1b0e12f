// From a checkpoint folder to packed weights.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "model/build_weights.hpp"
#include "model/engine.hpp"
#include "model/stored_sizes.hpp"
#include "weights/weight_reader.hpp"

namespace florence2 {
namespace {

constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kHeadBias = "final_logits_bias";

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
  const std::string embedding = token_embedding_name(reader);
  TextConfig& text = config.text;
  FL_TRY(adopt_sizes(reader, text));
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

/// What a file of our own was converted to, which nothing can undo; else what was asked for.
Result<std::string> precision_in_force(const WeightReader& reader, const PrecisionPlan& plan,
                                       const ModelOptions& options) {
  const std::string asked = plan.text_form(), converted = reader.metadata(kPrecisionKey);
  if (converted.empty() || converted == asked) return asked;
  if (options.precision.empty() || options.precision == "auto") return converted;
  return Error{ErrorCode::argument,
               "these weights were converted to " + converted + "; precision " + asked + " needs the original",
               reader.path()};
}

}  // namespace

Result<Weights> load_weights(const std::string& directory, Config& config, const KernelTable& table,
                             const PrecisionPlan& precision, const ModelOptions& options, ModelInfo& info) {
  const int threads = options.threads > 0 ? options.threads : default_threads();
  const auto choose = [&](std::string_view name, DType stored) { return precision.weight_dtype(name, stored); };
  FL_ASSIGN(auto reader, WeightReader::open(directory, {threads, options.check_weights, choose}));
  FL_ASSIGN(info.precision, precision_in_force(reader, precision, options));
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
