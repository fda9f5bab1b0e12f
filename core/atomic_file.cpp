#include "core/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace florence2 {
namespace {

/// A temporary file that is removed unless it was published.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& path)
      : path_(path), temporary_(path + ".XXXXXX"), descriptor_(::mkostemp(temporary_.data(), O_CLOEXEC)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    if (!published_) ::unlink(temporary_.c_str());
  }

  bool is_open() const { return descriptor_ >= 0; }

  Status write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return failure(ErrorCode::io, "cannot write: ");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }

  Status publish() {
    const mode_t mask = ::umask(0);  // mkostemp gives only the owner any permission
    ::umask(mask);
    (void)::fchmod(descriptor_, 0666 & ~mask);
    if (::fsync(descriptor_) != 0) return failure(ErrorCode::io, "cannot write: ");
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return cannot_create();
    published_ = true;
    return {};
  }

  Error cannot_create() const { return failure(ErrorCode::cannot_create, "cannot create the file: "); }

 private:
  Error failure(ErrorCode code, const std::string& what) const { return {code, what + std::strerror(errno), path_}; }

  std::string path_, temporary_;
  int descriptor_;
  bool published_ = false;
};

}  // namespace

Status write_file_atomically(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  TemporaryFile file(path);
  if (!file.is_open()) return file.cannot_create();
  for (const auto part : parts) FL_TRY(file.write(part));
  return file.publish();
}

}  // namespace florence2
