// Greedy and beam search against a straightforward reading of the specification (section 10) that sorts all candidates
// of every step, on random score tables.
#include "model/generate.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "kernels/isa.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

using test::Random;
using Ids = std::vector<std::int32_t>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

#ifdef FLORENCE2_SANITIZED
constexpr int kTrials = 100;  // each takes many times as long there
#else
constexpr int kTrials = 600;
#endif

/// A model without weights: logits of a sequence are random numbers seeded by its ids. `eos_gain` is added to the end
/// token's.
class ScoreTable {
 public:
  ScoreTable(std::uint64_t seed, int vocabulary, float eos_gain)
      : seed_(seed), vocabulary_(vocabulary), eos_gain_(eos_gain) {}

  int vocabulary() const { return vocabulary_; }

  std::vector<float> logits(const Ids& ids) const {
    std::uint64_t hash = seed_;
    for (const std::int32_t id : ids) hash = (hash ^ static_cast<std::uint64_t>(id + 1)) * 0x9E3779B97F4A7C15u;
    std::vector<float> values = Random(hash).floats(vocabulary_);
    for (float& value : values) value *= 4;
    values[2] += eos_gain_;
    return values;
  }

  /// The step function of a search with `beams` sequences; keeps every sequence by following the parents.
  StepFunction step(int beams) const {
    return [this, sequences = std::vector<Ids>(static_cast<std::size_t>(beams)), rows = std::vector<float>()](
               std::span<const std::int32_t> tokens, std::span<const int> parents) mutable {
      std::vector<Ids> grown;
      rows.clear();
      for (std::size_t b = 0; b < tokens.size(); ++b) {
        grown.push_back(sequences.at(static_cast<std::size_t>(parents[b])));
        grown.back().push_back(tokens[b]);
        const std::vector<float> row = logits(grown.back());
        rows.insert(rows.end(), row.begin(), row.end());
      }
      sequences = grown;
      return View<const float>(rows.data(), static_cast<std::int64_t>(tokens.size()), vocabulary_);
    };
  }

 private:
  std::uint64_t seed_;
  int vocabulary_;
  float eos_gain_;
};

// --- The specification, word by word ------------------------------------------------------------------

std::vector<float> log_softmax(const std::vector<float>& logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - largest);
  std::vector<float> result;
  for (const float x : logits) result.push_back(x - largest - static_cast<float>(std::log(sum)));
  return result;
}

/// The processors, in the reference's order: repetition penalty, n-gram rule, least length, forced first token, forced
/// last token.
void process(std::vector<float>& scores, const Ids& ids, const GenerationRules& rules) {
  for (const std::int32_t id : std::set<std::int32_t>(ids.begin(), ids.end())) {
    scores[id] = scores[id] < 0 ? scores[id] * rules.repetition_penalty : scores[id] / rules.repetition_penalty;
  }
  const int n = rules.no_repeat_ngram, length = static_cast<int>(ids.size());
  std::map<Ids, std::set<std::int32_t>> followers;
  for (int i = 0; n > 0 && i + n <= length; ++i) followers[Ids(&ids[i], &ids[i] + n - 1)].insert(ids[i + n - 1]);
  if (n > 0 && length + 1 >= n) {
    for (const std::int32_t id : followers[Ids(ids.end() - (n - 1), ids.end())]) scores[id] = -kInfinity;
  }
  if (length - 1 < rules.min_new_tokens) scores[rules.eos] = -kInfinity;
  const auto force = [&](std::int32_t id) {
    std::fill(scores.begin(), scores.end(), -kInfinity);
    scores[id] = 0;
  };
  if (length == 1 && rules.forced_bos >= 0) force(rules.forced_bos);
  if (length == rules.max_new_tokens && rules.forced_eos >= 0) force(rules.forced_eos);
}

struct Entry {
  Ids ids;
  std::vector<float> log_probs;
  float score;
};

std::vector<Entry> reference_beam_search(const ScoreTable& table, const GenerationRules& rules) {
  const std::size_t nb = static_cast<std::size_t>(rules.num_beams);
  const auto power = [&](int g) {
    return static_cast<float>(std::pow(static_cast<double>(g), static_cast<double>(rules.length_penalty)));
  };
  std::vector<Entry> running(nb, Entry{{rules.start}, {}, -1e9f}), finished;
  running[0].score = 0;
  while (true) {
    std::vector<Entry> candidates;
    for (const Entry& beam : running) {
      std::vector<float> scores = log_softmax(table.logits(beam.ids));
      process(scores, beam.ids, rules);
      for (std::size_t token = 0; token < scores.size(); ++token) {
        Entry grown = beam;
        grown.ids.push_back(static_cast<std::int32_t>(token));
        grown.log_probs.push_back(scores[token]);
        grown.score = beam.score + scores[token];
        candidates.push_back(grown);
      }
    }
    const auto better = [](const Entry& a, const Entry& b) { return a.score > b.score; };
    std::stable_sort(candidates.begin(), candidates.end(), better);
    candidates.resize(2 * nb);
    const int g = static_cast<int>(candidates[0].ids.size()) - 1;
    std::vector<Entry> next;
    for (std::size_t rank = 0; rank < candidates.size(); ++rank) {
      Entry& c = candidates[rank];
      const bool complete = c.ids.back() == rules.eos || g == rules.max_new_tokens;
      if (complete && rank < nb) finished.push_back({c.ids, c.log_probs, c.score / power(g)});
      if (!complete && next.size() < nb) next.push_back(c);
    }
    std::stable_sort(finished.begin(), finished.end(), better);
    if (finished.size() > nb) finished.resize(nb);
    if (next.empty()) return finished;
    running = next;
    if (finished.size() < nb) continue;
    if (rules.early_stopping == EarlyStopping::yes) return finished;
    const bool at_most = rules.early_stopping == EarlyStopping::never && rules.length_penalty > 0;
    if (running[0].score / power(at_most ? rules.max_new_tokens : g) <= finished.back().score) return finished;
  }
}

