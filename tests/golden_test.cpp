// What the reference implementation computes on seeded checkpoints and on the demo model, stage by stage.
#include <catch2/catch.hpp>
#include <string>

#include "kernels/isa.hpp"
#include "tests/golden_check.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

using namespace test;

Model load(const std::string& folder, const std::string& isa = "") {
  auto model = Model::load(folder, {.isa = isa, .precision = "fp32"});
  INFO(folder << ": " << (model ? "" : model.error().text()));
  REQUIRE(model);
  return std::move(model).value();
}

/// Checks `folder`'s model against a golden of the reference data; `precision` names the golden with the error bounds.
void check_reference(const std::string& folder, const std::string& name, const std::string& precision,
                     int threads = 1) {
  const std::string goldens = *reference_dir() + "/model/";
  const json::Value golden = load_json(goldens + name + ".json");
  const json::Value bounds = load_json(goldens + precision + ".json");
  const Model model = load(folder);
  GoldenCheck check(model, golden, bounds, threads);
  check.run(*reference_dir() + "/images");
  WARN(name << ", " << model.info().layout << ", " << model.info().storage << ": " << check.summary());
}

TEST_CASE("the demo model answers as the reference does") {
  const Model model = load(source_dir() + "/weights/demo");
  const json::Value golden = load_json(source_dir() + "/tests/golden/demo.json");
  GoldenCheck check(model, golden, golden, 1);
  check.run(source_dir() + "/weights/demo/images");
  WARN("demo: " << check.summary());
}

TEST_CASE("mini-1 in both layouts") {
  const std::string layout = GENERATE("hf", "ms");
  if (const auto folder = checkpoint("mini", layout, "f32")) check_reference(*folder, "mini-1", "mini-1");
}

TEST_CASE("mini-1 at 640x640, where windows need padding") {
  const std::string layout = GENERATE("hf", "ms");
  if (const auto folder = checkpoint("mini", layout, "f32", 640)) {
    check_reference(*folder, "mini-1-side640", "mini-1-side640");
  }
}

TEST_CASE("base-1", "[.slow]") {
  if (const auto folder = checkpoint("base", "hf", "f32"))
    check_reference(*folder, "base-1", "base-1", default_threads());
}

TEST_CASE("base-1 in half precision", "[.slow]") {
  if (const auto folder = checkpoint("base", "hf", "f16"))
    check_reference(*folder, "base-1-f16", "base-1", default_threads());
}

/// Features of a picture and answers of a few tasks, by both kinds of search.
struct Answers {
  std::vector<float> features;
  std::vector<std::vector<std::int32_t>> ids;
  std::vector<float> log_probs;
};

Answers ask(const Model& model, const std::string& picture_path, int threads) {
  auto runner = Runner::create(model, {.threads = threads});
  REQUIRE(runner);
  const auto picture = Picture::open(picture_path);
  REQUIRE(picture);
  const auto image = runner->encode(picture->view());
  REQUIRE(image);
  Answers answers;
  answers.features.assign(image->features().begin(), image->features().end());
  for (const Task task : {Task::object_detection, Task::detailed_caption, Task::ocr_with_region}) {
    for (const int beams : {1, 3}) {
      const auto result = runner->run(*image, task, {.generation = {.num_beams = beams, .max_new_tokens = 30}});
      REQUIRE(result);
      answers.ids.push_back(result->token_ids);
      answers.log_probs.insert(answers.log_probs.end(), result->log_probs.begin(), result->log_probs.end());
    }
  }
  return answers;
}

TEST_CASE("instruction sets give the same tokens, numbers of threads the same bits") {
  const std::string folder = source_dir() + "/weights/demo";
  const std::string picture = folder + "/images/scene-1.png";
  const Answers expected = ask(load(folder), picture, 1);
  for (const KernelTable* table : available_tables()) {
    INFO(table->name);
    const Model model = load(folder, table->name);
    CHECK(model.info().isa == table->name);
    const Answers one = ask(model, picture, 1);
    const Answers two = ask(model, picture, 2);
    CHECK(one.ids == expected.ids);
    CHECK(two.ids == one.ids);
    CHECK(two.features == one.features);
    CHECK(two.log_probs == one.log_probs);
  }
}

TEST_CASE("both layouts of a seed give the same bits in every storage type") {
  const std::string dtype = GENERATE("f32", "f16", "bf16");
  const auto hf = checkpoint("mini", "hf", dtype);
  const auto ms = checkpoint("mini", "ms", dtype);
  if (!hf || !ms) return;
  const std::string picture = *reference_dir() + "/images/scene-640x480-1.png";
  const Answers a = ask(load(*hf), picture, 2);
  const Answers b = ask(load(*ms), picture, 2);
  CHECK(a.features == b.features);
  CHECK(a.ids == b.ids);
}

}  // namespace
}  // namespace florence2
