#include "tools/output.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <span>
#include <utility>

#include "tools/message.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

bool exists_and_is_special(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

fs::path folder_of(const fs::path& path) {
  std::error_code ignored;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  return fs::canonical(folder, ignored);
}

/// Whether `folder`, without links, is a process's /proc/PID/fd.
bool holds_descriptors(const fs::path& folder) {
  return folder.filename() == "fd" && folder.string().starts_with("/proc/");
}

/// One of our own descriptors by its name in /proc/self/fd, at the place where it stands in its file; else nothing.
std::optional<int> duplicate(const fs::path& target) {
  if (folder_of(target) != folder_of("/proc/self/fd/0")) return std::nullopt;
  const std::string name = target.filename().string();
  int number = 0;
  const auto [stop, failure] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (failure != std::errc() || stop != name.data() + name.size()) return std::nullopt;
  return ::fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

}  // namespace

Output::Output(Output&& other) noexcept
    : file_(std::move(other.file_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      failed_(std::move(other.failed_)) {}

Output::~Output() {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
}

Result<Output> Output::open(const std::string& path) {
  if (path.empty() || path == "-") return Output(STDOUT_FILENO, "standard output");
  FL_ASSIGN(const std::string target, output_target(path));
  if (exists_and_is_special(target) || holds_descriptors(folder_of(target))) {
    const std::optional<int> own = duplicate(target);
    const int descriptor = own ? *own : ::open(target.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return cannot_create(path, errno);
    return Output(descriptor, path);
  }
  struct stat status {};
  if (::stat(target.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return cannot_create(path, EISDIR);
  FL_ASSIGN(AtomicFile file, AtomicFile::create(target, path));
  return Output(std::move(file));
}

bool Output::wants_color() const { return !file_ && florence2::wants_color(descriptor_); }

Status Output::write(std::string_view bytes) {
  if (failed_) return *failed_;
  const auto data = std::as_bytes(std::span(bytes));
  const Status written = file_ ? file_->write(data) : write_all(descriptor_, data, path_);
  if (!written) failed_ = written.error();
  return written;
}

Status Output::commit() {
  if (failed_) return *failed_;
  return file_ ? file_->publish() : Status();
}

void hold_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0) continue;
    (void)::open("/dev/null", descriptor == STDERR_FILENO ? O_WRONLY : O_RDONLY);  // takes the lowest that is free
  }
}

Result<std::string> output_target(const std::string& path) {
  constexpr int kMostLinks = 40;  // as the kernel's
  fs::path target = path;
  for (int links = 0; links < kMostLinks; ++links) {
    std::error_code failure;
    const fs::path folder = folder_of(target);
    if (holds_descriptors(folder) || !fs::is_symlink(fs::symlink_status(target, failure))) return target.string();
    target = folder / fs::read_symlink(target, failure);
  }
  return cannot_create(path, ELOOP);
}

Status write_file(const std::string& path, std::string_view bytes) {
  FL_ASSIGN(Output output, Output::open(path));
  FL_TRY(output.write(bytes));
  return output.commit();
}

}  // namespace florence2