Entry reference_greedy(const ScoreTable& table, const GenerationRules& rules) {
  Entry entry{{rules.start}, {}, 0};
  while (true) {
    std::vector<float> logits = table.logits(entry.ids);
    process(logits, entry.ids, rules);
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    entry.log_probs.push_back(log_softmax(logits)[static_cast<std::size_t>(best)]);
    entry.ids.push_back(static_cast<std::int32_t>(best));
    const int g = static_cast<int>(entry.log_probs.size());
    if (best == rules.eos || g == rules.max_new_tokens) {
      const float sum = std::accumulate(entry.log_probs.begin(), entry.log_probs.end(), 0.0f);
      entry.score = sum / static_cast<float>(std::pow(g, rules.length_penalty));
      return entry;
    }
  }
}

// --- Trials -------------------------------------------------------------------------------------------

template <typename T>
T pick(Random& random, std::initializer_list<T> values) {
  return *(values.begin() + random.bits() % values.size());
}

GenerationRules random_rules(Random& random, int beams) {
  GenerationRules rules;
  rules.num_beams = beams;
  rules.max_new_tokens = pick(random, {1, 2, 3, 5, 8, 12});
  rules.no_repeat_ngram = pick(random, {0, 1, 2, 3, 4});
  rules.length_penalty = pick(random, {-1.0f, 0.0f, 0.5f, 1.0f, 2.0f});
  rules.early_stopping = pick(random, {EarlyStopping::yes, EarlyStopping::no, EarlyStopping::never});
  rules.forced_bos = pick(random, {0, -1, 5});
  rules.forced_eos = pick(random, {2, 2, -1});
  rules.min_new_tokens = pick(random, {0, 0, 3, 6});
  rules.repetition_penalty = pick(random, {1.0f, 1.0f, 1.3f, 0.7f});
  return rules;
}

/// Scores differ by the rounding of one sum of at most 12 log-probabilities, and by -1e9's coarse grain where equal
/// start sequences survive.
bool close(float a, float b) { return a == b || std::abs(a - b) <= 2e-6f * std::max(1.0f, std::abs(b)); }

void check_same(const Hypothesis& actual, const Entry& expected) {
  CHECK(actual.ids == expected.ids);
  CHECK(close(actual.score, expected.score));
  REQUIRE(actual.log_probs.size() == expected.log_probs.size());
  for (std::size_t i = 0; i < expected.log_probs.size(); ++i) {
    CHECK(close(actual.log_probs[i], expected.log_probs[i]));
  }
}

TEST_CASE("beam search equals the specification in random trials") {
  const KernelTable* table = GENERATE(from_range(available_tables()));
  Context context(*table, 1);
  Random random(20);
  for (int trial = 0; trial < kTrials; ++trial) {
    const int beams = pick(random, {2, 3, 4, 5});
    const GenerationRules rules = random_rules(random, beams);
    const ScoreTable scores(random.bits(), pick(random, {16, 40, 700}), pick(random, {-2.0f, 1.0f, 3.0f}));
    INFO("trial " << trial << ", beams " << beams << ", max " << rules.max_new_tokens << ", ngram "
                  << rules.no_repeat_ngram << ", penalty " << rules.length_penalty << ", early "
                  << static_cast<int>(rules.early_stopping) << ", vocabulary " << scores.vocabulary());
    const auto actual = generate(context, rules, scores.step(beams));
    REQUIRE(actual);
    const std::vector<Entry> expected = reference_beam_search(scores, rules);
    REQUIRE(actual->size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) check_same((*actual)[i], expected[i]);
  }
}

