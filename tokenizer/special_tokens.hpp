// The special tokens of a tokenizer that comes without tokenizer.json.
#pragma once

#include <string>
#include <vector>

#include "core/json.hpp"
#include "tokenizer/token_table.hpp"

namespace florence2 {

/// The list "added_tokens" of a tokenizer.json, made from the contents of special_tokens_map.json and
/// tokenizer_config.json, which may be empty objects. BART's tokens stand in for the ones that neither names. Tokens
/// without an id in `known` get the ids after it, as in the reference. Error model: an entry that is no token.
Result<json::Array> special_tokens(const json::Value& map, const json::Value& config, const TokenTable& known);

}  // namespace florence2
