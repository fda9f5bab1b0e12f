#include "tools/hub_cache.hpp"

#include <array>
#include <filesystem>
#include <span>
#include <system_error>

#include "core/atomic_file.hpp"
#include "core/file.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxCommitBytes = 256;

Status create_folder(const fs::path& path) {
  std::error_code failure;
  fs::create_directories(path, failure);
  if (!failure) return {};
  return Error{ErrorCode::cannot_create, "cannot create the folder: " + failure.message(), path.string()};
}

}  // namespace

HubCache::HubCache(const std::string& cache, const HubRepository& repository)
    : folder_(cache + "/models--" + repository.owner + "--" + repository.name), revision_(repository.revision) {}

std::optional<std::string> HubCache::find() const {
  const auto text = read_file(folder_ + "/refs/" + revision_, kMaxCommitBytes);
  std::string commit = text ? *text : revision_;  // a revision may be the commit itself
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back())) != 0) commit.pop_back();
  std::error_code ignored;
  if (commit.find('/') != commit.npos || !fs::exists(snapshot(commit) + "/config.json", ignored)) return std::nullopt;
  return snapshot(commit);
}

bool HubCache::has_file(const std::string& commit, const std::string& file, std::int64_t bytes) const {
  std::error_code failure;
  const auto size = fs::file_size(snapshot(commit) + "/" + file, failure);
  return !failure && static_cast<std::int64_t>(size) == bytes;
}

Status HubCache::create() const {
  FL_TRY(create_folder(folder_ + "/blobs"));
  return create_folder(folder_ + "/refs");
}

Status HubCache::link(const std::string& commit, const std::string& file, const std::string& etag) const {
  const fs::path path = fs::path(snapshot(commit)) / file;
  FL_TRY(create_folder(path.parent_path()));
  std::error_code failure;
  fs::remove(path, failure);
  fs::create_symlink(fs::path("../../blobs") / etag, path, failure);
  if (!failure) return {};
  return Error{ErrorCode::cannot_create, "cannot create the link: " + failure.message(), path.string()};
}

Status HubCache::set_commit(const std::string& commit) const {
  const fs::path path = fs::path(folder_) / "refs" / revision_;
  FL_TRY(create_folder(path.parent_path()));
  const std::array parts{std::as_bytes(std::span(commit))};
  return write_file_atomically(path.string(), parts);
}

}  // namespace florence2
