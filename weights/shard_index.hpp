// model.safetensors.index.json: which shard holds which tensor.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace florence2 {

/// Names of tensors by the file name of their shard, which stands beside the index.
using ShardIndex = std::map<std::string, std::vector<std::string>>;

/// Errors: as of files; model for content that is no index, names that leave the folder, too many shards.
Result<ShardIndex> read_shard_index(const std::string& path);

}  // namespace florence2
