#include "core/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace florence2 {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

std::string open_files_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return "unknown";
  return std::to_string(limit.rlim_cur);
}

/// " (uid 1000, mode 0600)", as far as the file lets itself be asked.
std::string access_facts(const std::string& path) {
  std::string facts = " (uid " + std::to_string(geteuid());
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) {
    std::string mode(4, '0');
    for (int digit = 0; digit < 4; ++digit)
      mode[3 - digit] = static_cast<char>('0' + ((status.st_mode >> (3 * digit)) & 7));
    facts += ", mode " + mode;
  }
  return facts + ")";
}

Error open_error(int error, const std::string& path) {
  switch (error) {
    case ENOENT:
      return {ErrorCode::not_found, "no such file", path};
    case ENOTDIR:
      return {ErrorCode::not_found, "no such file (part of the path is not a folder)", path};
    case ENAMETOOLONG:
      return {ErrorCode::not_found, "no such file (the name is too long)", path};
    case ELOOP:
      return {ErrorCode::not_found, "too many levels of symbolic links", path};
    case ENXIO:
      return {ErrorCode::not_found, "is a socket or device, not a regular file", path};
    case EACCES:
    case EPERM:
      return {ErrorCode::permission, "permission denied" + access_facts(path), path};
    case EMFILE:
      return {ErrorCode::memory, "too many open files (limit " + open_files_limit() + ")", path};
    case ENFILE:
      return {ErrorCode::memory, "too many open files in the system (limit of the kernel)", path};
    case ENOMEM:
      return {ErrorCode::memory, "out of memory opening the file", path};
    default:
      return {ErrorCode::io, "cannot open: " + reason(error), path};
  }
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

Result<File> File::open(const std::string& path) {
  if (path.find('\0') != std::string::npos) return Error{ErrorCode::not_found, "the path holds a NUL character", path};
  // O_NONBLOCK: opening a FIFO would wait for a writer; it changes nothing for regular files.
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) return open_error(errno, path);

  File file(descriptor, 0, path);  // from here on closed on every path
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return Error{ErrorCode::io, "cannot examine: " + reason(errno), path};
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::not_found, "is " + std::string(kind_of(status.st_mode)) + ", not a regular file", path};
  }
  file.size_ = status.st_size;
  return file;
}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status File::read(std::int64_t offset, std::span<std::byte> dst) const {
  while (!dst.empty()) {
    const ssize_t count = pread(descriptor_, dst.data(), dst.size(), offset);
    if (count < 0) {
      if (errno == EINTR) continue;
      return Error{ErrorCode::io, "cannot read at byte " + std::to_string(offset) + ": " + reason(errno), path_};
    }
    if (count == 0) {
      return Error{ErrorCode::io,
                   "file changed while being read (it ends at byte " + std::to_string(offset) + ", had " +
                       std::to_string(size_) + ")",
                   path_};
    }
    offset += count;
    dst = dst.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::shared_ptr<const std::byte>> File::map() const {
  const auto length = static_cast<std::size_t>(size_);
  void* const memory = mmap(nullptr, length, PROT_READ, MAP_PRIVATE, descriptor_, 0);
  if (memory == MAP_FAILED) return Error{ErrorCode::memory, "cannot map: " + reason(errno), path_};
  return std::shared_ptr<const std::byte>(static_cast<const std::byte*>(memory),
                                          [memory, length](const std::byte*) { munmap(memory, length); });
}

Result<std::string> read_file(const std::string& path, std::int64_t max_bytes) {
  FL_ASSIGN(const File file, File::open(path));
  if (file.size() > max_bytes) {
    return Error{ErrorCode::limit,
                 "file is " + std::to_string(file.size()) + " bytes, limit " + std::to_string(max_bytes), path};
  }
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  FL_TRY(file.read(0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace florence2
