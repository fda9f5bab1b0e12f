// Reading files with the failures told apart: missing, unreadable, not a regular file, too large, changed meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/result.hpp"

namespace florence2 {

/// A regular file opened for reading. Positions are explicit (pread), so threads may share one object.
class File {
 public:
  /// Errors: not_found (also directories, FIFOs, devices, symlink loops), permission, memory (too many open files), io.
  static Result<File> open(const std::string& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  std::int64_t size() const noexcept { return size_; }  ///< bytes when it was opened
  const std::string& path() const noexcept { return path_; }

  /// Fills `dst` from `offset`. Error io when the file ends before or the read fails.
  Status read(std::int64_t offset, std::span<std::byte> dst) const;

  /// The whole file, not empty, as read-only memory that lives as long as the result. A file that is cut short
  /// meanwhile raises SIGBUS where the missing part is touched. Error memory when the system has no room for it.
  Result<std::shared_ptr<const std::byte>> map() const;

 private:
  File(int descriptor, std::int64_t size, std::string path)
      : descriptor_(descriptor), size_(size), path_(std::move(path)) {}
  int descriptor_ = -1;
  std::int64_t size_ = 0;
  std::string path_;
};

/// The whole file. Error limit when it has more than `max_bytes`, else as File.
Result<std::string> read_file(const std::string& path, std::int64_t max_bytes);

}  // namespace florence2
