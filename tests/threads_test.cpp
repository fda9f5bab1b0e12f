// One model, many threads. Built with -fsanitize=thread (preset tsan) it proves that they share nothing that changes;
// in every build, that they do not disturb one another.
#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "model/florence2.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

const std::string kFolder = test::source_dir() + "/weights/demo";
constexpr Task kTasks[] = {Task::object_detection, Task::caption, Task::ocr_with_region, Task::region_proposal};

/// One thread's work: a runner of its own, a batch of different tasks, rules and lengths.
std::vector<std::vector<std::int32_t>> work(const Model& model, const EncodedImage& image, int threads) {
  auto runner = Runner::create(model, {.threads = threads});
  std::vector<Request> requests;
  for (const Task task : kTasks) {
    Request request{&image, task};
    request.options.generation.max_new_tokens = 12;
    request.options.generation.num_beams = task == Task::caption ? 1 : 3;
    request.options.generation.well_formed = true;
    requests.push_back(request);
  }
  std::vector<std::vector<std::int32_t>> ids;
  if (!runner) return ids;
  const auto results = runner->run_batch(requests);
  if (!results) return ids;
  for (const auto& result : *results) {
    if (result) ids.push_back(result->token_ids);
  }
  return ids;
}

/// The demo model, a runner with one thread, and a picture.
struct Demo {
  explicit Demo(const char* precision) : model(taken(Model::load(kFolder, {.precision = precision}))) {}

  template <typename T>
  static T taken(Result<T> result) {
    REQUIRE(result);
    return std::move(result).value();
  }

  const Model model;
  const Picture picture = taken(Picture::open(kFolder + "/images/scene-1.png"));
  Runner runner = taken(Runner::create(model, {.threads = 1}));
  const EncodedImage image = taken(runner.encode(picture.view()));
};

TEST_CASE("eight threads ask one model mixed tasks") {
  const Demo demo(GENERATE("fp32", "int8"));
  const auto expected = work(demo.model, demo.image, 1);
  REQUIRE(expected.size() == std::size(kTasks));
  std::atomic<int> equal = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] { equal += work(demo.model, demo.image, 1 + i % 2) == expected; });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(equal == 8);
}

TEST_CASE("a runner at work refuses another call, and goes on") {
  Demo demo("fp32");
  const auto expected = demo.runner.run(demo.image, Task::caption);
  REQUIRE(expected);

  std::vector<Error> refused;
  RunOptions options;
  options.on_step = [&](int) {
    refused.push_back(demo.runner.run(demo.image, Task::caption).error());
    std::thread([&] { refused.push_back(demo.runner.encode(demo.picture.view()).error()); }).join();
    return true;
  };
  const auto result = demo.runner.run(demo.image, Task::caption, options);
  REQUIRE(result);
  CHECK(result->token_ids == expected->token_ids);
  REQUIRE(refused.size() >= 2);
  for (const Error& error : refused) {
    CHECK(error.code == ErrorCode::argument);
    CHECK(error.message == "the runner is in use: give each thread its own, and callbacks another");
  }
  CHECK(demo.runner.run(demo.image, Task::caption));
}

}  // namespace
}  // namespace florence2
