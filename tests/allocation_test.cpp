// operator new counted and made to fail: after its first step a search takes no memory; where there is none, threads
// survive and the public functions say so.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <vector>

#include "kernels/isa.hpp"
#include "kernels/thread_pool.hpp"
#include "model/engine.hpp"
#include "model/generate.hpp"
#include "model/guarded.hpp"
#include "tests/checkpoint_file.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"
#include "tests/tiny_model.hpp"
#include "weights/weight_reader.hpp"

namespace {
std::atomic<long> allocations{0};
constexpr std::size_t kNever = SIZE_MAX;
std::atomic<std::size_t> failing_size{kNever};  // this many bytes or more are refused
std::atomic<long> spared{0};                    // after so many that are not
}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (size >= failing_size && --spared < 0) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
// Not inline: g++ would see free() take what operator new gave.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace florence2 {
namespace {

using namespace test;

/// While it lives, operator new refuses `size` bytes or more; the first `count` times it does not.
struct Shortage {
  explicit Shortage(std::size_t size, long count = 0) {
    spared = count;
    failing_size = size;
  }
  ~Shortage() { failing_size = kNever; }
};

/// Runs `body` with no memory after `spare` more allocations.
template <typename Body>
auto starved(long spare, const Body& body) {
  const Shortage shortage(0, spare);
  return body();
}

TEST_CASE("weights that threads find no memory for are an error") {
  const std::int64_t out = 512, in = 512;
  CheckpointFile file;
  file.add("w.weight", {out, in}, DType::f32);
  const TempFolder folder;
  folder.write("model.safetensors", file.bytes());
  const int threads = GENERATE(1, 4);
  auto reader = WeightReader::open(
      folder.path(), {.threads = threads, .choose_type = [](auto, DType) { return WeightType(DType::s8); }});
  REQUIRE(reader);
  const KernelTable& table = *available_tables().back();
  Result<Linear> linear = Error{};
  {
    const Shortage shortage(8000);  // less than a piece of rows takes
    linear = reader->linear(table, "w", out, in, false);
  }
  REQUIRE_FALSE(linear);
  CHECK(linear.error().code == ErrorCode::memory);
  CHECK(reader->linear(table, "w", out, in, false));
}

TEST_CASE("a pool that finds no memory for another thread goes on with those it has") {
  for (const long count : {1, 2, 3}) {  // the list of threads and so many minus one
    std::optional<ThreadPool> pool;
    {
      const Shortage shortage(1, count);
      pool.emplace(4);
    }
    std::vector<std::atomic<int>> visits(1000);
    pool->parallel_for(1000, [&](std::int64_t index, int) { ++visits[static_cast<std::size_t>(index)]; });
    CHECK(std::all_of(visits.begin(), visits.end(), [](const auto& visit) { return visit == 1; }));
  }
}

TEST_CASE("decode steps after the first allocate nothing") {
  const int beams = GENERATE(1, 3);
  const KernelTable& table = *available_tables().back();
  const Config config = tiny_config();
  TinyTensors tensors(41);
  const Weights weights = tiny_weights(tensors, config, table);
  Context context(table, 1);
  const std::vector<float> memory = Random(42).floats(10 * config.text.d_model);
  GenerationRules rules;
  rules.num_beams = beams;
  rules.max_new_tokens = 25;
  rules.eos = -1;  // only a finished hypothesis, which is part of the answer, may allocate
  rules.forced_eos = -1;
  DecoderState state;
  state.start(context, weights.decoder, {memory.data(), 10, config.text.d_model}, beams, rules.max_new_tokens);

  std::vector<long> counts;
  counts.reserve(32);
  const auto result = generate(
      context, rules, [&](auto tokens, auto parents) { return state.step(context, weights.decoder, tokens, parents); },
      [&](int) {
        counts.push_back(allocations);
        return true;
      });
  REQUIRE(result);
  REQUIRE(counts.size() == 25);
  for (std::size_t step = 2; step + 1 < counts.size(); ++step) {  // the last one makes the answer
    INFO("step " << step + 1);
    CHECK(counts[step] == counts[step - 1]);
  }
}

/// A public call is given ever more memory, from none to enough.
template <typename Call>
void check_starved(const Call& call) {
  int failures = 0;
  for (long spare = 0; spare < 100; ++spare) {
    const auto result = starved(spare, call);
    failures += !result && result.error().code == ErrorCode::memory;
  }
  CHECK(failures > 0);
}

TEST_CASE("what is thrown becomes an error without memory too") {
  struct Surprise : std::exception {
    const char* what() const noexcept override { return "a text too long for a string's own buffer"; }
  };
  const auto outcome = [](const auto& body) { return starved(0, [&] { return guarded(body); }).error().code; };
  CHECK(outcome([]() -> Status { throw std::bad_alloc(); }) == ErrorCode::memory);
  CHECK(outcome([]() -> Status { throw Surprise(); }) == ErrorCode::memory);
  CHECK(outcome([]() -> Status { throw 7; }) == ErrorCode::memory);
}

TEST_CASE("public functions without memory return an error") {
  const std::string text(100, 'x'), path = "/nonexistent/" + text;
  CustomTask own;
  own.prompt = "{input}";
  own.input = TaskInput::text;
  check_starved([&] { return build_prompt(Task::phrase_grounding, text); });
  check_starved([&] { return build_prompt(Task::phrase_grounding, text, Compat::ms); });
  check_starved([&] { return build_prompt(own, text); });
  check_starved([&] { return parse_task_name(text); });
  check_starved([&] { return region_tokens({0, 0, 5, 5}, 10, 10); });
  check_starved([&] { return check_precision(text); });
  check_starved([&] { return Picture::open(path); });
  check_starved([&] { return Picture::decode({}, text); });
}

}  // namespace
}  // namespace florence2
