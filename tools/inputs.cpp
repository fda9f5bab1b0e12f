#include "tools/inputs.hpp"

#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/file.hpp"
#include "tools/interrupt.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLargestList = std::int64_t{1} << 30;

bool has_picture_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); });
  constexpr const char* kExtensions[] = {".jpg", ".jpeg", ".png", ".webp", ".bmp",
                                         ".gif", ".ppm",  ".pgm", ".pbm",  ".pnm"};
  return std::find(std::begin(kExtensions), std::end(kExtensions), extension) != std::end(kExtensions);
}

Input failed(const std::string& name, ErrorCode code, const std::string& message) {
  return {name, fs::path(name).filename().string(), Error{code, message, name}};
}

Input unreadable(const std::string& folder, const std::error_code& failure) {
  const bool refused = failure == std::errc::permission_denied;
  return failed(folder, refused ? ErrorCode::permission : ErrorCode::io,
                refused ? "permission denied" : failure.message());
}

struct FolderListing {
  std::vector<std::string> files;  ///< links that lead nowhere among them
  std::vector<Input> unreadable;   ///< folders below
  bool deeper = false;             ///< it holds folders that were not looked into
};

void collect(const std::string& folder, bool recursive, FolderListing& found) {
  std::vector<std::string> folders;
  std::error_code failure, ignored;
  for (auto entry = fs::directory_iterator(folder, failure); !failure && entry != fs::end(entry);
       entry.increment(failure)) {
    const fs::path& path = entry->path();
    if (path.filename().string().starts_with('.')) continue;
    if (entry->is_directory(ignored)) {
      if (!entry->is_symlink(ignored)) folders.push_back(path.string());  // links may lead in circles
    } else if (has_picture_extension(path) && (entry->is_regular_file(ignored) || !entry->exists(ignored))) {
      found.files.push_back(path.string());
    }
  }
  if (failure) found.unreadable.push_back(unreadable(folder, failure));
  found.deeper = found.deeper || (!recursive && !folders.empty());
  for (const std::string& below : folders) {
    if (recursive) collect(below, recursive, found);
  }
}

std::vector<Input> pictures_in(const std::string& folder, bool recursive) {
  FolderListing found;
  collect(folder, recursive, found);
  std::sort(found.files.begin(), found.files.end());
  std::vector<Input> inputs;
  for (std::string& file : found.files) {
    std::string place = fs::path(file).lexically_relative(folder).string();
    inputs.push_back({std::move(file), std::move(place)});
  }
  inputs.insert(inputs.end(), found.unreadable.begin(), found.unreadable.end());
  if (!inputs.empty()) return inputs;
  const char* hint = found.deeper ? "; -r looks into its folders, too" : "";
  return {failed(folder, ErrorCode::not_found, std::string("no images found in this folder") + hint)};
}

bool is_url(const std::string& name) { return name.starts_with("http://") || name.starts_with("https://"); }

Input single(const std::string& path) {
  return {path, path == "-" ? std::string("stdin") : fs::path(path).filename().string()};
}

std::vector<Input> matches_of(const std::string& pattern) {
  glob_t found{};
  std::vector<Input> files;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) files.push_back(single(found.gl_pathv[i]));
  }
  ::globfree(&found);
  if (files.empty()) return {failed(pattern, ErrorCode::not_found, "this pattern matched no files")};
  return files;
}

std::vector<Input> expand(const std::string& name, bool recursive) {
  std::error_code ignored;
  const fs::file_status status = fs::status(name, ignored);
  if (name != "-" && fs::is_directory(status)) return pictures_in(name, recursive);
  if (!fs::exists(status) && !is_url(name) && name.find_first_of("*?[") != std::string::npos) return matches_of(name);
  return {single(name)};
}

/// The names in a list: NUL-terminated when it holds NULs, else lines; empty ones are left out.
Result<std::vector<std::string>> read_list(const std::string& file) {
  FL_ASSIGN(const std::string text, file == "-" ? read_standard_input(kLargestList) : read_file(file, kLargestList));
  const char separator = text.find('\0') != std::string::npos ? '\0' : '\n';
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    std::string name = text.substr(begin, end - begin);
    if (separator == '\n' && name.ends_with('\r')) name.pop_back();
    if (!name.empty()) names.push_back(std::move(name));
    begin = end + 1;
  }
  if (names.empty()) return Error{ErrorCode::not_found, "no images found in the list " + file, {}};
  return names;
}

}  // namespace

Result<std::vector<Input>> expand_inputs(const InputNames& inputs) {
  std::vector<std::string> names = inputs.names;
  const bool list_is_input = inputs.list == "-";
  if (std::count(names.begin(), names.end(), "-") + (list_is_input ? 1 : 0) > 1) {
    return Error{ErrorCode::argument, "standard input (-) can be read only once", {}};
  }
  if (!inputs.list.empty()) {
    FL_ASSIGN(const std::vector<std::string> listed, read_list(inputs.list));
    names.insert(names.end(), listed.begin(), listed.end());
  }
  std::vector<Input> files;
  for (const std::string& name : names) {
    const std::vector<Input> found = expand(name, inputs.recursive);
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

Result<Picture> open_input(const Input& input, const PictureOptions& options) {
  if (input.failure) return *input.failure;
  return open_input(input.path, options);
}

Result<Picture> open_input(const std::string& name, const PictureOptions& options) {
  if (name != "-") {
    auto picture = Picture::open(name, options);
    const bool missing = !picture && picture.error().code == ErrorCode::not_found;
    if (!missing || !is_url(name)) return picture;
    return Error{ErrorCode::data, "URLs are not fetched; download it first", name};
  }
  FL_ASSIGN(const std::string bytes, read_standard_input(options.max_file_bytes));
  return Picture::decode(std::as_bytes(std::span(bytes)), "standard input", options);
}

}  // namespace florence2
