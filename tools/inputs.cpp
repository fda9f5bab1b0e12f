#include "tools/inputs.hpp"

#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "tools/interrupt.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

Error not_found(const std::string& message) { return {ErrorCode::not_found, message, {}}; }

bool has_picture_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); });
  constexpr const char* kExtensions[] = {".jpg", ".jpeg", ".png", ".webp", ".bmp",
                                         ".gif", ".ppm",  ".pgm", ".pbm",  ".pnm"};
  return std::find(std::begin(kExtensions), std::end(kExtensions), extension) != std::end(kExtensions);
}

Result<std::vector<std::string>> pictures_in(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code failure;
  for (auto entry = fs::directory_iterator(folder, failure); !failure && entry != fs::end(entry);
       entry.increment(failure)) {
    std::error_code ignored;
    const bool hidden = entry->path().filename().string().starts_with('.');
    if (!hidden && has_picture_extension(entry->path()) && entry->is_regular_file(ignored)) {
      files.push_back(entry->path().string());
    }
  }
  if (failure == std::errc::permission_denied) return Error{ErrorCode::permission, "permission denied", folder};
  if (failure) return Error{ErrorCode::io, failure.message(), folder};
  if (files.empty()) return not_found("no images found in " + folder);
  std::sort(files.begin(), files.end());
  return files;
}

Result<std::vector<std::string>> matches_of(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> files;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (files.empty()) return not_found("pattern \"" + pattern + "\" matched no files");
  return files;
}

Result<std::vector<std::string>> expand(const std::string& name) {
  std::error_code ignored;
  const fs::file_status status = fs::status(name, ignored);
  if (name != "-" && fs::is_directory(status)) return pictures_in(name);
  if (!fs::exists(status) && name.find_first_of("*?[") != std::string::npos) return matches_of(name);
  return std::vector<std::string>{name};
}

}  // namespace

Result<std::vector<std::string>> expand_inputs(const std::vector<std::string>& names) {
  if (std::count(names.begin(), names.end(), "-") > 1) {
    return Error{ErrorCode::argument, "standard input (-) can be read only once", {}};
  }
  std::vector<std::string> files;
  for (const std::string& name : names) {
    FL_ASSIGN(const std::vector<std::string> found, expand(name));
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

Result<std::string> read_standard_input(std::int64_t max_bytes) {
  std::string bytes;
  char block[1 << 16];
  while (true) {
    const ssize_t count = ::read(STDIN_FILENO, block, sizeof(block));
    if (count == 0) return bytes;
    if (count < 0 && errno == EINTR) {
      if (interrupt_signal() != 0) return Error{ErrorCode::cancelled, "stopped", {}};
      continue;
    }
    if (count < 0) return Error{ErrorCode::io, std::strerror(errno), "standard input"};
    bytes.append(block, static_cast<std::size_t>(count));
    if (std::cmp_greater(bytes.size(), max_bytes)) {
      return Error{ErrorCode::limit, "has more than " + std::to_string(max_bytes) + " bytes", "standard input"};
    }
  }
}

Result<Picture> open_input(const std::string& name, const PictureOptions& options) {
  if (name != "-") return Picture::open(name, options);
  FL_ASSIGN(const std::string bytes, read_standard_input(options.max_file_bytes));
  return Picture::decode(std::as_bytes(std::span(bytes)), "standard input", options);
}

}  // namespace florence2
