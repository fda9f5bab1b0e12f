#include "tools/download_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>
#include <vector>

#include "core/file.hpp"
#include "core/sha256.hpp"
#include "tools/http.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kPieceBytes = std::int64_t{1} << 20;

std::string reason(int error) { return std::generic_category().message(error); }

/// The file that grows. Locked, so that two downloads of it cannot mix.
class Partial {
 public:
  explicit Partial(std::string path) : path_(std::move(path)) {}
  ~Partial() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  Status open() {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (descriptor_ < 0) return Error{ErrorCode::cannot_create, "cannot create: " + reason(errno), path_};
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      return Error{ErrorCode::cannot_create, "is being downloaded by another process", path_};
    }
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return Error{ErrorCode::io, "cannot examine: " + reason(errno), path_};
    bytes_ = status.st_size;
    return {};
  }

  Status restart() {
    bytes_ = 0;
    if (::ftruncate(descriptor_, 0) == 0) return {};
    return Error{ErrorCode::io, "cannot empty the file: " + reason(errno), path_};
  }

  Status append(std::string_view piece) {
    while (!piece.empty()) {
      const ssize_t count = ::pwrite(descriptor_, piece.data(), piece.size(), bytes_);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return write_error(errno);
      bytes_ += count;
      piece.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
  }

  Status sync() const {
    if (::fsync(descriptor_) == 0) return {};
    return write_error(errno);
  }

  std::int64_t bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  Error write_error(int error) const {
    const char* what = error == ENOSPC || error == EDQUOT ? "no space left"
                       : error == EFBIG                   ? "file size limit reached"
                                                          : nullptr;
    return {ErrorCode::io,
            (what != nullptr ? std::string(what) : "cannot write: " + reason(error)) + "; " + std::to_string(bytes_) +
                " bytes are kept, run the command again to go on",
            path_};
  }

  std::string path_;
  int descriptor_ = -1;
  std::int64_t bytes_ = 0;
};

class Download {
 public:
  Download(const FileToDownload& file, const HubSettings& settings, const std::function<void(std::int64_t)>& progress)
      : file_(file), settings_(settings), progress_(progress), partial_(file.path + ".incomplete") {}

  Status run() {
    FL_TRY(partial_.open());
    const bool resumed = partial_.bytes() > 0;
    FL_TRY(fetch());
    Status checked = check();
    if (!checked && resumed) {  // what an earlier run left may be damaged
      FL_TRY(partial_.restart());
      FL_TRY(fetch());
      checked = check();
    }
    if (!checked) {
      FL_TRY(partial_.restart());
      return checked;
    }
    FL_TRY(partial_.sync());
    std::error_code failure;
    std::filesystem::rename(partial_.path(), file_.path, failure);
    if (!failure) return {};
    return Error{ErrorCode::io, "cannot rename: " + failure.message(), partial_.path()};
  }

 private:
  /// Until the file has its size, or too many attempts in a row brought nothing.
  Status fetch() {
    if (partial_.bytes() > file_.bytes) FL_TRY(partial_.restart());
    double wait_s = settings_.wait_s;
    for (int failures = 0; partial_.bytes() < file_.bytes;) {
      const std::int64_t before = partial_.bytes();
      Status attempt = request();
      if (!attempt && !may_retry_) return attempt;
      if (partial_.bytes() > before) failures = 0, wait_s = settings_.wait_s;
      if (partial_.bytes() >= file_.bytes) break;
      if (++failures > settings_.retries) return attempt ? cut_short() : attempt;
      std::this_thread::sleep_for(std::chrono::duration<double>(wait_s));
      wait_s *= 2;
    }
    return {};
  }

  Error cut_short() const {
    return {ErrorCode::io,
            "the server ends the transfer after " + std::to_string(partial_.bytes()) + " of " +
                std::to_string(file_.bytes) + " bytes, which are kept; run the command again to go on",
            file_.url};
  }

  Status request() {
    Status status;
    may_retry_ = true;
    const HttpReceiver receiver{[&](const HttpResponse& response) { return bool(status = begin(response)); },
                                [&](std::string_view piece) { return bool(status = take(piece)); }};
    const auto response = http_get({file_.url, settings_.token, partial_.bytes(), settings_.timeout_s}, receiver);
    if (!status) return status;
    if (response) return {};
    may_retry_ = response.error().code == ErrorCode::io;
    return Error{response.error().code,
                 response.error().message + "; " + std::to_string(partial_.bytes()) + " of " +
                     std::to_string(file_.bytes) + " bytes are kept, run the command again to go on",
                 response.error().where};
  }

  /// Where the body of this answer belongs.
  Status begin(const HttpResponse& response) {
    const std::string expected = "bytes " + std::to_string(partial_.bytes()) + "-";
    if (response.status == 206 && response.content_range.starts_with(expected)) return {};
    if (response.status == 200) return partial_.bytes() == 0 ? Status() : partial_.restart();
    if (response.status == 206 || response.status == 416) {  // not the rest that was asked for: all of it again
      FL_TRY(partial_.restart());
      return Error{ErrorCode::io, "the server sends other bytes than asked for", file_.url};
    }
    may_retry_ = response.status == 429 || response.status >= 500;
    return refusal(response.status);
  }

  Error refusal(int status) const {
    const std::string text = "the server answers with status " + std::to_string(status);
    if (status == 404) return {ErrorCode::not_found, text + ": no such file", file_.url};
    if (status == 401 || status == 403) {
      return {ErrorCode::permission, text + ": set HF_TOKEN to a token that may read this repository", file_.url};
    }
    return {ErrorCode::io, text, file_.url};
  }

  Status take(std::string_view piece) {
    if (static_cast<std::int64_t>(piece.size()) > file_.bytes - partial_.bytes()) {
      may_retry_ = false;
      return Error{ErrorCode::io, "the server sends more than the " + std::to_string(file_.bytes) + " bytes announced",
                   file_.url};
    }
    Status written = partial_.append(piece);
    if (!written) may_retry_ = false;
    if (written) progress_(partial_.bytes());
    return written;
  }

  Status check() const {
    if (file_.sha256.empty()) return {};
    FL_ASSIGN(const File file, File::open(partial_.path()));
    Sha256 sum;
    std::vector<std::byte> piece(static_cast<std::size_t>(std::min(kPieceBytes, file_.bytes)));
    for (std::int64_t at = 0; at < file_.bytes; at += static_cast<std::int64_t>(piece.size())) {
      piece.resize(static_cast<std::size_t>(std::min(kPieceBytes, file_.bytes - at)));
      FL_TRY(file.read(at, piece));
      sum.add(piece);
    }
    const std::string found = sum.finish();
    if (found == file_.sha256) return {};
    return Error{ErrorCode::data,
                 "wrong checksum (sha256 " + found + ", expected " + file_.sha256 +
                     "); the bytes are thrown away, run the command again",
                 file_.url};
  }

  const FileToDownload& file_;
  const HubSettings& settings_;
  const std::function<void(std::int64_t)>& progress_;
  Partial partial_;
  bool may_retry_ = true;
};

}  // namespace

Status download_file(const FileToDownload& file, const HubSettings& settings,
                     const std::function<void(std::int64_t bytes)>& progress) {
  return Download(file, settings, progress).run();
}

}  // namespace florence2
