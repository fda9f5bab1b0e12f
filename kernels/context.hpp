// Context: what every operation needs besides its operands, that is the kernels, the threads, and
// scratch memory for each thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/buffer.hpp"
#include "kernels/table.hpp"
#include "kernels/thread_pool.hpp"

namespace florence2 {

/// Mutable; one per Runner, used by one operation at a time. Results never depend on `threads`.
class Context {
 public:
  Context(const KernelTable& table, int threads)
      : table_(&table), pool_(std::make_unique<ThreadPool>(threads)), scratch_(static_cast<std::size_t>(threads)) {}

  const KernelTable& table() const { return *table_; }
  int threads() const { return pool_->threads(); }

  /// ThreadPool::parallel_for: body(index, thread) for every index in [0, count).
  template <typename Body>
  void parallel_for(std::int64_t count, const Body& body) {
    pool_->parallel_for(count, body);
  }

  /// Makes sure that each thread's scratch holds `floats` elements. Call it before a parallel loop (it may
  /// throw std::bad_alloc), then take scratch(thread) inside.
  void reserve(std::int64_t floats) {
    for (Buffer<float>& buffer : scratch_) buffer.ensure(floats);
  }
  /// Scratch that all threads of one operation share, apart from the threads' own; `floats` elements. Like reserve.
  float* shared(std::int64_t floats) {
    shared_.ensure(floats);
    return shared_.data();
  }
  /// The same for the rows of a product's left-hand side, which may lie in `shared` before they are converted.
  float* converted(std::int64_t floats) {
    converted_.ensure(floats);
    return converted_.data();
  }
  float* scratch(int thread) { return scratch_[static_cast<std::size_t>(thread)].data(); }

 private:
  const KernelTable* table_;
  std::unique_ptr<ThreadPool> pool_;
  std::vector<Buffer<float>> scratch_;
  Buffer<float> shared_, converted_;
};

}  // namespace florence2
