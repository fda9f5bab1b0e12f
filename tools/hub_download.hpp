// All files of a model that are on the hub, into the hub's cache.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "core/result.hpp"
#include "tools/hub.hpp"

namespace florence2 {

struct HubFile {
  std::string name;
  std::string etag;    ///< names the content: sha256 of large files, git's id of small ones
  std::string sha256;  ///< empty for small files
  std::int64_t bytes = 0;
};

struct HubListing {
  std::string commit;
  std::vector<HubFile> files;
};

/// The hub's answer about a revision, with the files that an engine reads: the small ones and one form of the weights.
/// Error data: not such an answer, names that leave the folder, no weights.
Result<HubListing> read_listing(const json::Value& answer);

/// Brings everything of the repository that is not here yet and returns the folder of its files. `progress`: file,
/// bytes so far, bytes of the file. Errors: as of download_file.
Result<std::string> download_repository(const HubRepository& repository, const HubSettings& settings,
                                        const std::function<void(const HubFile& file, std::int64_t bytes)>& progress);

}  // namespace florence2
