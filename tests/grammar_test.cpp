// Answers under the grammar: random logits may ask for anything, what comes out is always well formed.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <regex>
#include <string>

#include "kernels/isa.hpp"
#include "model/answer_grammar.hpp"
#include "model/generate.hpp"
#include "tests/patterns.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

using test::Random;

Tokenizer load(const std::string& folder) {
  auto result = Tokenizer::load(folder);
  REQUIRE(result);
  return std::move(result).value();
}

const Tokenizer& demo() {
  static const Tokenizer loaded = load(test::source_dir() + "/weights/demo");
  return loaded;
}

/// Logits that know nothing: noise, with a random liking for places, for the end and for outlines.
class Noise {
 public:
  Noise(Random& random, const Tokenizer& tokenizer)
      : random_(random), tokenizer_(tokenizer), table_(random.floats(1 << 18)) {
    start();
  }

  /// New likings for the next answer.
  void start() {
    location_gain_ = 6 * (unit() - 0.5f);
    end_gain_ = 8 * unit();
    tag_gain_ = 10 * unit();
  }

  View<const float> rows(std::int64_t count) {
    const std::int64_t vocabulary = tokenizer_.size();
    values_.resize(static_cast<std::size_t>(count * vocabulary));
    for (std::int64_t r = 0; r < count; ++r) {
      float* const row = values_.data() + r * vocabulary;
      const std::size_t offset = random_.bits() % (table_.size() - static_cast<std::size_t>(vocabulary));
      for (std::int64_t i = 0; i < vocabulary; ++i) row[i] = 5 * table_[offset + static_cast<std::size_t>(i)];
      for (int bin = 0; bin < 1000; ++bin) row[tokenizer_.location_base() + bin] += location_gain_;
      row[2] += end_gain_;
      for (const char* tag : {"<sep>", "<poly>", "</poly>"}) row[*tokenizer_.id_of(tag)] += tag_gain_;
    }
    return {values_.data(), count, vocabulary};
  }

 private:
  float unit() { return static_cast<float>(random_.bits() % 1000) / 1000; }

  Random& random_;
  const Tokenizer& tokenizer_;
  std::vector<float> table_, values_;
  float location_gain_ = 0, end_gain_ = 0, tag_gain_ = 0;
};

struct Kind {
  std::string name;
  AnswerRules rules;
  std::string shape;  // regular expression over one letter a token: T text, L location, S <sep>, P <poly>, Q </poly>
};

const std::vector<Kind>& kinds() {
  const std::string outline = "LLLLLL(LL)*(SLLLLLL(LL)*)*";
  static const std::vector<Kind> all = {
      {"labelled boxes", {AnswerKind::boxes}, "(T+(LLLL)+)*"},
      {"boxes", {AnswerKind::boxes, false}, "(LLLL)*"},
      {"quads", {AnswerKind::quads}, "(T+(LLLLLLLL)+)*"},
      {"outlines", {AnswerKind::polygons, false}, "((P" + outline + "Q)*|" + outline + ")"},
      {"labelled outlines", {AnswerKind::polygons}, "(T+((P" + outline + "Q)+|" + outline + "))*"},
      {"boxes or outlines", {AnswerKind::boxes_or_polygons}, "((T+(LLLL)+)*|(T+(P" + outline + "Q)+)*)"},
  };
  return all;
}

std::string letters_of(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  std::string letters;
  for (const std::int32_t id : ids) {
    const std::string_view piece = tokenizer.piece(id);
    if (piece == "<s>" || piece == "</s>") continue;
    letters += piece == "<sep>"             ? 'S'
               : piece == "<poly>"          ? 'P'
               : piece == "</poly>"         ? 'Q'
               : piece.starts_with("<loc_") ? 'L'
               : tokenizer.is_special(id)   ? '?'
                                            : 'T';
  }
  return letters;
}

bool in_order(const Item& item) {
  const auto* box = std::get_if<Box>(&item.shape);
  return box == nullptr || (box->x0 <= box->x1 && box->y0 <= box->y1);
}

