#include "tools/memory.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace florence2 {
namespace {

constexpr std::int64_t kBesidesWeights = std::int64_t{64} << 20;  // program, activations and pictures, at the least

/// 1.23 for 1,230,000,000 bytes.
std::string gigabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", static_cast<double>(bytes) / 1e9);
  return text;
}

}  // namespace

std::int64_t memory_limit() {
  std::int64_t limit = std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  std::int64_t group_limit = 0;  // stays 0 where the file says "max"
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> group_limit) limit = std::min(limit, group_limit);
  rlimit address_space{};
  if (::getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY) {
    limit = std::min(limit, static_cast<std::int64_t>(address_space.rlim_cur));
  }
  return limit;
}

std::int64_t peak_resident_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

std::int64_t weight_file_bytes(const std::string& directory) {
  std::int64_t sum = 0;
  std::error_code failure;
  for (auto entry = std::filesystem::directory_iterator(directory, failure); !failure && entry != end(entry);
       entry.increment(failure)) {
    std::error_code ignored;
    if (entry->path().extension() != ".safetensors") continue;
    const std::uintmax_t bytes = entry->file_size(ignored);
    if (!ignored) sum += static_cast<std::int64_t>(bytes);
  }
  return sum;
}

Status check_memory(const std::string& directory) {
  const std::int64_t needed = weight_file_bytes(directory) + kBesidesWeights;
  const std::int64_t limit = memory_limit();
  if (needed <= limit) return {};
  return Error{ErrorCode::limit,
               "needs at least " + gigabytes(needed) + " GB of memory, the limit is " + gigabytes(limit) +
                   " GB; use a smaller checkpoint or raise the limit",
               directory};
}

}  // namespace florence2
