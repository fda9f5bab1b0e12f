// What the files of a tokenizer say, checked: tokens, merges, added tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "tokenizer/added_tokens.hpp"
#include "tokenizer/bpe.hpp"
#include "tokenizer/token_table.hpp"

namespace florence2 {

struct Vocabulary {
  TokenTable tokens;
  MergeTable merges;
  AddedTokens added = {};
  std::vector<bool> special = {};  // by id
  ByteIds byte_ids{};
  std::int32_t start = 0, end = 0;  // <s>, </s>
  std::int32_t location_base = 0;   // <loc_0>; the other locations follow it
};

/// Reads the tokenizer of a folder (tokenizer_files.hpp). The 1,024 Florence tokens are appended when none of them is
/// there. Errors: not_found (no such folder), permission, model.
Result<Vocabulary> load_vocabulary(const std::string& directory);

}  // namespace florence2
