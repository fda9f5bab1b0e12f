// All tokens of a vocabulary: name <-> id, and the bytes that each stands for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "tokenizer/hash_index.hpp"

namespace florence2 {

/// Tokens are added in any order; then finish() checks that the ids run from 0 without gaps.
class TokenTable {
 public:
  static constexpr std::int32_t kNone = HashIndex::kNone;

  /// Room for `capacity` calls of add().
  explicit TokenTable(std::size_t capacity);

  /// Adding a token once more with the same id does nothing. Errors: model (another id before, id out of range).
  Status add(std::string_view name, std::int64_t id);
  /// May be repeated after further tokens. Errors: model (an id is taken twice, or lies beyond the number of tokens).
  Status finish();

  std::int32_t size() const { return static_cast<std::int32_t>(ids_.size()); }
  /// Id of a name, or kNone.
  std::int32_t find(std::string_view name) const;
  /// After finish(), for ids in [0, size()): the name as it stands in the file, and the bytes it stands for.
  std::string_view name(std::int32_t id) const { return names_.at(entries_[id]); }
  std::string_view bytes(std::int32_t id) const { return bytes_.at(entries_[id]); }

 private:
  /// Texts end to end in one string.
  struct TextPool {
    std::string text;
    std::vector<std::size_t> starts = {0};

    void close() { starts.push_back(text.size()); }
    std::string_view at(std::int32_t entry) const {
      return std::string_view(text).substr(starts[entry], starts[entry + 1] - starts[entry]);
    }
  };

  std::int32_t find_entry(std::string_view name) const;

  TextPool names_, bytes_;             // by entry, in the order of adding
  std::vector<std::int32_t> ids_;      // id of an entry
  std::vector<std::int32_t> entries_;  // entry of an id
  HashIndex index_;
};

/// `name` in quotation marks for a message, shortened when it is long.
std::string quoted_token(std::string_view name);

}  // namespace florence2
