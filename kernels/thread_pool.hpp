// The thread pool: the only file, with its source, that knows threads. A pool belongs to one caller at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace florence2 {

/// `threads - 1` workers and the calling thread share the work of a loop. Workers wait for the next loop by spinning,
/// soon yielding, and after about a millisecond sleep, so that a decode step's many short loops start in a fraction of
/// a microsecond and an idle pool costs nothing.
///
/// Shares are taken, not assigned: where other programs hold the cores, whoever runs does the work, and nobody waits
/// for a thread that has not started yet.
class ThreadPool {
 public:
  /// threads >= 1; no thread is started for 1. When the system refuses one, the pool goes on with fewer.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// As asked for: body's `thread` stays below it.
  int threads() const { return threads_; }

  /// Calls body(index, thread) once for every index in [0, count), in contiguous shares; thread is in [0, threads()),
  /// and one thread's calls follow each other. The body must not throw, nor use this pool.
  template <typename Body>
  void parallel_for(std::int64_t count, const Body& body) {
    const auto run = [](const void* context, std::int64_t first, std::int64_t last, int thread) {
      for (std::int64_t i = first; i < last; ++i) (*static_cast<const Body*>(context))(i, thread);
    };
    if (workers_.empty() || count <= 1) return run(&body, 0, count, 0);
    share_out({run, &body, count, share_of(count)});
  }

 private:
  struct Loop {
    void (*run)(const void* body, std::int64_t first, std::int64_t last, int thread) = nullptr;
    const void* body = nullptr;
    std::int64_t count = 0;
    std::int64_t share = 1;
  };

  std::int64_t share_of(std::int64_t count) const;
  void share_out(const Loop& loop);
  void take_shares(int thread);
  void work(int thread);
  /// Returns the state once it is not `seen` any more.
  std::uint32_t wait_for_change(std::uint32_t seen);

  int threads_;
  std::vector<std::thread> workers_;
  Loop loop_;
  // What follows is written by all threads: a cache line each, or every write would disturb the readers of the rest.
  alignas(64) std::atomic<std::int64_t> next_{0};  // first index that nobody has taken
  // Bit 31: the pool ends. Bits 16-30: number of the loop. Bit 15: it may be joined. Bits 0-14: workers inside.
  alignas(64) std::atomic<std::uint32_t> state_{0};
  alignas(64) std::atomic<int> sleepers_{0};
};

}  // namespace florence2
