#include "tools/output_folder.hpp"

#include <filesystem>

#include "tools/output.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

Status make_folder(const fs::path& path) {
  std::error_code failure;
  if (path.empty() || fs::is_directory(path, failure)) return {};
  fs::create_directories(path, failure);
  if (!failure) return {};
  return Error{ErrorCode::cannot_create, "cannot create the folder: " + failure.message(), path.string()};
}

}  // namespace

Status try_file_in(const std::string& folder) {
  const auto file = Output::open((fs::path(folder) / ".florence2").string());
  if (file) return {};
  return Error{file.error().code, file.error().message, folder};
}

Result<OutputFolder> OutputFolder::open(const std::string& path, bool overwrite, SharedNames names) {
  FL_TRY(make_folder(path));
  if (!path.empty()) FL_TRY(try_file_in(path));
  return OutputFolder(path, overwrite, std::move(names));
}

std::string OutputFolder::claim(const Input& picture) {
  const fs::path place = path_.empty() && picture.path != "-" ? picture.path : picture.place;
  const std::string stem = (place.parent_path() / place.stem()).string();
  std::string name = stem;
  for (int number = 2; !used_.insert(name).second; ++number) name = stem + "-" + std::to_string(number);
  return name;
}

std::string OutputFolder::unused(const std::string& stem, const std::string& ending) const {
  return fs::path(names_->unused(path(stem), ending)).lexically_relative(path_).string();
}

std::string OutputFolder::path(std::string_view name) const { return (fs::path(path_) / name).string(); }

std::string OutputFolder::path_to_picture(std::string_view name, const std::string& picture) const {
  std::error_code failure;
  const fs::path relative = fs::proximate(picture, fs::path(path(name)).parent_path(), failure);
  return failure ? picture : relative.string();
}

Status OutputFolder::write(std::string_view name, std::string_view bytes) const {
  const std::string file = path(name);
  FL_TRY(names_->take(file));
  std::error_code ignored;
  if (path_.empty() && !overwrite_ && fs::exists(file, ignored)) {
    return Error{ErrorCode::cannot_create, "exists already; --overwrite replaces it", file};
  }
  FL_TRY(make_folder(fs::path(file).parent_path()));
  return write_file(file, bytes);
}

}  // namespace florence2
