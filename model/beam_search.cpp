#include "model/beam_search.hpp"

#include <algorithm>
#include <utility>

namespace florence2 {
namespace {

/// Score of all beams but the first before the first step: equal sequences must not fill the search.
constexpr float kInactive = -1e9f;

std::size_t shared_length(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

BeamSearch::BeamSearch(Context& context, const GenerationRules& rules, const AnswerGrammar* grammar)
    : Search(rules.num_beams, rules.start),
      context_(context),
      rules_(rules),
      grammar_(grammar),
      width_(static_cast<std::size_t>(rules.num_beams)),
      top_(2 * width_),
      running_(width_),
      next_(width_),
      sums_(width_) {
  const auto most = static_cast<std::size_t>(rules.max_new_tokens) + 1;
  for (std::vector<Sequence>* sequences : {&running_, &next_}) {
    for (Sequence& sequence : *sequences) {
      sequence.ids.reserve(most);
      sequence.log_probs.reserve(most);
      sequence.confidences.reserve(most);
      sequence.ids.assign(1, rules.start);
      sequence.score = kInactive;
    }
  }
  running_[0].score = 0;
  limits_.reserve(width_);
  for (std::size_t b = 0; b < width_; ++b) limits_.emplace_back(rules);
  rows_.reserve(width_);
  finished_.reserve(width_ + 1);
}

Result<bool> BeamSearch::advance(View<const float> logits) {
  ++steps_;
  FL_TRY(select(logits));
  over_ = !settle();
  return !over_;
}

Status BeamSearch::select(View<const float> logits) {
  log_sum_exp(context_, sums_, logits);
  if (!std::all_of(sums_.begin(), sums_.end(), finite)) return non_finite(steps_);
  top_.clear();
  rows_.clear();
  const std::int32_t forced = forced_token(rules_, steps_);
  for (std::size_t b = 0; b < width_; ++b) {
    const int beam = static_cast<int>(b);
    if (forced >= 0) {
      top_.offer({running_[b].score, 0, beam, forced});
      continue;
    }
    limits_[b].collect(rules_, grammar_, running_[b].ids, running_[b].state, logits.cols);
    rows_.push_back(row_of(b, logits, sums_[b]));
    offer_row(context_.table(), top_, {rows_[b].scores.data, rows_[b].sum, &limits_[b], beam, running_[b].score});
  }
  return {};
}

BeamSearch::Row BeamSearch::row_of(std::size_t beam, View<const float> logits, const LogSumExp& sum) {
  const View<const float> own = logits.row_range(static_cast<std::int64_t>(beam), 1);
  if (rules_.repetition_penalty == 1) return {own, sum, {}};
  penalized_.ensure(logits.rows * logits.cols);
  float* const scores = penalized_.data() + static_cast<std::int64_t>(beam) * logits.cols;
  std::transform(own.data, own.data + own.cols, scores, [&](float logit) { return sum.log_softmax(logit); });
  penalize_repetition({scores, static_cast<std::size_t>(own.cols)}, running_[beam].ids, rules_.repetition_penalty,
                      seen_);
  return {{scores, 1, own.cols}, {0, 0}, {}};
}

bool BeamSearch::settle() {
  std::size_t survivors = 0;
  const bool last = steps_ >= rules_.max_new_tokens;
  for (std::size_t rank = 0; rank < top_.items().size(); ++rank) {
    const Candidate& candidate = top_.items()[rank];
    if (candidate.token == rules_.eos || last) {
      if (rank < width_) finish(candidate);
    } else if (survivors < width_) {
      extend(survivors++, candidate);
    }
  }
  if (survivors == 0) return false;
  fill_up(survivors);
  std::swap(running_, next_);
  return finished_.size() < width_ || !is_decided();
}

void BeamSearch::extend(std::size_t place, const Candidate& candidate) {
  const Sequence& parent = running_[static_cast<std::size_t>(candidate.beam)];
  Sequence& child = next_[place];
  child = parent;
  child.ids.push_back(candidate.token);
  child.log_probs.push_back(candidate.log_prob);
  child.confidences.push_back(confidence_of(candidate));
  child.score = candidate.score;
  if (grammar_ != nullptr) {
    const bool forced = forced_token(rules_, steps_) >= 0;
    child.state = forced ? grammar_->after_forced() : grammar_->next(parent.state, candidate.token);
  }
  tokens_[place] = candidate.token;
  parents_[place] = candidate.beam;
}

/// A grammar may leave fewer continuations than beams: the others repeat the best one, as before the first step.
void BeamSearch::fill_up(std::size_t survivors) {
  for (std::size_t place = survivors; place < width_; ++place) {
    next_[place] = next_[0];
    next_[place].score = kInactive;
    tokens_[place] = tokens_[0];
    parents_[place] = parents_[0];
  }
}

void BeamSearch::finish(const Candidate& candidate) {
  const Sequence& parent = running_[static_cast<std::size_t>(candidate.beam)];
  Hypothesis hypothesis{parent.ids, parent.log_probs, parent.confidences};
  hypothesis.ids.push_back(candidate.token);
  hypothesis.log_probs.push_back(candidate.log_prob);
  hypothesis.confidences.push_back(confidence_of(candidate));
  hypothesis.score = normalized(candidate.score, steps_, rules_.length_penalty);
  hypothesis.complete = candidate.token == rules_.eos && forced_token(rules_, steps_) < 0;
  const auto place = std::upper_bound(finished_.begin(), finished_.end(), hypothesis,
                                      [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
  finished_.insert(place, std::move(hypothesis));
  if (finished_.size() > width_) finished_.pop_back();
}

float BeamSearch::confidence_of(const Candidate& candidate) {
  if (rows_.empty()) return candidate.log_prob;  // forced
  const auto beam = static_cast<std::size_t>(candidate.beam);
  Row& row = rows_[beam];
  if (!row.log_mass) {
    const double total = rules_.repetition_penalty == 1 ? 1 : 0;
    row.log_mass = limits_[beam].log_mass(context_.table(), row.scores, row.sum, total);
  }
  return std::min(0.0f, candidate.log_prob - *row.log_mass);
}

bool BeamSearch::is_decided() const {
  if (rules_.early_stopping == EarlyStopping::yes) return true;
  const bool at_most = rules_.early_stopping == EarlyStopping::never && rules_.length_penalty > 0;
  const int attainable = at_most ? rules_.max_new_tokens : steps_;
  return normalized(running_[0].score, attainable, rules_.length_penalty) <= finished_.back().score;
}

std::span<const std::int32_t> BeamSearch::settled() {
  if (over_) return finished_.front().ids;
  const std::span<const std::int32_t> first(running_[0].ids);
  std::size_t shared = first.size();
  const auto compare = [&](std::span<const std::int32_t> ids) {
    shared = std::min(shared, settled_ + shared_length(first.subspan(settled_), ids.subspan(settled_)));
  };
  for (const Sequence& sequence : running_) compare(sequence.ids);
  for (const Hypothesis& hypothesis : finished_) compare(hypothesis.ids);
  settled_ = shared;
  return first.first(settled_);
}

}  // namespace florence2
