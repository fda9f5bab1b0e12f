#include "tools/output_names.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <optional>

#include "model/checkpoint_files.hpp"
#include "tools/output.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

/// What makes two paths the same file; nothing for what is no regular file, which writing does not replace.
std::optional<std::pair<dev_t, ino_t>> identity(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  return std::pair(status.st_dev, status.st_ino);
}

/// The same text for the same place, whether or not a file is there.
std::string place_of(const std::string& file) {
  std::error_code failure;
  const auto target = output_target(file);
  const fs::path place = fs::weakly_canonical(target ? *target : file, failure);
  return failure ? file : place.string();
}

}  // namespace

OutputNames::OutputNames(const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    if (const auto file = identity(input)) inputs_.insert(*file);
  }
}

void OutputNames::add_model(const std::string& folder) {
  std::error_code failure;
  for (auto entry = fs::directory_iterator(folder, failure); !failure && entry != fs::end(entry);
       entry.increment(failure)) {
    if (!is_checkpoint_file(entry->path().filename().string())) continue;
    if (const auto file = identity(entry->path().string())) inputs_.insert(*file);
  }
}

std::string OutputNames::unused(const std::string& stem, const std::string& ending) const {
  std::string name = stem + ending;
  for (int number = 2; written_.contains(place_of(name)); ++number) name = stem + "-" + std::to_string(number) + ending;
  return name;
}

Status OutputNames::check(const std::string& file) const {
  const auto found = identity(file);
  if (!found || !inputs_.contains(*found)) return {};
  return Error{ErrorCode::cannot_create, "is an input of this run; name another output", file};
}

Status OutputNames::take(const std::string& file) {
  FL_TRY(check(file));
  std::error_code ignored;
  if (fs::is_other(fs::status(file, ignored)) || written_.insert(place_of(file)).second) return {};
  return Error{ErrorCode::cannot_create, "another output of this run has this name", file};
}

}  // namespace florence2
