#include "tools/model_folder.hpp"

#include <cstdlib>
#include <filesystem>
#include <optional>

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

}  // namespace

Result<std::string> find_model(const std::string& named, bool quiet) {
  if (!named.empty()) return named;
  const char* variable = std::getenv("FLORENCE2_MODEL");
  if (variable != nullptr && *variable != '\0') return std::string(variable);
  const std::optional<std::string> demo = demo_folder();
  if (!demo) {
    return Error{ErrorCode::not_found, "no model folder: name one with -m DIR or in FLORENCE2_MODEL", {}};
  }
  if (!quiet) {
    print_note("using the demo checkpoint, which knows drawings of coloured shapes and nothing else");
    print_note(
        "for photographs download microsoft/Florence-2-base (or -large, -base-ft, -large-ft) from Hugging Face "
        "and name its folder with -m");
  }
  return *demo;
}

}  // namespace florence2
