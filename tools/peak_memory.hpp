// What a piece of work takes at the most, measured in a process of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

namespace florence2 {

/// Runs `work` in a child process and returns the child's largest resident size in bytes; nothing when `work` returned
/// false or the child ended in another way. Call it while the process has a single thread: a child has no others.
std::optional<std::int64_t> peak_memory_of(const std::function<bool()>& work);

}  // namespace florence2
