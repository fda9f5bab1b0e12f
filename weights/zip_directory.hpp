// Where the members of a zip file lie. Only stored members (as torch writes them) are of use, so nothing is ever
// decompressed; names are only compared, never opened as paths.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/file.hpp"
#include "core/result.hpp"

namespace florence2 {

struct ZipMember {
  std::string name;
  std::int64_t offset = 0;  ///< of its data in the file
  std::int64_t bytes = 0;
};

/// Reads the directory, zip64 included. Members are stored, not encrypted, have different names, lie in the file, in
/// front of the directory, and do not overlap; anything else is an error (io, model).
Result<std::vector<ZipMember>> read_zip_directory(const File& file);

}  // namespace florence2
