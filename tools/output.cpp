#include "tools/output.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tools/message.hpp"

namespace florence2 {
namespace {

Error cannot_create(const std::string& path, int error) {
  return {ErrorCode::cannot_create, std::string("cannot create the file: ") + std::strerror(error), path};
}

bool exists_and_is_special(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

/// Permissions that open() would give a new file (mkstemp gives only the owner any).
void open_to_umask(int descriptor) {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  (void)::fchmod(descriptor, 0666 & ~mask);
}

}  // namespace

Output::Output(int descriptor, std::string path, std::string temporary)
    : descriptor_(descriptor), path_(std::move(path)), temporary_(std::move(temporary)) {}

Output::Output(Output&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      failed_(std::move(other.failed_)) {}

Output::~Output() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
}

Result<Output> Output::open(const std::string& path) {
  if (path.empty() || path == "-") return Output(STDOUT_FILENO, "standard output", {});
  if (exists_and_is_special(path)) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return cannot_create(path, errno);
    return Output(descriptor, path, {});
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return cannot_create(path, EISDIR);
  std::string temporary = path + ".XXXXXX";
  const int descriptor = ::mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) return cannot_create(path, errno);
  open_to_umask(descriptor);
  return Output(descriptor, path, temporary);
}

bool Output::wants_color() const { return florence2::wants_color(descriptor_); }

Error Output::failure(int error) const {
  if (error == EPIPE) return {ErrorCode::cancelled, "the reader went away", path_};
  if (error == ENOSPC || error == EDQUOT) {
    return {ErrorCode::io, "no space left; free space and run the same command again", path_};
  }
  if (error == EFBIG) return {ErrorCode::io, "file size limit reached", path_};
  return {ErrorCode::io, std::string("cannot write: ") + std::strerror(error), path_};
}

Status Output::write(std::string_view bytes) {
  while (!failed_ && !bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      failed_ = failure(errno);
      break;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return failed_ ? Status(*failed_) : Status();
}

Status Output::commit() {
  if (failed_) return *failed_;
  if (temporary_.empty()) return {};
  if (::fsync(descriptor_) != 0) return failure(errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return cannot_create(path_, errno);
  temporary_.clear();
  return {};
}

Status write_file(const std::string& path, std::string_view bytes) {
  FL_ASSIGN(Output output, Output::open(path));
  FL_TRY(output.write(bytes));
  return output.commit();
}

}  // namespace florence2
