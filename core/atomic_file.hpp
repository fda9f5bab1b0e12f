// Writing files, such that one appears under its name only when it is whole.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/result.hpp"

namespace florence2 {

/// errno of a file that could not be created, by the name that messages show.
Error cannot_create(const std::string& path, int error);

/// write(2) until all is written. `path` is for messages. Errors: io; cancelled when the reader of a pipe went away.
Status write_all(int descriptor, std::span<const std::byte> bytes, const std::string& path);

/// A file that is written piece by piece beside `path` and removed unless it was published. It has the permissions of
/// the file whose place it takes.
class AtomicFile {
 public:
  /// `shown`: what messages call it, `path` if empty. Error cannot_create.
  static Result<AtomicFile> create(const std::string& path, const std::string& shown = {});
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status write(std::span<const std::byte> bytes);  // error io
  /// Syncs it and gives it its name, in place of an older file. Errors: io, cannot_create.
  Status publish();

 private:
  AtomicFile(const std::string& path, const std::string& shown) : path_(path), shown_(shown.empty() ? path : shown) {}

  std::string path_, shown_, temporary_;
  int descriptor_ = -1;
  bool published_ = false;
};

/// Writes `parts`, one after the other, to a temporary file beside `path`, syncs it and renames it. On failure nothing
/// is left behind and an older file of that name stays. Errors: cannot_create, io.
Status write_file_atomically(const std::string& path, std::span<const std::span<const std::byte>> parts);

}  // namespace florence2
