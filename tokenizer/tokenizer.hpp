// Byte-level BPE as BART uses it, with Florence-2's added tokens. Immutable once loaded; share it across threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"

namespace florence2 {

struct Vocabulary;

class Tokenizer {
 public:
  /// Reads `directory`/tokenizer.json, or vocab.json with merges.txt (and added_tokens.json where it is there). The
  /// 1,024 Florence tokens are appended when the file lacks them. Errors: not_found, permission, model.
  static Result<Tokenizer> load(const std::string& directory);

  /// Ids of `text` with <s> in front and </s> at the end. Added tokens that stand literally in the text become their
  /// ids (longest match first), as in the reference. Error data: the text is not UTF-8.
  Result<std::vector<std::int32_t>> encode(std::string_view text) const;

  /// Text of ids; invalid UTF-8 becomes U+FFFD, ids outside the vocabulary are skipped. `skip_special` drops all
  /// special tokens (locations too).
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  /// The bytes that one id adds to the text (empty for an id outside the vocabulary). Several ids may make up one
  /// UTF-8 character.
  std::string_view piece(std::int32_t id) const;
  bool is_special(std::int32_t id) const;

  /// Id of a whole token as it stands in the vocabulary, e.g. "<loc_0>".
  std::optional<std::int32_t> id_of(std::string_view token) const;
  std::int32_t size() const;           ///< 1 + the largest id
  std::int32_t location_base() const;  ///< id of <loc_0>; <loc_999> is 999 further

 private:
  explicit Tokenizer(std::shared_ptr<const Vocabulary> vocabulary) : vocabulary_(std::move(vocabulary)) {}

  std::shared_ptr<const Vocabulary> vocabulary_;
};

}  // namespace florence2
