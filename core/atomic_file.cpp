#include "core/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

namespace florence2 {
namespace {

/// `path` with a suffix, which takes the place of the name's end where there is no room for both. A name that is too
/// long by itself stays so, to be refused.
std::string with_suffix(const std::string& path, const std::string& suffix) {
  constexpr std::size_t kMostBytes = 255;
  const std::size_t name = path.size() - (path.rfind('/') + 1);
  const bool crowded = name <= kMostBytes && name + suffix.size() > kMostBytes;
  const std::size_t excess = crowded ? name + suffix.size() - kMostBytes : 0;
  return path.substr(0, path.size() - excess) + suffix;
}

Error write_failure(int error, const std::string& path) {
  if (error == EPIPE) return {ErrorCode::cancelled, "the reader went away", path};
  if (error == ENOSPC || error == EDQUOT) return {ErrorCode::io, "no space left; free space and try again", path};
  if (error == EFBIG) return {ErrorCode::io, "file size limit reached", path};
  return {ErrorCode::io, std::string("cannot write: ") + std::strerror(error), path};
}

}  // namespace

Error cannot_create(const std::string& path, int error) {
  return {ErrorCode::cannot_create, std::string("cannot create the file: ") + std::strerror(error), path};
}

Status write_all(int descriptor, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return write_failure(errno, path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<AtomicFile> AtomicFile::create(const std::string& path, const std::string& shown) {
  AtomicFile file(path, shown);
  if (path.find('\0') != std::string::npos) {
    return Error{ErrorCode::cannot_create, "the path holds a NUL character", file.shown_};
  }
  do {
    std::uint32_t number = 0;
    if (::getentropy(&number, sizeof number) != 0) break;
    file.temporary_ = with_suffix(path, "." + std::to_string(number));
    // Not mkostemp, which gives only the owner any permission: the umask would have to be asked for, which changes it.
    file.descriptor_ = ::open(file.temporary_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  } while (file.descriptor_ < 0 && errno == EEXIST);
  if (file.descriptor_ < 0) return cannot_create(file.shown_, errno);
  struct stat replaced {};
  if (::stat(path.c_str(), &replaced) == 0) (void)::fchmod(file.descriptor_, replaced.st_mode & 0777);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      shown_(std::move(other.shown_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      published_(other.published_) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!published_) ::unlink(temporary_.c_str());
}

Status AtomicFile::write(std::span<const std::byte> bytes) { return write_all(descriptor_, bytes, shown_); }

Status AtomicFile::publish() {
  if (::fsync(descriptor_) != 0) return write_failure(errno, shown_);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return cannot_create(shown_, errno);
  published_ = true;
  return {};
}

Status write_file_atomically(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  FL_ASSIGN(AtomicFile file, AtomicFile::create(path));
  for (const auto part : parts) FL_TRY(file.write(part));
  return file.publish();
}

}  // namespace florence2
