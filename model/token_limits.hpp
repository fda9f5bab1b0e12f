// What the generation rules allow a sequence to continue with.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/rowwise.hpp"
#include "model/answer_grammar.hpp"
#include "model/generate.hpp"

namespace florence2 {

/// The token that the rules dictate after `length` ids (start token included), or -1. Forced eos comes after forced
/// bos.
std::int32_t forced_token(const GenerationRules& rules, int length);

/// Limits of one sequence's next token.
class TokenLimits {
 public:
  explicit TokenLimits(const GenerationRules& rules);

  /// For the sequence `ids`, whose place in the grammar (nullptr: none) is `state`. When the grammar leaves nothing but
  /// tokens that other rules ban, the grammar wins.
  void collect(const GenerationRules& rules, const AnswerGrammar* grammar, std::span<const std::int32_t> ids,
               const GrammarState& state, std::int64_t vocabulary);

  bool is_banned(std::int32_t token) const;
  bool none() const { return banned_.empty() && !constrained_; }
  /// A grammar limits the tokens.
  bool constrained() const { return constrained_; }
  /// Ascending and disjoint; the whole vocabulary without a grammar.
  std::span<const IdRange> ranges() const { return ranges_; }

  /// Sets the scores of all tokens that may not follow to -infinity.
  void apply(std::span<float> scores) const;
  /// log of the probability of all tokens that may follow; row and sum give log-probabilities that add up to
  /// `total` or, with 0, to an unknown number.
  float log_mass(const KernelTable& table, View<const float> row, const LogSumExp& sum, double total) const;

 private:
  bool all_banned() const;

  std::vector<std::int32_t> banned_;  // each once
  std::vector<IdRange> ranges_;
  bool constrained_ = false;
};

/// Repetition penalty by the reference's formula, on logits or log-probabilities: each token of `ids` once, negative
/// scores times the penalty, others divided by it.
void penalize_repetition(std::span<float> scores, std::span<const std::int32_t> ids, float penalty,
                         std::vector<std::int32_t>& seen);

/// Error of a row whose sum is not finite.
Error non_finite(int step);
bool finite(const LogSumExp& sum);

/// sum / generated^penalty, the exponential in f64 as the reference computes it.
float normalized(float sum, int generated, float penalty);

}  // namespace florence2
