#include "model/greedy_search.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace florence2 {

GreedySearch::GreedySearch(Context& context, const GenerationRules& rules, const AnswerGrammar* grammar)
    : Search(1, rules.start),
      context_(context),
      rules_(rules),
      grammar_(grammar),
      limits_(rules),
      sampler_(rules.sampling) {
  const auto most = static_cast<std::size_t>(rules.max_new_tokens) + 1;
  result_.ids.reserve(most);
  result_.log_probs.reserve(most);
  seen_.reserve(most);
  result_.ids.assign(1, rules.start);
}

Result<bool> GreedySearch::advance(View<const float> logits) {
  ++steps_;
  FL_TRY(choose(logits));
  const std::int32_t token = result_.ids.back();
  tokens_[0] = token;
  const bool forced = forced_token(rules_, steps_) >= 0;
  if (grammar_ != nullptr) state_ = forced ? grammar_->after_forced() : grammar_->next(state_, token);
  const bool ended = token == rules_.eos;
  result_.complete = ended && !forced;
  return !ended && steps_ < rules_.max_new_tokens;
}

Status GreedySearch::choose(View<const float> logits) {
  const std::int32_t forced = forced_token(rules_, steps_);
  if (forced < 0) logits = processed(logits);
  LogSumExp sum;
  log_sum_exp(context_, {&sum, 1}, logits);
  if (!finite(sum)) return non_finite(steps_);
  const std::int32_t token = forced >= 0 ? forced : pick(logits, sum.max);
  result_.ids.push_back(token);
  result_.log_probs.push_back(forced >= 0 ? 0.0f : sum.log_softmax(logits.row(0)[token]));
  return {};
}

View<const float> GreedySearch::processed(View<const float> logits) {
  limits_.collect(rules_, grammar_, result_.ids, state_, logits.cols);
  const bool penalized = rules_.repetition_penalty != 1;
  if (limits_.none() && !penalized) return logits;
  processed_.ensure(logits.cols);
  const std::span<float> scores(processed_.data(), static_cast<std::size_t>(logits.cols));
  std::copy_n(logits.row(0), logits.cols, scores.begin());
  if (penalized) penalize_repetition(scores, result_.ids, rules_.repetition_penalty, seen_);
  limits_.apply(scores);
  return {processed_.data(), 1, logits.cols};
}

std::int32_t GreedySearch::pick(View<const float> row, float largest) {
  const float* scores = row.row(0);
  if (!rules_.sample) return static_cast<std::int32_t>(std::find(scores, scores + row.cols, largest) - scores);
  warped_.ensure(row.cols);
  const std::span<float> warped(warped_.data(), static_cast<std::size_t>(row.cols));
  std::copy_n(scores, row.cols, warped.begin());
  sampler_.warp(warped);
  return sampler_.draw(warped);
}

std::vector<Hypothesis> GreedySearch::take() {
  const float sum = std::accumulate(result_.log_probs.begin(), result_.log_probs.end(), 0.0f);
  result_.score = normalized(sum, steps_, rules_.length_penalty);
  result_.confidences = result_.log_probs;
  std::vector<Hypothesis> all;
  all.push_back(std::move(result_));
  return all;
}

}  // namespace florence2
