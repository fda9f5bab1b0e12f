// Names of repositories on the hub, and the settings that its other tools take from the environment too.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace florence2 {

struct HubRepository {
  std::string owner, name;
  std::string revision = "main";

  std::string id() const { return owner + "/" + name; }
};

/// "base", "large", "base-ft", "large-ft" (Microsoft's), or "OWNER/REPO" with "@REVISION" at will; nothing for other
/// texts.
std::optional<HubRepository> parse_repository(std::string_view text);

struct HubSettings {
  std::string endpoint;  ///< HF_ENDPOINT, else https://huggingface.co; no slash at its end
  std::string cache;     ///< HF_HUB_CACHE, else HF_HOME/hub, else the hub's usual place in the home folder
  std::string token;     ///< HF_TOKEN; sent to the endpoint alone
  bool offline = false;  ///< HF_HUB_OFFLINE
  int timeout_s = 30;    ///< without a byte
  int retries = 5;       ///< in a row without progress
  double wait_s = 1;     ///< before the first retry, doubled for each further one
};

HubSettings hub_settings_from_environment();

}  // namespace florence2
