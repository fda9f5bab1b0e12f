// Where answers go: standard output, or a file that appears under its name only when it is complete.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/atomic_file.hpp"
#include "core/result.hpp"

namespace florence2 {

class Output {
 public:
  /// Empty or "-": standard output. Devices, pipes and what is open already (/dev/stdout) are written directly; a
  /// regular file is written beside its final name and renamed by commit(). Links are followed first, and a file that
  /// is there keeps its permissions. Error cannot_create.
  static Result<Output> open(const std::string& path);

  Output(Output&& other) noexcept;
  Output& operator=(Output&&) = delete;
  /// Without commit() a regular file is left as it was before.
  ~Output();

  /// Errors: io; cancelled when the reader of a pipe went away, which is no failure. After an error nothing more is
  /// written, and commit() leaves the file as it was: both give the same error again.
  Status write(std::string_view bytes);
  Status commit();
  /// A terminal that may be sent colours.
  bool wants_color() const;

 private:
  Output(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  explicit Output(AtomicFile file) : file_(std::move(file)) {}

  std::optional<AtomicFile> file_;
  int descriptor_ = -1;  ///< of what is written directly, in place of file_
  std::string path_;     ///< of that, for messages
  std::optional<Error> failed_;
};

/// Opens /dev/null where standard input, output or error is closed, so that no file gets its number and what is meant
/// for it. Writing to standard output still fails.
void hold_standard_descriptors();

/// The file that writing to `path` writes to: symbolic links followed, also one that leads to no file yet, but not
/// those of /proc that stand for open files. Error cannot_create: they lead in a circle.
Result<std::string> output_target(const std::string& path);

/// Writes a whole file. Errors as Output.
Status write_file(const std::string& path, std::string_view bytes);

}  // namespace florence2