/// The box corners as the tokens have them: the parser of Compat::none would put them in order itself.
bool well_formed(const Tokenizer& tokenizer, const Kind& kind, std::span<const std::int32_t> ids,
                 const std::regex& shape) {
  if (!std::regex_match(letters_of(tokenizer, ids), shape)) return false;
  const std::string text = tokenizer.decode(ids);
  const Answer repaired = parse_by_rules(kind.rules, text, 1000, 1000, Compat::none);
  const Answer plain = parse_by_rules(kind.rules, text, 1000, 1000, Compat::ms);
  return repaired.items_dropped == 0 && std::all_of(plain.items.begin(), plain.items.end(), in_order);
}

GenerationRules random_rules(Random& random, int beams) {
  GenerationRules rules;
  rules.num_beams = beams;
  rules.max_new_tokens = 2 + static_cast<int>(random.bits() % 30);
  rules.no_repeat_ngram = static_cast<int>(random.bits() % 4);
  rules.forced_eos = random.bits() % 4 == 0 ? -1 : 2;
  return rules;
}

Hypothesis decode(Context& context, const GenerationRules& rules, const AnswerGrammar& grammar, Noise& noise) {
  noise.start();
  const auto search = make_search(context, rules, &grammar);
  while (true) {
    const auto more = search->advance(noise.rows(rules.num_beams));
    REQUIRE(more);
    if (!*more) return search->take().front();
  }
}

/// `trials` answers of each kind, a third of them with beams, the others greedy. Returns how many that were.
int check_random_answers(const Tokenizer& tokenizer, int trials) {
  Context context(*available_tables().back(), 1);
  Random random(50);
  Noise noise(random, tokenizer);
  int malformed = 0, empty = 0, decodes = 0;
  for (const Kind& kind : kinds()) {
    const AnswerGrammar grammar(kind.rules, tokenizer);
    const std::regex shape(kind.shape);
    for (int trial = 0; trial < trials; ++trial, ++decodes) {
      const Hypothesis best = decode(context, random_rules(random, trial % 3 == 0 ? 3 : 1), grammar, noise);
      const std::string letters = letters_of(tokenizer, best.ids);
      empty += letters.empty();
      if (well_formed(tokenizer, kind, best.ids, shape)) continue;
      ++malformed;
      UNSCOPED_INFO(kind.name << ": " << letters << ' ' << tokenizer.decode(best.ids));
    }
  }
  CHECK(malformed == 0);
  CHECK(empty < decodes / 2);  // the likings are not such that nothing is ever said
  return decodes;
}

