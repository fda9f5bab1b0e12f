#include "model/rules.hpp"

#include <algorithm>
#include <sstream>
#include <string>

namespace florence2 {
namespace {

Status in_range(const std::string& option, int value, int least, int most) {
  if (value >= least && value <= most) return {};
  return Error{
      ErrorCode::argument,
      option + " must be " + std::to_string(least) + "…" + std::to_string(most) + ", not " + std::to_string(value), ""};
}

/// Infinity and NaN are in no range.
Status in_range(const std::string& option, float value, float least, float most) {
  if (value >= least && value <= most) return {};
  std::ostringstream text;
  text << option << " must be " << least << "…" << most << ", not " << value;
  return Error{ErrorCode::argument, text.str(), ""};
}

/// `least` itself is not allowed.
Status above(const std::string& option, float value, float least, float most) {
  if (value > least && value <= most) return {};
  std::ostringstream text;
  text << option << " must be above " << least << " and at most " << most << ", not " << value;
  return Error{ErrorCode::argument, text.str(), ""};
}

/// Sampling draws one sequence: beams are neither the caller's nor the checkpoint's wish then.
Status add_sampling(GenerationRules& rules, const GenerationOptions& options) {
  rules.sample = options.sample;
  if (!options.sample) return {};
  if (options.num_beams.value_or(1) != 1) {
    return Error{ErrorCode::argument, "num_beams must be 1 when sampling, not " + std::to_string(*options.num_beams),
                 ""};
  }
  rules.num_beams = 1;
  rules.sampling = {options.temperature, options.top_k, options.top_p, options.seed};
  FL_TRY(above("temperature", options.temperature, 0, 100));
  FL_TRY(in_range("top_k", options.top_k, 0, kMostNewTokens));
  return above("top_p", options.top_p, 0, 1);
}

}  // namespace

Result<GenerationRules> rules_in_force(const Config& config, const GenerationOptions& options) {
  GenerationRules rules;
  rules.num_beams = options.num_beams.value_or(config.generation.num_beams);
  rules.min_new_tokens = options.min_new_tokens.value_or(0);
  rules.repetition_penalty = options.repetition_penalty.value_or(1.0f);
  rules.max_new_tokens = options.max_new_tokens.value_or(kDefaultNewTokens);
  rules.no_repeat_ngram = options.no_repeat_ngram.value_or(config.generation.no_repeat_ngram);
  rules.length_penalty = options.length_penalty.value_or(config.generation.length_penalty);
  rules.early_stopping = options.early_stopping.value_or(config.generation.early_stopping);
  FL_TRY(in_range("num_beams", rules.num_beams, 1, kMaxBeams));
  FL_TRY(in_range("max_new_tokens", rules.max_new_tokens, 1, kMostNewTokens));
  FL_TRY(in_range("min_new_tokens", rules.min_new_tokens, 0, kMostNewTokens));
  FL_TRY(in_range("repetition_penalty", rules.repetition_penalty, 1e-3f, 100.0f));  // less sends scores to infinity
  FL_TRY(add_sampling(rules, options));
  FL_TRY(in_range("no_repeat_ngram", rules.no_repeat_ngram, 0, kMostNewTokens));
  FL_TRY(in_range("length_penalty", rules.length_penalty, -100.0f, 100.0f));
  const TextConfig& text = config.text;
  rules.max_new_tokens = std::min(rules.max_new_tokens, text.max_positions);
  rules.start = text.decoder_start;
  rules.eos = text.eos;
  rules.forced_bos = text.forced_bos;
  rules.forced_eos = text.forced_eos;
  return rules;
}

}  // namespace florence2
