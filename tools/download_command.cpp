// `florence2 download`: a checkpoint from the hub into the hub's own cache.
#include <string>
#include <vector>

#include "tools/arguments.hpp"
#include "tools/commands.hpp"
#include "tools/common_options.hpp"
#include "tools/hub_download.hpp"
#include "tools/message.hpp"
#include "tools/output.hpp"
#include "tools/progress.hpp"

namespace florence2 {
namespace {

constexpr const char* kHeading = R"(florence2 download: a checkpoint from Hugging Face's hub, into its usual cache

  florence2 download base            microsoft/Florence-2-base; also large, base-ft, large-ft
  florence2 download OWNER/REPO      any other; OWNER/REPO@REVISION for a branch, tag or commit

Prints the folder. Afterwards `-m base` or `-m OWNER/REPO` finds it, and so do other programs. A download that was
cut goes on where it stopped when the command is run again. HF_HOME and HF_HUB_CACHE move the cache, HF_TOKEN opens
private repositories, HF_ENDPOINT names a mirror.
)";

/// "model.safetensors: 12.3 of 463.2 MB".
std::string progress_text(const HubFile& file, std::int64_t bytes) {
  const auto megabytes = [](std::int64_t n) {
    return std::to_string(n / 1'000'000) + "." + std::to_string(n / 100'000 % 10);
  };
  return file.name + ": " + megabytes(bytes) + " of " + megabytes(file.bytes) + " MB";
}

struct DownloadSettings {
  std::vector<std::string> names;
  bool offline = false, quiet = false;
};

void declare(Arguments& arguments, DownloadSettings& settings) {
  arguments.positionals("NAME", "", "base, large, base-ft, large-ft or OWNER/REPO[@REVISION]", settings.names);
  arguments.flag("--offline", settings.offline, "only look into the cache");
  add_quiet_option(arguments, settings.quiet);
}

Result<HubRepository> repository_of(const std::vector<std::string>& names) {
  const std::string expected = "base, large, base-ft, large-ft or OWNER/REPO[@REVISION]";
  if (names.size() != 1) {
    return Error{ErrorCode::argument, "needs one name: " + expected + "; found " + std::to_string(names.size()),
                 "download"};
  }
  if (const auto repository = parse_repository(names[0])) return *repository;
  return Error{ErrorCode::argument, "must be " + expected + ", found \"" + names[0] + "\"", "download"};
}

Result<int> download(int argc, char** argv) {
  DownloadSettings options;
  Arguments arguments("download", kHeading);
  declare(arguments, options);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return 0;
  FL_ASSIGN(const HubRepository repository, repository_of(options.names));
  HubSettings settings = hub_settings_from_environment();
  settings.offline = settings.offline || options.offline;
  Progress progress(!options.quiet);
  const auto show = [&](const HubFile& file, std::int64_t bytes) { progress.show(progress_text(file, bytes)); };
  const auto folder = download_repository(repository, settings, show);
  progress.clear();
  if (!folder) return folder.error();
  FL_ASSIGN(Output output, Output::open({}));
  FL_TRY(output.write(*folder + "\n"));
  return 0;
}

}  // namespace

HelpPage download_page() {
  DownloadSettings settings;
  Arguments arguments("download", kHeading);
  declare(arguments, settings);
  return arguments.page();
}

int download_command(int argc, char** argv) { return conclude(download(argc, argv)); }

}  // namespace florence2
