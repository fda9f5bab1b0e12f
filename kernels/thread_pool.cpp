#include "kernels/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

namespace florence2 {
namespace {

constexpr std::uint32_t kEnd = 1u << 31;
constexpr std::uint32_t kOpen = 1u << 15;
constexpr std::uint32_t kInside = kOpen - 1;
constexpr std::uint32_t kNextLoop = 1u << 16;
constexpr std::uint32_t kLoopNumber = ~(kEnd | kOpen | kInside);

/// How long a worker waits in each way. Between the loops of a decode step lie microseconds, between two tokens some
/// tens of them; sleeping and waking costs about 70.
constexpr auto kSpin = std::chrono::microseconds(50);
constexpr auto kYield = std::chrono::microseconds(1000);
/// A loop is cut into several shares a thread, so that one who comes late leaves little to wait for.
constexpr std::int64_t kSharesPerThread = 4;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Calls done() until it is true, spinning for kSpin and then letting others run; gives up after `limit`.
template <typename Done>
bool spin_until(const Done& done, std::chrono::microseconds limit) {
  constexpr int kBetweenClocks = 64;
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < kBetweenClocks; ++i) {
      if (done()) return true;
      relax();
    }
    const auto waited = std::chrono::steady_clock::now() - start;
    if (waited > limit) return false;
    if (waited > kSpin) std::this_thread::yield();
  }
}

}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(threads) {
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::exception&) {  // no more threads, or no memory for one: those that started will do
  }
}

ThreadPool::~ThreadPool() {
  state_.fetch_or(kEnd, std::memory_order_release);
  state_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

std::int64_t ThreadPool::share_of(std::int64_t count) const {
  return std::max<std::int64_t>(1, count / (kSharesPerThread * threads_));
}

void ThreadPool::share_out(const Loop& loop) {
  loop_ = loop;  // no worker is inside
  next_.store(0, std::memory_order_relaxed);
  const std::uint32_t number = (state_.load(std::memory_order_relaxed) + kNextLoop) & kLoopNumber;
  state_.store(number |
               kOpen);  // sequentially consistent, as is sleepers_: either a worker sees it, or we see the sleeper
  if (sleepers_.load() > 0) state_.notify_all();
  take_shares(0);
  state_.fetch_and(~kOpen, std::memory_order_acq_rel);
  const auto all_left = [this] { return (state_.load(std::memory_order_acquire) & kInside) == 0; };
  while (!spin_until(all_left, kYield)) {
  }
}

void ThreadPool::take_shares(int thread) {
  for (;;) {
    const std::int64_t first = next_.fetch_add(loop_.share, std::memory_order_relaxed);
    if (first >= loop_.count) return;
    loop_.run(loop_.body, first, std::min(first + loop_.share, loop_.count), thread);
  }
}

std::uint32_t ThreadPool::wait_for_change(std::uint32_t seen) {
  // Another worker's coming and going is no change: what counts is the number of the loop, and the end.
  std::uint32_t now = seen;
  const auto changed = [&] {
    now = state_.load();
    return ((now ^ seen) & (kLoopNumber | kEnd)) != 0;
  };
  if (spin_until(changed, kYield)) return now;
  sleepers_.fetch_add(1);
  while (!changed()) state_.wait(now);
  sleepers_.fetch_sub(1);
  return now;
}

void ThreadPool::work(int thread) {
  std::uint32_t seen = 0;
  for (;;) {
    std::uint32_t state = wait_for_change(seen);
    if ((state & kEnd) != 0) return;
    seen = state;
    // Join, unless the loop is over or has become another one meanwhile.
    while ((state & kOpen) != 0 && ((state ^ seen) & (kLoopNumber | kEnd)) == 0) {
      if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) continue;
      take_shares(thread);
      state_.fetch_sub(1, std::memory_order_release);
      break;
    }
  }
}

}  // namespace florence2
