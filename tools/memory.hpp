// Memory that this process may use, needs and has used.
#pragma once

#include <cstdint>
#include <string>

#include "core/result.hpp"

namespace florence2 {

/// The smallest of physical memory, the control group's limit and RLIMIT_AS, in bytes.
std::int64_t memory_limit();

/// Largest resident size so far, in bytes.
std::int64_t peak_resident_bytes();

/// Bytes of the weight files of a model folder.
std::int64_t weight_file_bytes(const std::string& directory);

/// Error limit when the weight files of `directory` alone cannot fit.
Status check_memory(const std::string& directory);

}  // namespace florence2
