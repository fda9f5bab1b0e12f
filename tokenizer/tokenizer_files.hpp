// The files of a folder that make up a tokenizer, brought into the one form of tokenizer.json.
#pragma once

#include <string>

#include "core/json.hpp"
#include "core/result.hpp"

namespace florence2 {

struct TokenizerFiles {
  json::Value document;     ///< as in tokenizer.json
  json::Object added = {};  ///< the members of added_tokens.json; none when there is no such file
  // Where errors are: of the document, of its merges, of the added tokens.
  std::string path, merges_path, added_path;
};

/// Reads `directory`/tokenizer.json; without one vocab.json and merges.txt with the special tokens of
/// special_tokens_map.json and tokenizer_config.json (BART's where neither says). Errors: not_found (no such folder),
/// permission, model.
Result<TokenizerFiles> read_tokenizer_files(const std::string& directory);

}  // namespace florence2
