// Sampling and the greedy search's processors against transformers' own (golden/make_sampling.py).
#include "model/sampling.hpp"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/json.hpp"
#include "kernels/isa.hpp"
#include "model/generate.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

using test::at;
using test::int_of;

GenerationRules rules_of(const json::Value& golden) {
  const auto number = [&](const char* key) { return static_cast<float>(test::number_of(at(golden, key))); };
  GenerationRules rules;
  rules.num_beams = 1;
  rules.max_new_tokens = static_cast<int>(int_of(at(golden, "max_new_tokens")));
  rules.min_new_tokens = static_cast<int>(int_of(at(golden, "min_new_tokens")));
  rules.no_repeat_ngram = static_cast<int>(int_of(at(golden, "no_repeat_ngram")));
  rules.repetition_penalty = number("repetition_penalty");
  rules.sample = *at(golden, "sample").boolean();
  rules.sampling = {number("temperature"), static_cast<int>(int_of(at(golden, "top_k"))), number("top_p"),
                    static_cast<std::uint64_t>(int_of(at(golden, "seed")))};
  return rules;
}

std::vector<std::vector<float>> rows_of(const json::Value& golden) {
  std::vector<std::vector<float>> rows;
  for (const json::Value& row : *golden.array()) {
    rows.emplace_back();
    for (const json::Value& value : *row.array()) rows.back().push_back(static_cast<float>(test::number_of(value)));
  }
  return rows;
}

TEST_CASE("tokens equal the reference's processors and warpers, one by one") {
  const KernelTable* table = GENERATE(from_range(available_tables()));
  Context context(*table, 1);
  const json::Value golden = test::load_json(test::source_dir() + "/tests/golden/sampling.json");
  REQUIRE(golden.array()->size() >= 80);
  for (const json::Value& one : *golden.array()) {
    INFO(json::dump(at(one, "rules")));
    const auto rows = rows_of(at(one, "logits"));
    std::size_t step = 0;
    const auto result = generate(context, rules_of(at(one, "rules")), [&](auto, auto) {
      const std::vector<float>& row = rows.at(step++);
      return View<const float>(row.data(), 1, static_cast<std::int64_t>(row.size()));
    });
    REQUIRE(result);
    CHECK(result->front().ids == test::ids_of(at(one, "ids")));
  }
}

TEST_CASE("warpers keep what the reference keeps") {
  const json::Value golden = test::load_json(test::source_dir() + "/tests/golden/sampling.json");
  int checked = 0;
  for (const json::Value& one : *golden.array()) {
    const GenerationRules rules = rules_of(at(one, "rules"));
    // Without processors the golden's rows are what the warpers saw.
    if (!rules.sample || rules.repetition_penalty != 1 || rules.no_repeat_ngram != 0 || rules.min_new_tokens != 0) {
      continue;
    }
    const auto rows = rows_of(at(one, "logits"));
    const json::Array& kept = *at(one, "kept").array();
    for (std::size_t step = 1; step < kept.size(); ++step) {
      if (kept[step].array()->empty()) continue;  // forced
      std::vector<float> scores = rows[step];
      Sampler(rules.sampling).warp(scores);
      std::vector<std::int32_t> mine;
      for (std::size_t i = 0; i < scores.size(); ++i) {
        if (std::isfinite(scores[i])) mine.push_back(static_cast<std::int32_t>(i));
      }
      CHECK(mine == test::ids_of(kept[step]));
      ++checked;
    }
  }
  CHECK(checked > 100);
}

TEST_CASE("the lowest temperatures draw the best token") {
  const float temperature = GENERATE(1e-6f, 1e-38f, 1e-40f);
  Sampler sampler({.temperature = temperature, .top_k = 3, .top_p = 0.9f, .seed = 7});
  for (const std::vector<float>& logits : {std::vector<float>{1, 30, 2, 3, -INFINITY}, {-40, -1, -2, -3, -5}}) {
    std::vector<float> scores = logits;
    sampler.warp(scores);
    CHECK(sampler.draw(scores) == 1);
  }
}

TEST_CASE("draws follow the softmax") {
  Sampler sampler({.seed = 3});
  const std::vector<float> scores = {0, std::log(2.0f), std::log(5.0f), -INFINITY};
  std::vector<int> counts(scores.size());
  constexpr int kDraws = 80'000;
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<std::size_t>(sampler.draw(scores))];
  // Five standard deviations of a binomial count are below 5 * sqrt(kDraws / 4) = 707.
  CHECK(std::abs(counts[0] - kDraws / 8) < 707);
  CHECK(std::abs(counts[1] - kDraws / 4) < 707);
  CHECK(std::abs(counts[2] - kDraws * 5 / 8) < 707);
  CHECK(counts[3] == 0);
}

}  // namespace
}  // namespace florence2
