#include "tools/model_folder.hpp"

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "tools/hub_cache.hpp"
#include "tools/message.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

/// Installed: ../share/florence2/demo beside the program; else the one in the source tree it was built from.
std::optional<std::string> demo_folder() {
  std::error_code failure;
  const fs::path program = fs::read_symlink("/proc/self/exe", failure);
  const fs::path installed = program.parent_path() / "../share/florence2/demo";
  for (const fs::path& folder : {installed, fs::path(FLORENCE2_DEMO_FOLDER)}) {
    if (fs::exists(folder / "config.json", failure)) return folder.lexically_normal().string();
  }
  return std::nullopt;
}

/// `named` if it is a folder, else the folder in the hub's cache of the repository of that name.
Result<std::string> find_named(const std::string& named) {
  std::error_code failure;
  const auto repository = parse_repository(named);
  if (!repository || fs::exists(named, failure)) return named;
  const HubSettings settings = hub_settings_from_environment();
  if (const auto folder = HubCache(settings.cache, *repository).find()) return *folder;
  return Error{ErrorCode::not_found,
               "no such model folder, and " + repository->id() + " is not in the cache (" + settings.cache +
                   "); `florence2 download " + named + "` fetches it",
               named};
}

}  // namespace

Result<std::string> find_model(const std::string& named, bool quiet) {
  if (!named.empty()) return find_named(named);
  const char* variable = std::getenv("FLORENCE2_MODEL");
  if (variable != nullptr && *variable != '\0') return find_named(variable);
  const std::optional<std::string> demo = demo_folder();
  if (!demo) {
    return Error{ErrorCode::not_found, "no model folder: name one with -m DIR or in FLORENCE2_MODEL", {}};
  }
  if (!quiet) {
    print_note("using the demo checkpoint, which knows drawings of coloured shapes and nothing else");
    print_note("for photographs: `florence2 download base` (or large, base-ft, large-ft), then -m base");
  }
  return *demo;
}

}  // namespace florence2
