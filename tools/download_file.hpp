// One file over HTTP to disk: resumed where it stopped, checked, and given its name only when it is whole.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/result.hpp"
#include "tools/hub.hpp"

namespace florence2 {

struct FileToDownload {
  std::string url;
  std::string path;  ///< what is here so far stands in path + ".incomplete"
  std::int64_t bytes = 0;
  std::string sha256 = {};  ///< empty: unknown, only the size is checked
};

/// Downloads and checks; errors keep what has come, except after a wrong checksum. `progress` is told the bytes so
/// far. Errors: not_found (404), permission (401, 403), io (connection, server, disk), data (checksum), cannot_create.
Status download_file(const FileToDownload& file, const HubSettings& settings,
                     const std::function<void(std::int64_t bytes)>& progress);

}  // namespace florence2
