// The thread pool: OpenMP, in this file only. Without OpenMP the loops run serially.
#pragma once

#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace florence2 {

/// Calls body(index, thread) for every index in [0, count), cut into one contiguous share a thread; thread is in
/// [0, threads). The body must not throw. Waiting threads spin briefly and then sleep (libgomp's default).
template <typename Body>
void parallel_for(int threads, std::int64_t count, const Body& body) {
#ifdef _OPENMP
  if (threads > 1 && count > 1) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (std::int64_t i = 0; i < count; ++i) body(i, omp_get_thread_num());
    return;
  }
#endif
  (void)threads;
  for (std::int64_t i = 0; i < count; ++i) body(i, 0);
}

}  // namespace florence2
