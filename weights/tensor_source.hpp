// The tensors of a checkpoint by the names in its files, in whichever form it is stored: one file or shards with an
// index, safetensors or torch's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.hpp"
#include "weights/tensor_file.hpp"

namespace florence2 {

class TensorSource {
 public:
  /// Opens `directory`/`stem`.safetensors where `stem` is e.g. "model"; else the shards of its .index.json; else the
  /// same for `torch_stem`.bin. Errors: as the files', and model for an index that does not fit its shards.
  static Result<TensorSource> open(const std::string& directory, const std::string& stem,
                                   const std::string& torch_stem);

  const std::string& path() const { return path_; }  ///< the weights, or the index of the shards
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(std::string_view name) const;
  /// What the writer of a single file wrote about it.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // `info` is one of tensors().
  const std::string& path_of(const TensorInfo& info) const { return files_[file_of_[index_of(info)]].path(); }
  std::size_t index_of(const TensorInfo& info) const { return static_cast<std::size_t>(&info - tensors_.data()); }
  /// Bytes [first, first + dst.size()) of the tensor.
  Status read(const TensorInfo& info, std::int64_t first, std::span<std::byte> dst) const;
  /// The tensors as one piece of memory (File::map), or null when they do not follow each other in one file from a
  /// multiple of `alignment` bytes on.
  Result<std::shared_ptr<const std::byte>> map(std::span<const TensorInfo* const> infos, std::int64_t alignment);

 private:
  explicit TensorSource(std::string path) : path_(std::move(path)) {}
  static Result<TensorSource> open_single(const std::string& path);
  static Result<TensorSource> open_sharded(const std::string& index_path);
  void add(TensorFile file);
  /// Makes find() work. Error model: a name in two files.
  Status finish();

  std::string path_;
  std::vector<File> files_;
  std::vector<std::shared_ptr<const std::byte>> maps_;  // by index in files_, once they are asked for
  std::map<std::string, std::string> metadata_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::size_t> file_of_;                                 // by index in tensors_
  std::unordered_map<std::string_view, const TensorInfo*> by_name_;  // keys live in tensors_
};

}  // namespace florence2
