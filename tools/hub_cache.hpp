// The hub's cache on disk, laid out as its own tools do, so that either finds what the other fetched:
//   models--OWNER--NAME/refs/REVISION                 the commit that a name stands for
//   models--OWNER--NAME/snapshots/COMMIT/FILE         a link to ../../blobs/ETAG
//   models--OWNER--NAME/blobs/ETAG                    the content
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/result.hpp"
#include "tools/hub.hpp"

namespace florence2 {

class HubCache {
 public:
  /// `cache`: the folder of all repositories.
  HubCache(const std::string& cache, const HubRepository& repository);

  /// The folder of the revision's files; nothing when none of them is here.
  std::optional<std::string> find() const;
  std::string snapshot(const std::string& commit) const { return folder_ + "/snapshots/" + commit; }
  std::string blob(const std::string& etag) const { return folder_ + "/blobs/" + etag; }
  bool has_file(const std::string& commit, const std::string& file, std::int64_t bytes) const;

  // Errors: cannot_create, io.
  Status create() const;
  /// Makes snapshots/COMMIT/FILE a link to the blob.
  Status link(const std::string& commit, const std::string& file, const std::string& etag) const;
  Status set_commit(const std::string& commit) const;

 private:
  std::string folder_;
  std::string revision_;
};

}  // namespace florence2
