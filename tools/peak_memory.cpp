#include "tools/peak_memory.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace florence2 {

std::optional<std::int64_t> peak_memory_of(const std::function<bool()>& work) {
  const pid_t child = ::fork();
  if (child < 0) return std::nullopt;
  if (child == 0) ::_exit(work() ? 0 : 1);  // without the parent's buffers and destructors
  int status = 0;
  rusage usage{};
  while (::wait4(child, &status, 0, &usage) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return std::int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace florence2
