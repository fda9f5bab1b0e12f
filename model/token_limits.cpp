#include "model/token_limits.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

namespace florence2 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void ban(std::vector<std::int32_t>& banned, std::int32_t token) {
  if (std::find(banned.begin(), banned.end(), token) == banned.end()) banned.push_back(token);
}

/// Tokens that would complete an n-gram which `ids` already holds.
void ban_repeated(std::vector<std::int32_t>& banned, std::span<const std::int32_t> ids, int ngram) {
  const std::size_t n = static_cast<std::size_t>(ngram);
  if (n == 0 || ids.size() < n) return;
  const auto prefix = ids.last(n - 1);
  for (std::size_t i = 0; i + n <= ids.size(); ++i) {
    if (std::equal(prefix.begin(), prefix.end(), ids.begin() + static_cast<std::ptrdiff_t>(i))) {
      ban(banned, ids[i + n - 1]);
    }
  }
}

/// Tokens that the length limit leaves to choose, not counting a forced end.
int room_after(const GenerationRules& rules, std::size_t length) {
  const int chosen = static_cast<int>(length) - 1;
  return rules.max_new_tokens - chosen - (rules.forced_eos >= 0 ? 1 : 0);
}

bool holds(std::span<const IdRange> ranges, std::int32_t token) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [token](const IdRange& range) { return range.begin <= token && token < range.end; });
}

std::int64_t count_of(std::span<const IdRange> ranges) {
  return std::accumulate(ranges.begin(), ranges.end(), std::int64_t{0},
                         [](std::int64_t sum, const IdRange& range) { return sum + range.end - range.begin; });
}

/// Calls visit(begin, end) for what lies between the ranges.
template <typename Visit>
void for_gaps(std::span<const IdRange> ranges, std::int64_t vocabulary, const Visit& visit) {
  std::int64_t end = 0;
  for (const IdRange& range : ranges) {
    if (range.begin > end) visit(end, std::int64_t{range.begin});
    end = range.end;
  }
  if (end < vocabulary) visit(end, vocabulary);
}

}  // namespace

std::int32_t forced_token(const GenerationRules& rules, int length) {
  if (length == rules.max_new_tokens && rules.forced_eos >= 0) return rules.forced_eos;
  if (length == 1 && rules.forced_bos >= 0) return rules.forced_bos;
  return -1;
}

TokenLimits::TokenLimits(const GenerationRules& rules) {
  banned_.reserve(static_cast<std::size_t>(rules.max_new_tokens) + 2);
  ranges_.reserve(1);
}

void TokenLimits::collect(const GenerationRules& rules, const AnswerGrammar* grammar, std::span<const std::int32_t> ids,
                          const GrammarState& state, std::int64_t vocabulary) {
  banned_.clear();
  constrained_ = grammar != nullptr;
  if (grammar == nullptr || !grammar->repeats_freely(state)) ban_repeated(banned_, ids, rules.no_repeat_ngram);
  if (static_cast<int>(ids.size()) - 1 < rules.min_new_tokens && rules.eos >= 0) ban(banned_, rules.eos);
  if (grammar == nullptr) {
    ranges_.assign(1, {0, static_cast<std::int32_t>(vocabulary)});
    return;
  }
  grammar->allowed(state, room_after(rules, ids.size()), ranges_);
  if (all_banned()) banned_.clear();
}

bool TokenLimits::all_banned() const {
  const std::int64_t allowed = count_of(ranges_);
  if (allowed > static_cast<std::int64_t>(banned_.size())) return false;
  return allowed ==
         std::count_if(banned_.begin(), banned_.end(), [this](std::int32_t token) { return holds(ranges_, token); });
}

bool TokenLimits::is_banned(std::int32_t token) const {
  return std::find(banned_.begin(), banned_.end(), token) != banned_.end();
}

void TokenLimits::apply(std::span<float> scores) const {
  for_gaps(ranges_, static_cast<std::int64_t>(scores.size()), [&](std::int64_t begin, std::int64_t end) {
    std::fill(scores.begin() + begin, scores.begin() + end, -kInfinity);
  });
  for (const std::int32_t token : banned_) scores[static_cast<std::size_t>(token)] = -kInfinity;
}

float TokenLimits::log_mass(const KernelTable& table, View<const float> row, const LogSumExp& sum, double total) const {
  if (none() && total == 1) return 0;
  const double scale = std::exp(-static_cast<double>(sum.log_sum));
  double inside = 0;
  double outside = 0;
  const auto mass = [&](std::int64_t begin, std::int64_t end) {
    return scale * static_cast<double>(table.sum_exp(row.data + begin, end - begin, sum.max));
  };
  if (2 * count_of(ranges_) > row.cols && total > 0) {
    for_gaps(ranges_, row.cols, [&](std::int64_t begin, std::int64_t end) { outside += mass(begin, end); });
    inside = total - outside;
  }
  if (inside <= 0.5 * total) {  // a difference of like numbers would be inexact
    inside = 0;
    for (const IdRange& range : ranges_) inside += mass(range.begin, range.end);
  }
  for (const std::int32_t token : banned_) {
    if (holds(ranges_, token)) inside -= std::exp(static_cast<double>(sum.log_softmax(row.data[token])));
  }
  return static_cast<float>(std::log(std::max(inside, 1e-30)));
}

void penalize_repetition(std::span<float> scores, std::span<const std::int32_t> ids, float penalty,
                         std::vector<std::int32_t>& seen) {
  seen.assign(ids.begin(), ids.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (const std::int32_t id : seen) {
    float& score = scores[static_cast<std::size_t>(id)];
    score = score < 0 ? score * penalty : score / penalty;
  }
}

Error non_finite(int step) {
  return {ErrorCode::model,
          "non-finite logits at step " + std::to_string(step) + "; weights damaged? run with --check-weights", ""};
}

bool finite(const LogSumExp& sum) { return std::isfinite(sum.max) && std::isfinite(sum.log_sum); }

float normalized(float sum, int generated, float penalty) {
  return sum / static_cast<float>(std::pow(static_cast<double>(generated), static_cast<double>(penalty)));
}

}  // namespace florence2
