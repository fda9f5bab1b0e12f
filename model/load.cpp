// From a checkpoint folder to packed weights.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "core/fnv.hpp"
#include "model/build_weights.hpp"
#include "model/engine.hpp"
#include "model/stored_sizes.hpp"
#include "weights/weight_reader.hpp"

namespace florence2 {
namespace {

constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kHeadBias = "final_logits_bias";
const std::string kShared = "model.language_model.shared";  // the encoder is given rows of it
const std::string kDecoderTokens = "model.language_model.decoder.embed_tokens";

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

/// The three places that tied weights fill: what the encoder's tokens and the decoder's are looked up in, and the head.
/// Only an adapter can tell them apart where the file does not.
struct TokenMatrices {
  std::shared_ptr<const PackedMatrix> encoder, decoder;
  std::shared_ptr<Linear> head;
};

class TokenMatrixReader {
 public:
  TokenMatrixReader(WeightReader& reader, const TextConfig& text, const KernelTable& table)
      : reader_(reader), text_(text), table_(table), embedding_(token_embedding_name(reader)) {}

  Result<TokenMatrices> read() {
    const bool is_tied = reader_.shape_of(kHead).empty();
    const std::string head_name = is_tied && !reader_.is_adapted(kHead) ? embedding_ : "lm_head";
    if (is_tied) reader_.tie(kHead, embedding_ + ".weight");
    reader_.tie(kShared + ".weight", embedding_ + ".weight");
    reader_.tie(kDecoderTokens + ".weight", embedding_ + ".weight");
    TokenMatrices matrices;
    FL_ASSIGN(Linear head, matrix(is_plain(kShared) ? head_name : "lm_head"));
    matrices.head = std::make_shared<Linear>(std::move(head));
    const bool head_is_shared = is_tied && head_name == embedding_;
    const auto shared = head_is_shared ? tied_tokens(matrices.head) : nullptr;
    FL_ASSIGN(matrices.encoder, tokens(kShared, shared));
    FL_ASSIGN(matrices.decoder, tokens(kDecoderTokens, is_plain(kShared) ? matrices.encoder : shared));
    return matrices;
  }

 private:
  bool is_plain(const std::string& name) const { return !reader_.is_adapted(name + ".weight"); }

  Result<Linear> matrix(const std::string& name) {
    return reader_.linear(table_, name, text_.vocabulary, text_.d_model, false);
  }

  /// `shared` where it holds the same.
  Result<std::shared_ptr<const PackedMatrix>> tokens(const std::string& name,
                                                     std::shared_ptr<const PackedMatrix> shared) {
    if (is_plain(name) && shared != nullptr) return shared;
    FL_ASSIGN(Linear rows, matrix(name));
    return std::make_shared<const PackedMatrix>(std::move(rows.weight));
  }

  WeightReader& reader_;
  const TextConfig& text_;
  const KernelTable& table_;
  std::string embedding_;
};

Status add_adapters(WeightReader& reader, const std::vector<AdapterOptions>& adapters, ModelInfo& info) {
  for (const AdapterOptions& options : adapters) {
    FL_ASSIGN(Adapter adapter, Adapter::open(options.directory, options.scale));
    info.adapters.push_back({options.directory, options.scale, adapter.modules()});
    reader.add(std::move(adapter));
  }
  return {};
}

/// Of what makes features out of pixels.
std::uint32_t encoder_id(const std::string& vision, const ImageConfig& image) {
  std::uint64_t hash = fnv1a(kFnvStart, std::as_bytes(std::span(vision)));
  for (const auto& channels : {image.mean, image.stddev}) hash = fnv1a(hash, std::as_bytes(std::span(channels)));
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

Result<Weights> read_all(WeightReader& reader, Config& config, const KernelTable& table, ModelInfo& info) {
  FL_TRY(adopt_sizes(reader, config.text));
  info.tied_head = reader.shape_of(kHead).empty();
  FL_ASSIGN(TokenMatrices tokens, TokenMatrixReader(reader, config.text, table).read());
  FL_ASSIGN(tokens.head->bias, head_bias(reader, config.text.vocabulary));
  FL_ASSIGN(Weights weights, WeightBuilder(reader, config, table).build(tokens.encoder, std::move(tokens.head)));
  weights.decoder.embedding.tokens = std::move(tokens.decoder);
  weights.vision_id = encoder_id(reader.vision_id(), config.image);
  FL_TRY(reader.check_adapters_used());
  return weights;
}

/// What a file of our own was converted to, which nothing can undo; else what was asked for.
Result<PrecisionPlan> plan_in_force(const WeightReader& reader, const PrecisionPlan& asked, const KernelTable& table,
                                    const ModelOptions& options) {
  const std::string text = reader.metadata(kPrecisionKey);
  if (text.empty()) return asked;
  const auto parsed = parse_precision(text, table);
  if (!parsed) {
    return Error{ErrorCode::model, std::string(kPrecisionKey) + " " + parsed.error().message, reader.path()};
  }
  const PrecisionPlan converted = *parsed;
  if (converted == asked || options.precision.empty() || options.precision == "auto") return converted;
  return Error{ErrorCode::argument,
               "these weights were converted to " + text + "; precision " + asked.text_form() + " needs the original",
               reader.path()};
}

}  // namespace

Result<Weights> load_weights(const std::string& directory, Config& config, const KernelTable& table,
                             const PrecisionPlan& precision, const ModelOptions& options, ModelInfo& info) {
  const int threads = options.threads > 0 ? options.threads : default_threads();
  PrecisionPlan plan = precision;
  bool converted = false;
  const auto choose = [&](std::string_view name, DType stored) {
    const WeightType type = plan.weight_type(name, stored, table);
    // What a file of our own holds in more than 8 bits was kept so on purpose, and 8 bits cannot be undone.
    return converted && (type.dtype == DType::s8 || stored == DType::s8) ? WeightType(stored) : type;
  };
  FL_ASSIGN(auto reader, WeightReader::open(directory, {threads, options.check_weights, choose}));
  FL_ASSIGN(plan, plan_in_force(reader, precision, table, options));
  converted = !reader.metadata(kPrecisionKey).empty();
  info.precision = plan.text_form();
  FL_TRY(add_adapters(reader, options.adapters, info));
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
