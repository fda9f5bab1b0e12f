#include "core/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace florence2 {

Result<AtomicFile> AtomicFile::create(const std::string& path) {
  AtomicFile file(path);
  file.descriptor_ = ::mkostemp(file.temporary_.data(), O_CLOEXEC);
  if (file.descriptor_ < 0) return file.failure(ErrorCode::cannot_create, "cannot create the file: ");
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      published_(other.published_) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!published_) ::unlink(temporary_.c_str());
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failure(ErrorCode::io, "cannot write: ");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status AtomicFile::publish() {
  const mode_t mask = ::umask(0);  // mkostemp gives only the owner any permission
  ::umask(mask);
  (void)::fchmod(descriptor_, 0666 & ~mask);
  if (::fsync(descriptor_) != 0) return failure(ErrorCode::io, "cannot write: ");
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return failure(ErrorCode::cannot_create, "cannot create the file: ");
  }
  published_ = true;
  return {};
}

Error AtomicFile::failure(ErrorCode code, const std::string& what) const {
  return {code, what + std::strerror(errno), path_};
}

Status write_file_atomically(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  FL_ASSIGN(AtomicFile file, AtomicFile::create(path));
  for (const auto part : parts) FL_TRY(file.write(part));
  return file.publish();
}

}  // namespace florence2
