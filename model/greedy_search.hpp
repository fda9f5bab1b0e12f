// Search with one sequence: the best token of each step, or a drawn one.
#pragma once

#include <vector>

#include "core/buffer.hpp"
#include "model/generate.hpp"
#include "model/token_limits.hpp"

namespace florence2 {

/// Works on the raw logits, as the reference does. The first of equal maxima wins.
class GreedySearch : public Search {
 public:
  GreedySearch(Context& context, const GenerationRules& rules, const AnswerGrammar* grammar);

  Result<bool> advance(View<const float> logits) override;
  std::span<const std::int32_t> settled() override { return result_.ids; }
  std::vector<Hypothesis> take() override;

 private:
  /// The next token and its log-probability among those that the rules allow.
  Status choose(View<const float> logits);
  View<const float> processed(View<const float> logits);
  std::int32_t pick(View<const float> row, float largest);

  Context& context_;
  const GenerationRules& rules_;
  const AnswerGrammar* grammar_;
  Hypothesis result_;
  GrammarState state_;
  TokenLimits limits_;
  Sampler sampler_;
  std::vector<std::int32_t> seen_;
  Buffer<float> processed_, warped_;  // [vocabulary]
};

}  // namespace florence2
