#include "model/rules.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace florence2 {
namespace {

Status in_range(const std::string& option, int value, int least, int most) {
  if (value >= least && value <= most) return {};
  return Error{
      ErrorCode::argument,
      option + " must be " + std::to_string(least) + "…" + std::to_string(most) + ", not " + std::to_string(value), ""};
}

}  // namespace

Result<GenerationRules> rules_in_force(const Config& config, const GenerationOptions& options) {
  GenerationRules rules;
  rules.num_beams = options.num_beams.value_or(config.generation.num_beams);
  rules.max_new_tokens = options.max_new_tokens.value_or(kDefaultNewTokens);
  rules.no_repeat_ngram = options.no_repeat_ngram.value_or(config.generation.no_repeat_ngram);
  rules.length_penalty = options.length_penalty.value_or(config.generation.length_penalty);
  rules.early_stopping = options.early_stopping.value_or(config.generation.early_stopping);
  FL_TRY(in_range("num_beams", rules.num_beams, 1, kMaxBeams));
  FL_TRY(in_range("max_new_tokens", rules.max_new_tokens, 1, kMostNewTokens));
  FL_TRY(in_range("no_repeat_ngram", rules.no_repeat_ngram, 0, kMostNewTokens));
  if (!(std::abs(rules.length_penalty) <= 100.0f)) {
    return Error{ErrorCode::argument, "length_penalty must be -100…100, not " + std::to_string(rules.length_penalty),
                 ""};
  }
  const TextConfig& text = config.text;
  rules.max_new_tokens = std::min(rules.max_new_tokens, text.max_positions);
  rules.start = text.decoder_start;
  rules.eos = text.eos;
  rules.forced_bos = text.forced_bos;
  rules.forced_eos = text.forced_eos;
  return rules;
}

}  // namespace florence2
