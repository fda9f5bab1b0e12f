// The thread pool: every index once, whoever runs; starting, sleeping, waking and ending.
#include "kernels/thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>
#include <vector>

namespace florence2 {
namespace {

/// Runs a loop and tells whether each index came once, from threads in range that did one thing at a time.
bool visits_each_once(ThreadPool& pool, std::int64_t count) {
  std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
  std::vector<std::atomic<int>> inside(static_cast<std::size_t>(pool.threads()));
  std::atomic<bool> orderly{true};
  pool.parallel_for(count, [&](std::int64_t index, int thread) {
    if (thread < 0 || thread >= pool.threads()) {
      orderly = false;
      return;
    }
    auto& mine = inside[static_cast<std::size_t>(thread)];
    if (mine.fetch_add(1) != 0) orderly = false;
    visits[static_cast<std::size_t>(index)].fetch_add(1);
    mine.fetch_sub(1);
  });
  return orderly && std::all_of(visits.begin(), visits.end(), [](const auto& v) { return v == 1; });
}

TEST_CASE("every index is visited once, for any count and number of threads", "[kernels]") {
  for (const int threads : {1, 2, 3, 5, 16}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (std::int64_t count = 0; count <= 70; ++count) CHECK(visits_each_once(pool, count));
    CHECK(visits_each_once(pool, 10007));
  }
}

TEST_CASE("shares are contiguous and in order for each thread", "[kernels]") {
  ThreadPool pool(3);
  std::vector<std::int64_t> last(3, -1);
  bool ordered = true;
  pool.parallel_for(1000, [&](std::int64_t index, int thread) {
    auto& mine = last[static_cast<std::size_t>(thread)];
    if (index <= mine) ordered = false;
    mine = index;
  });
  CHECK(ordered);
}

TEST_CASE("what a loop wrote is there when it has returned, loop after loop", "[kernels]") {
  ThreadPool pool(4);
  std::vector<std::int64_t> values(64, 0);
  for (int round = 0; round < 70000; ++round) {  // the loop's number wraps at 2^15
    pool.parallel_for(8, [&](std::int64_t index, int) { ++values[static_cast<std::size_t>(index)]; });
  }
  for (std::size_t i = 0; i < 8; ++i) CHECK(values[i] == 70000);
}

TEST_CASE("sleeping workers wake", "[kernels]") {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // longer than they spin and yield
    std::atomic<int> together{0};
    // Returns only when all three threads are inside at the same time.
    pool.parallel_for(3, [&](std::int64_t, int) {
      together.fetch_add(1);
      while (together.load() < 3) std::this_thread::yield();
    });
    CHECK(together == 3);
  }
}

TEST_CASE("pools end in any state", "[kernels]") {
  for (int round = 0; round < 50; ++round) {
    ThreadPool unused(4);
    ThreadPool used(4);
    CHECK(visits_each_once(used, 100));
    if (round == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST_CASE("several threads may use a pool each", "[kernels]") {
  std::atomic<int> good{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      ThreadPool pool(2);
      for (int round = 0; round < 200; ++round) good += visits_each_once(pool, 50) ? 1 : 0;
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(good == 4 * 200);
}

}  // namespace
}  // namespace florence2
