#include "weights/tensor_source.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "weights/safetensors.hpp"
#include "weights/shard_index.hpp"
#include "weights/torch_file.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

/// A link that leads nowhere counts: opening it says so.
bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

Result<TensorFile> open_file(const std::string& path) {
  return path.ends_with(".bin") ? open_torch(path) : open_safetensors(path);
}

/// The shard holds what the index says it holds.
Status check_listed(const TensorFile& file, const std::vector<std::string>& names) {
  std::vector<std::string_view> held;
  for (const TensorInfo& info : file.tensors) held.push_back(info.name);
  std::sort(held.begin(), held.end());
  for (const std::string& name : names) {
    if (std::binary_search(held.begin(), held.end(), name)) continue;
    return Error{ErrorCode::model, "tensor \"" + name + "\" is missing, which the index says is here",
                 file.file.path()};
  }
  return {};
}

}  // namespace

Result<TensorSource> TensorSource::open(const std::string& directory, const std::string& stem,
                                        const std::string& torch_stem) {
  const std::string single = directory + "/" + stem + ".safetensors";
  const std::string torch = directory + "/" + torch_stem + ".bin";
  for (const std::string& path : {single, torch}) {
    if (exists(path)) return open_single(path);
    if (exists(path + ".index.json")) return open_sharded(path + ".index.json");
  }
  return open_single(single);
}

Result<TensorSource> TensorSource::open_single(const std::string& path) {
  TensorSource source(path);
  FL_ASSIGN(TensorFile file, open_file(path));
  source.add(std::move(file));
  FL_TRY(source.finish());
  return source;
}

Result<TensorSource> TensorSource::open_sharded(const std::string& index_path) {
  FL_ASSIGN(const ShardIndex index, read_shard_index(index_path));
  TensorSource source(index_path);
  for (const auto& [shard, names] : index) {
    const std::string path = (fs::path(index_path).parent_path() / shard).string();
    if (!exists(path)) {
      return Error{ErrorCode::model,
                   "shard \"" + shard + "\" (holds " + std::to_string(names.size()) + " tensors) is missing",
                   index_path};
    }
    FL_ASSIGN(TensorFile file, open_file(path));
    FL_TRY(check_listed(file, names));
    source.add(std::move(file));
  }
  FL_TRY(source.finish());
  return source;
}

void TensorSource::add(TensorFile file) {
  file_of_.insert(file_of_.end(), file.tensors.size(), files_.size());
  std::move(file.tensors.begin(), file.tensors.end(), std::back_inserter(tensors_));
  files_.push_back(std::move(file.file));
  metadata_.merge(file.metadata);
}

Status TensorSource::finish() {
  for (const TensorInfo& info : tensors_) {
    const auto [entry, is_new] = by_name_.emplace(info.name, &info);
    if (is_new) continue;
    return Error{ErrorCode::model,
                 "tensor \"" + info.name + "\" is in two shards, " + path_of(*entry->second) + " and " + path_of(info),
                 path_};
  }
  return {};
}

const TensorInfo* TensorSource::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

Result<std::shared_ptr<const std::byte>> TensorSource::map(std::span<const TensorInfo* const> infos,
                                                           std::int64_t alignment) {
  const TensorInfo& first = *infos[0];
  const std::size_t file = file_of_[index_of(first)];
  std::int64_t next = first.offset;
  for (const TensorInfo* info : infos) {
    if (info->values != nullptr || file_of_[index_of(*info)] != file || info->offset != next) return {nullptr};
    next += info->bytes;
  }
  if (first.offset % alignment != 0) return {nullptr};
  maps_.resize(files_.size());
  if (maps_[file] == nullptr) {
    FL_ASSIGN(maps_[file], files_[file].map());
  }
  return std::shared_ptr<const std::byte>(maps_[file], maps_[file].get() + first.offset);
}

Status TensorSource::read(const TensorInfo& info, std::int64_t first, std::span<std::byte> dst) const {
  if (info.values == nullptr) return files_[file_of_[index_of(info)]].read(info.offset + first, dst);
  std::memcpy(dst.data(), info.values->data() + first, dst.size());
  return {};
}

}  // namespace florence2