TEST_CASE("ten thousand random answers are well formed") { CHECK(check_random_answers(demo(), 1700) >= 10'000); }

/// The same over the published vocabulary, where the reference data has it.
void check_published_vocabulary(int trials, int least) {
  if (const auto reference = test::reference_dir()) {
    CHECK(check_random_answers(load(*reference + "/model-files/hf"), trials) >= least);
  } else {
    WARN("no reference data: the published vocabulary is not tested");
  }
}

TEST_CASE("random answers over the published vocabulary are well formed") { check_published_vocabulary(100, 600); }

TEST_CASE("ten thousand random answers over the published vocabulary", "[.slow]") {
  check_published_vocabulary(1700, 10'000);
}

TEST_CASE("without the grammar the same noise is malformed") {
  Context context(*available_tables().back(), 1);
  Random random(51);
  Noise noise(random, demo());
  int malformed = 0;
  const Kind& kind = kinds().front();
  const std::regex shape(kind.shape);
  for (int trial = 0; trial < 100; ++trial) {
    noise.start();
    const auto result = generate(context, random_rules(random, 1), [&](auto, auto) { return noise.rows(1); });
    REQUIRE(result);
    malformed += !well_formed(demo(), kind, result->front().ids, shape);
  }
  CHECK(malformed > 50);
}

TEST_CASE("only listed labels are answered, each as often as the picture asks") {
  Context context(*available_tables().back(), 1);
  Random random(52);
  Noise noise(random, demo());
  const std::vector<std::string> labels = {"red circle", "red", "a big blue square", "sign", "Größe"};
  const auto trie = LabelTrie::build(labels, demo());
  REQUIRE(trie);
  for (const AnswerKind kind : {AnswerKind::boxes, AnswerKind::boxes_or_polygons}) {
    const AnswerGrammar grammar({kind}, demo(), *trie);
    std::map<std::string, int> seen;
    for (int trial = 0; trial < 1000; ++trial) {
      const Hypothesis best = decode(context, random_rules(random, trial % 3 == 0 ? 3 : 1), grammar, noise);
      const Answer answer = parse_by_rules({kind}, demo().decode(best.ids), 1000, 1000, Compat::none);
      CHECK(answer.items_dropped == 0);
      for (const Item& item : answer.items) ++seen[item.label];
    }
    CHECK(seen.size() == labels.size());
    for (const auto& [label, count] : seen) {
      INFO(label << ": " << count);
      CHECK(std::find(labels.begin(), labels.end(), label) != labels.end());
    }
  }
}

TEST_CASE("a forced first token that no answer has leaves what follows well formed") {
  Context context(*available_tables().back(), 1);
  Random random(54);
  Noise noise(random, demo());
  const auto trie = LabelTrie::build(std::vector<std::string>{"heart"}, demo());
  REQUIRE(trie);
  const AnswerGrammar grammar({AnswerKind::boxes}, demo(), *trie);
  const std::regex shape(kinds().front().shape);
  for (int trial = 0; trial < 300; ++trial) {
    GenerationRules rules = random_rules(random, trial % 3 == 0 ? 3 : 1);
    // None of them can begin a label of the list.
    rules.forced_bos = std::array{100, demo().location_base(), *demo().id_of("<poly>")}[random.bits() % 3];
    std::vector<std::int32_t> ids = decode(context, rules, grammar, noise).ids;
    REQUIRE(ids[1] == rules.forced_bos);
    ids.erase(ids.begin() + 1);
    CHECK(well_formed(demo(), kinds().front(), ids, shape));
  }
}

TEST_CASE("<s> comes once at most, before all else") {
  Context context(*available_tables().back(), 1);
  Random random(55);
  Noise noise(random, demo());
  const auto trie = LabelTrie::build(std::vector<std::string>{"a big blue square"}, demo());
  REQUIRE(trie);
  const AnswerGrammar grammar({AnswerKind::boxes}, demo(), *trie);
  int seen = 0;
  for (int trial = 0; trial < 300; ++trial) {
    GenerationRules rules = random_rules(random, trial % 3 == 0 ? 3 : 1);
    rules.forced_bos = trial % 2 == 0 ? 0 : -1;
    rules.min_new_tokens = static_cast<int>(random.bits() % 30);
    const std::vector<std::int32_t> ids = decode(context, rules, grammar, noise).ids;
    seen += ids[1] == 0 && rules.forced_bos < 0;
    CHECK(std::find(ids.begin() + 2, ids.end(), 0) == ids.end());
  }
  CHECK(seen > 0);  // where it is not forced the model may still choose it
}

TEST_CASE("confidences are probabilities among the tokens that the rules allow") {
  Context context(*available_tables().back(), 1);
  Random random(53);
  Noise noise(random, demo());
  const auto trie = LabelTrie::build(std::vector<std::string>{"sign"}, demo());
  REQUIRE(trie);
  const AnswerGrammar grammar({AnswerKind::boxes}, demo(), *trie);
  GenerationRules rules;
  rules.max_new_tokens = 12;
  for (int trial = 0; trial < 50; ++trial) {
    const Hypothesis best = decode(context, rules, grammar, noise);
    REQUIRE(best.confidences.size() == best.log_probs.size());
    for (std::size_t i = 0; i < best.confidences.size(); ++i) {
      CHECK(best.confidences[i] <= 0);
      CHECK(best.confidences[i] >= best.log_probs[i] - 1e-4f);
    }
  }
}

}  // namespace
}  // namespace florence2
