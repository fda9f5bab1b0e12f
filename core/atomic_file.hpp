// Writing a file that appears under its name only when it is whole.
#pragma once

#include <span>
#include <string>

#include "core/result.hpp"

namespace florence2 {

/// Writes `parts`, one after the other, to a temporary file beside `path`, syncs it and renames it. On failure nothing
/// is left behind and an older file of that name stays. Errors: cannot_create, io.
Status write_file_atomically(const std::string& path, std::span<const std::span<const std::byte>> parts);

}  // namespace florence2
