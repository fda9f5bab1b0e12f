// Reads the parts of a tokenizer.json document. Errors have code model and no path: the caller knows it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "core/result.hpp"
#include "tokenizer/bpe.hpp"
#include "tokenizer/token_table.hpp"

namespace florence2 {

/// One entry of "added_tokens".
struct AddedTokenEntry {
  std::string text;
  std::int64_t id = 0;
  bool special = false, lstrip = false, rstrip = false;
};

/// Refuses every kind of tokenizer but byte-level BPE without normaliser, prefix space or the other variations.
Status check_is_byte_level_bpe(const json::Value& document);

/// Adds the members of a {"token": id} object. Capacity of `tokens` must suffice.
Status add_tokens(const json::Object& object, TokenTable& tokens);

/// The list "added_tokens"; empty when absent.
Result<std::vector<AddedTokenEntry>> read_added_tokens(const json::Value& document);

/// The list "merges", as "a b" or ["a", "b"]. Both parts and their join must be in `tokens`.
Result<MergeTable> read_merges(const json::Array& list, const TokenTable& tokens);

}  // namespace florence2
