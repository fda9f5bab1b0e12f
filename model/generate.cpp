#include "model/generate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "kernels/rowwise.hpp"

namespace florence2 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
/// Score of all beams but the first before the first step: equal sequences must not fill the search.
constexpr float kInactive = -1e9f;

/// The token that the rules dictate after `length` ids (start token included), or -1. Forced eos comes after forced
/// bos.
std::int32_t forced_token(const GenerationRules& rules, int length) {
  if (length == rules.max_new_tokens && rules.forced_eos >= 0) return rules.forced_eos;
  if (length == 1 && rules.forced_bos >= 0) return rules.forced_bos;
  return -1;
}

/// Tokens that would complete an n-gram which `ids` already holds.
void collect_banned(std::vector<std::int32_t>& banned, std::span<const std::int32_t> ids, int ngram) {
  banned.clear();
  const std::size_t n = static_cast<std::size_t>(ngram);
  if (n == 0 || ids.size() < n) return;
  const auto prefix = ids.last(n - 1);
  for (std::size_t i = 0; i + n <= ids.size(); ++i) {
    if (std::equal(prefix.begin(), prefix.end(), ids.begin() + static_cast<std::ptrdiff_t>(i))) {
      banned.push_back(ids[i + n - 1]);
    }
  }
}

/// sum / generated^penalty, the exponential in f64 as the reference computes it.
float normalized(float sum, int generated, float penalty) {
  return sum / static_cast<float>(std::pow(static_cast<double>(generated), static_cast<double>(penalty)));
}

Error non_finite(int step) {
  return {ErrorCode::model,
          "non-finite logits at step " + std::to_string(step) + "; weights damaged? run with --check-weights", ""};
}

Error cancelled() { return {ErrorCode::cancelled, "cancelled by the caller", ""}; }

bool finite(const LogSumExp& sum) { return std::isfinite(sum.max) && std::isfinite(sum.log_sum); }

/// A continuation of one running sequence.
struct Candidate {
  float score = 0;     // running score + log_prob
  float log_prob = 0;  // processed
  int beam = 0;
  std::int32_t token = 0;
};

/// The best `limit` candidates, best first; among equals the one offered first stays ahead.
class TopCandidates {
 public:
  explicit TopCandidates(std::size_t limit) : limit_(limit) { items_.reserve(limit + 1); }

  void clear() { items_.clear(); }
  bool full() const { return items_.size() == limit_; }
  std::span<const Candidate> items() const { return items_; }
  float worst() const { return items_.back().score; }

