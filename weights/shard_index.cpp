#include "weights/shard_index.hpp"

#include <utility>

#include "core/json.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kMaxFileBytes = std::int64_t{16} << 20;
constexpr std::size_t kMaxShards = 1024;

/// A plain file name, so that no index reaches outside its folder.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string("/\\\0", 3)) == name.npos;
}

Result<ShardIndex> read_map(const json::Value& document) {
  const auto fail = [](std::string message) { return Error{ErrorCode::model, std::move(message), {}}; };
  const json::Value* map = document.find("weight_map");
  if (map == nullptr || map->object() == nullptr) return fail("\"weight_map\" is missing or not an object");
  ShardIndex index;
  for (const auto& [tensor, value] : *map->object()) {
    const std::string* shard = value.string();
    if (shard == nullptr) {
      return fail("weight_map: \"" + tensor + "\" is " + std::string(value.kind()) + ", expected a file name");
    }
    if (!is_plain_name(*shard)) return fail("shard name " + json::dump(*shard) + " leaves the model folder");
    index[*shard].push_back(tensor);
    if (index.size() > kMaxShards) return fail("more than " + std::to_string(kMaxShards) + " shards");
  }
  if (index.empty()) return fail("weight_map lists no tensors");
  return index;
}

}  // namespace

Result<ShardIndex> read_shard_index(const std::string& path) {
  FL_ASSIGN(const json::Value document, json::parse_file(path, kMaxFileBytes));
  auto index = read_map(document);
  if (!index) return Error{index.error().code, std::move(index.error().message), path};
  return index;
}

}  // namespace florence2