TEST_CASE("greedy search equals the specification, and beam search with one beam") {
  const KernelTable* table = GENERATE(from_range(available_tables()));
  Context context(*table, 1);
  Random random(21);
  for (int trial = 0; trial < kTrials / 2; ++trial) {
    GenerationRules rules = random_rules(random, 1);
    rules.early_stopping = EarlyStopping::yes;
    const ScoreTable scores(random.bits(), pick(random, {16, 40, 700}), pick(random, {-2.0f, 1.0f, 3.0f}));
    INFO("trial " << trial);
    const auto actual = generate(context, rules, scores.step(1));
    REQUIRE(actual);
    REQUIRE(actual->size() == 1);
    check_same(actual->front(), reference_greedy(scores, rules));
    // The penalty scales logits in greedy search and log-probabilities in beam search, as the reference has it.
    if (rules.repetition_penalty != 1.0f) continue;
    CHECK(actual->front().ids == reference_beam_search(scores, rules).front().ids);
  }
}

TEST_CASE("hypotheses say whether the model or the limit ended them") {
  Context context(*available_tables().front(), 1);
  GenerationRules rules;
  for (const int beams : {1, 3}) {
    rules.num_beams = beams;
    rules.max_new_tokens = 20;
    const auto stopped = generate(context, rules, ScoreTable(1, 20, 9).step(beams));
    REQUIRE(stopped);
    CHECK(stopped->front().complete);
    CHECK(stopped->front().ids.back() == 2);
    rules.max_new_tokens = 4;
    for (const int forced_eos : {2, -1}) {
      rules.forced_eos = forced_eos;
      const auto cut = generate(context, rules, ScoreTable(1, 20, -30).step(beams));
      REQUIRE(cut);
      CHECK_FALSE(cut->front().complete);
      CHECK(cut->front().ids.size() == 5);
      CHECK((cut->front().ids.back() == 2) == (forced_eos == 2));
    }
    rules.forced_eos = 2;
  }
}

/// The same row of logits for every sequence.
StepFunction constant(const std::vector<float>& row) {
  return [row, rows = std::vector<float>()](std::span<const std::int32_t> tokens, std::span<const int>) mutable {
    rows.clear();
    for (std::size_t b = 0; b < tokens.size(); ++b) rows.insert(rows.end(), row.begin(), row.end());
    return View<const float>(rows.data(), static_cast<std::int64_t>(tokens.size()),
                             static_cast<std::int64_t>(row.size()));
  };
}

TEST_CASE("among equal scores the lowest beam and token come first") {
  Context context(*available_tables().back(), 1);
  GenerationRules rules;
  rules.max_new_tokens = 2;
  rules.forced_bos = -1;
  rules.forced_eos = -1;
  rules.no_repeat_ngram = 0;
  std::vector<float> row(600, 0.0f);
  for (const std::size_t token : {300u, 17u, 511u}) row[token] = 8;
  rules.num_beams = 1;
  const auto greedy = generate(context, rules, constant(row));
  REQUIRE(greedy);
  CHECK(greedy->front().ids == Ids{2, 17, 17});
  rules.num_beams = 3;
  const auto beams = generate(context, rules, constant(row));
  REQUIRE(beams);
  REQUIRE(beams->size() == 3);
  CHECK((*beams)[0].ids == Ids{2, 17, 17});
  CHECK((*beams)[1].ids == Ids{2, 17, 300});
  CHECK((*beams)[2].ids == Ids{2, 17, 511});
}

TEST_CASE("the caller sees every step and can stop") {
  Context context(*available_tables().front(), 1);
  GenerationRules rules;
  for (const int beams : {1, 3}) {
    rules.num_beams = beams;
    std::vector<int> seen;
    const auto result = generate(context, rules, ScoreTable(3, 40, -30).step(beams), [&](int tokens) {
      seen.push_back(tokens);
      return tokens < 6;
    });
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::cancelled);
    CHECK(seen == std::vector<int>{1, 2, 3, 4, 5, 6});
  }
}

TEST_CASE("non-finite logits are an error of the model that names the step") {
  const KernelTable* table = GENERATE(from_range(available_tables()));
  const float bad = GENERATE(+kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN());
  const bool everywhere = GENERATE(true, false);
  if (!everywhere && bad == -kInfinity) return;  // one impossible token is no damage
  const int beams = GENERATE(1, 3);
  INFO(table->name << ", " << bad << ", everywhere " << everywhere << ", beams " << beams);
  Context context(*table, 1);
  GenerationRules rules;
  rules.num_beams = beams;
  const ScoreTable scores(4, 700, -30);
  const StepFunction good = scores.step(beams);
  int steps = 0;
  std::vector<float> damaged;
  const auto result = generate(context, rules, [&](auto tokens, auto parents) -> View<const float> {
    const View<const float> logits = good(tokens, parents);
    damaged.assign(logits.data, logits.data + logits.rows * logits.cols);
    if (++steps == 4 && everywhere) std::fill(damaged.begin(), damaged.end(), bad);
    if (steps == 4 && !everywhere) damaged[damaged.size() - 333] = bad;
    return {damaged.data(), logits.rows, logits.cols};
  });
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::model);
  CHECK(result.error().message == "non-finite logits at step 4; weights damaged? run with --check-weights");
}

}  // namespace
}  // namespace florence2