  void offer(const Candidate& candidate) {
    if (full() && !(candidate.score > worst())) return;
    const auto place = std::upper_bound(items_.begin(), items_.end(), candidate,
                                        [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    items_.insert(place, candidate);
    if (items_.size() > limit_) items_.pop_back();
  }

 private:
  std::size_t limit_;
  std::vector<Candidate> items_;
};

/// A logit below this cannot reach `score`. The score grows with the logit even when rounded; the slack covers the
/// rounding of its three f32 operations (each below 2^-24 of the magnitudes involved) and of the bound itself.
float logit_bound(double score, double running, const LogSumExp& sum) {
  const double exact = score - running + sum.log_sum + sum.max;
  const double slack = 1e-6 * (std::abs(score) + std::abs(running) + std::abs(sum.log_sum) + std::abs(sum.max));
  return static_cast<float>(exact - slack);
}

/// One beam's row of the search: everything needed to score a token.
struct BeamRow {
  const float* logits = nullptr;
  std::int64_t vocabulary = 0;
  int beam = 0;
  float running = 0;
  LogSumExp sum;
  std::span<const std::int32_t> banned;

  Candidate candidate(std::int64_t token) const {
    const auto id = static_cast<std::int32_t>(token);
    const bool is_banned = std::find(banned.begin(), banned.end(), id) != banned.end();
    const float log_prob = is_banned ? -kInfinity : sum.log_softmax(logits[token]);
    return {running + log_prob, log_prob, beam, id};
  }
};

/// Offers the tokens of one row, skipping whole blocks whose largest logit cannot get in.
void offer_row(const KernelTable& table, TopCandidates& top, const BeamRow& row) {
  constexpr std::int64_t kBlock = 256;
  for (std::int64_t first = 0; first < row.vocabulary; first += kBlock) {
    const std::int64_t end = std::min(first + kBlock, row.vocabulary);
    float bound = top.full() ? logit_bound(top.worst(), row.running, row.sum) : -kInfinity;
    if (top.full() && table.max(row.logits + first, end - first) < bound) continue;
    for (std::int64_t token = first; token < end; ++token) {
      if (!(row.logits[token] >= bound)) continue;
      top.offer(row.candidate(token));
      if (top.full()) bound = logit_bound(top.worst(), row.running, row.sum);
    }
  }
}

struct Sequence {
  std::vector<std::int32_t> ids;
  std::vector<float> log_probs;
  float score = 0;  // sum of log_probs (and kInactive)
};

/// Beam search in the ordered steps of the specification, section 10.3. Memory is taken once; only finished hypotheses
/// allocate afterwards.
class BeamSearch {
 public:
  BeamSearch(Context& context, const GenerationRules& rules)
      : context_(context),
        rules_(rules),
        width_(static_cast<std::size_t>(rules.num_beams)),
        top_(2 * width_),
        running_(width_),
        next_(width_),
        sums_(width_),
        tokens_(width_, rules.start),
        parents_(width_) {
    for (std::vector<Sequence>* sequences : {&running_, &next_}) {
      for (Sequence& sequence : *sequences) {
        sequence.ids.reserve(static_cast<std::size_t>(rules.max_new_tokens) + 1);
        sequence.log_probs.reserve(static_cast<std::size_t>(rules.max_new_tokens));
        sequence.ids.assign(1, rules.start);
        sequence.score = kInactive;
      }
    }
    running_[0].score = 0;
    banned_.reserve(static_cast<std::size_t>(rules.max_new_tokens) + 1);
    finished_.reserve(width_ + 1);
    std::iota(parents_.begin(), parents_.end(), 0);
  }

  Result<std::vector<Hypothesis>> run(const StepFunction& step, const std::function<bool(int)>& on_step) {
    for (int length = 1;; ++length) {
      FL_TRY(select(step(tokens_, parents_), length));
      if (on_step && !on_step(length)) return cancelled();
      if (!advance(length)) return std::move(finished_);
    }
  }

 private:
  /// Steps 1 and 2: the best 2 * width continuations of the running sequences of `length` ids.
  Status select(View<const float> logits, int length) {
    log_sum_exp(context_, sums_, logits);
    if (!std::all_of(sums_.begin(), sums_.end(), finite)) return non_finite(length);
    top_.clear();
    const std::int32_t forced = forced_token(rules_, length);
    for (std::size_t b = 0; b < width_; ++b) {
      const int beam = static_cast<int>(b);
      if (forced >= 0) {
        top_.offer({running_[b].score, 0, beam, forced});
        continue;
      }
      collect_banned(banned_, running_[b].ids, rules_.no_repeat_ngram);
      offer_row(context_.table(), top_, {logits.row(beam), logits.cols, beam, running_[b].score, sums_[b], banned_});
    }
    return {};
  }

  /// Steps 3 to 6. False when the search is over.
  bool advance(int length) {
    std::size_t survivors = 0;
    const bool last = length >= rules_.max_new_tokens;
    for (std::size_t rank = 0; rank < top_.items().size(); ++rank) {
      const Candidate& candidate = top_.items()[rank];
      if (candidate.token == rules_.eos || last) {
        if (rank < width_) finish(candidate, length);
      } else if (survivors < width_) {
        extend(survivors++, candidate);
      }
    }
    if (survivors == 0) return false;
    std::swap(running_, next_);
    return finished_.size() < width_ || !settled(length);
  }

  void extend(std::size_t place, const Candidate& candidate) {
    const Sequence& parent = running_[static_cast<std::size_t>(candidate.beam)];
    Sequence& child = next_[place];
    child = parent;
    child.ids.push_back(candidate.token);
    child.log_probs.push_back(candidate.log_prob);
    child.score = candidate.score;
    tokens_[place] = candidate.token;
    parents_[place] = candidate.beam;
  }

  /// Adds a hypothesis behind those with the same score and keeps the best `width`.
  void finish(const Candidate& candidate, int length) {
    const Sequence& parent = running_[static_cast<std::size_t>(candidate.beam)];
    Hypothesis hypothesis{parent.ids, parent.log_probs};
    hypothesis.ids.push_back(candidate.token);
    hypothesis.log_probs.push_back(candidate.log_prob);
    hypothesis.score = normalized(candidate.score, length, rules_.length_penalty);
    hypothesis.complete = candidate.token == rules_.eos && forced_token(rules_, length) < 0;
    const auto place = std::upper_bound(finished_.begin(), finished_.end(), hypothesis,
                                        [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    finished_.insert(place, std::move(hypothesis));
    if (finished_.size() > width_) finished_.pop_back();
  }

  /// With `width` hypotheses finished: can no running sequence of `length` generated tokens do better?
  bool settled(int length) const {
    if (rules_.early_stopping == EarlyStopping::yes) return true;
    const bool at_most = rules_.early_stopping == EarlyStopping::never && rules_.length_penalty > 0;
    const int attainable = at_most ? rules_.max_new_tokens : length;
    return normalized(running_[0].score, attainable, rules_.length_penalty) <= finished_.back().score;
  }

  Context& context_;
  const GenerationRules& rules_;
  std::size_t width_;
  TopCandidates top_;
  std::vector<Sequence> running_, next_;  // [width], best first
  std::vector<LogSumExp> sums_;           // [width]
  std::vector<std::int32_t> tokens_;      // [width]: the step function's arguments
  std::vector<int> parents_;              // [width]
  std::vector<std::int32_t> banned_;
  std::vector<Hypothesis> finished_;  // best first
};

/// Greedy search on the raw logits. The first of equal maxima wins.
class GreedySearch {
 public:
  GreedySearch(Context& context, const GenerationRules& rules) : context_(context), rules_(rules) {
    const auto most = static_cast<std::size_t>(rules.max_new_tokens) + 1;
    result_.ids.reserve(most);
    result_.log_probs.reserve(most);
    banned_.reserve(most);
    result_.ids.assign(1, rules.start);
  }

  Result<std::vector<Hypothesis>> run(const StepFunction& step, const std::function<bool(int)>& on_step) {
    std::int32_t token = rules_.start;
    for (int length = 1; length <= rules_.max_new_tokens; ++length) {
      FL_ASSIGN(token, choose(step({&token, 1}, kOnlyParent), length));
      if (on_step && !on_step(length)) return cancelled();
      if (token == rules_.eos) {
        result_.complete = forced_token(rules_, length) < 0;
        return finished(length);
      }
    }
    result_.complete = false;
    return finished(rules_.max_new_tokens);
  }

 private:
  static constexpr int kOnlyParent[] = {0};

  Result<std::int32_t> choose(View<const float> logits, int length) {
    const std::int32_t forced = forced_token(rules_, length);
    if (forced < 0) {
      collect_banned(banned_, result_.ids, rules_.no_repeat_ngram);
      if (!banned_.empty()) logits = without_banned(logits);
    }
    LogSumExp sum;
    log_sum_exp(context_, {&sum, 1}, logits);
    if (!finite(sum)) return non_finite(length);
    const float* row = logits.row(0);
    const std::int32_t token =
        forced >= 0 ? forced : static_cast<std::int32_t>(std::find(row, row + logits.cols, sum.max) - row);
    result_.ids.push_back(token);
    result_.log_probs.push_back(forced >= 0 ? 0.0f : sum.log_softmax(row[token]));
    return token;
  }

  View<const float> without_banned(View<const float> logits) {
    processed_.ensure(logits.cols);
    std::copy_n(logits.row(0), logits.cols, processed_.data());
    for (const std::int32_t token : banned_) processed_[token] = -kInfinity;
    return {processed_.data(), 1, logits.cols};
  }

  std::vector<Hypothesis> finished(int generated) {
    const float sum = std::accumulate(result_.log_probs.begin(), result_.log_probs.end(), 0.0f);
    result_.score = normalized(sum, generated, rules_.length_penalty);
    std::vector<Hypothesis> all;
    all.push_back(std::move(result_));
    return all;
  }

  Context& context_;
  const GenerationRules& rules_;
  Hypothesis result_;
  std::vector<std::int32_t> banned_;
  Buffer<float> processed_;  // [vocabulary]
};

}  // namespace

Result<std::vector<Hypothesis>> generate(Context& context, const GenerationRules& rules, const StepFunction& step,
                                         const std::function<bool(int)>& on_step) {
  if (rules.num_beams == 1) return GreedySearch(context, rules).run(step, on_step);
  return BeamSearch(context, rules).run(step, on_step);
}

}  // namespace florence2
