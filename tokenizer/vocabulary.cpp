#include "tokenizer/vocabulary.hpp"

#include <algorithm>
#include <utility>

#include "core/json.hpp"
#include "tokenizer/byte_alphabet.hpp"
#include "tokenizer/florence_tokens.hpp"
#include "tokenizer/location.hpp"
#include "tokenizer/tokenizer_files.hpp"
#include "tokenizer/tokenizer_json.hpp"

namespace florence2 {
namespace {

Error model_error(std::string message) { return {ErrorCode::model, std::move(message), ""}; }

/// `status`, with `path` as the place of an error that names none.
Status located(Status status, const std::string& path) {
  if (status || !status.error().where.empty()) return status;
  return Error{status.error().code, status.error().message, path};
}

/// Microsoft's files do not hold the Florence tokens: its processor adds them when it starts. A file that holds some
/// must hold all.
Status complete_florence_tokens(const std::vector<std::string>& names, TokenTable& tokens) {
  const auto is_missing = [&](const std::string& name) { return tokens.find(name) == TokenTable::kNone; };
  if (std::all_of(names.begin(), names.end(), is_missing)) {
    FL_TRY(tokens.finish());
    for (const std::string& name : names) FL_TRY(tokens.add(name, tokens.size()));
    return {};
  }
  const auto missing = std::find_if(names.begin(), names.end(), is_missing);
  if (missing == names.end()) return {};
  return model_error((missing->starts_with("<loc_") ? "location token " : "token ") + *missing + " is missing");
}

/// Locations are computed from the id of <loc_0>.
Status check_locations(const TokenTable& tokens, std::int32_t base) {
  for (int bin = 0; bin < kLocationBins; ++bin) {
    const std::string name = location_token(bin);
    const std::int32_t id = tokens.find(name);
    if (id == base + bin) continue;
    return model_error("location token " + name + " is out of order: it has id " + std::to_string(id) + ", expected " +
                       std::to_string(base + bin));
  }
  return {};
}

/// Where a token is listed more than once, the first entry says what it strips; one that says special suffices.
void set_added_tokens(const std::vector<AddedTokenEntry>& entries, Vocabulary& vocabulary) {
  vocabulary.special.assign(vocabulary.tokens.size(), false);
  std::vector<bool> listed(vocabulary.tokens.size(), false);
  std::vector<AddedToken> added;
  for (const AddedTokenEntry& entry : entries) {
    const std::int32_t id = vocabulary.tokens.find(entry.text);
    if (entry.special) vocabulary.special[id] = true;
    if (!listed[id]) added.push_back({entry.text, id, entry.lstrip, entry.rstrip});
    listed[id] = true;
  }
  vocabulary.added = AddedTokens(std::move(added));
}

Status set_required_ids(Vocabulary& vocabulary) {
  const auto require = [&](std::string_view name, std::int32_t& id) -> Status {
    id = vocabulary.tokens.find(name);
    if (id != TokenTable::kNone) return {};
    return model_error("token " + quoted_token(name) + " is missing");
  };
  FL_TRY(require("<s>", vocabulary.start));
  FL_TRY(require("</s>", vocabulary.end));
  FL_TRY(require(location_token(0), vocabulary.location_base));
  for (std::size_t byte = 0; byte < vocabulary.byte_ids.size(); ++byte) {
    FL_TRY(require(byte_alphabet()[byte], vocabulary.byte_ids[byte]));
  }
  return check_locations(vocabulary.tokens, vocabulary.location_base);
}

Result<Vocabulary> make_vocabulary(const TokenizerFiles& files) {
  const json::Value& document = files.document;
  const json::Object& extra = files.added;
  FL_TRY(check_is_byte_level_bpe(document));
  const json::Value& model = *document.find("model");
  const json::Value* vocab = model.find("vocab");
  const json::Value* merges = model.find("merges");
  if (vocab == nullptr || vocab->object() == nullptr) return model_error("model.vocab is missing or not an object");
  if (merges == nullptr || merges->array() == nullptr) return model_error("model.merges is missing or not an array");
  FL_ASSIGN(std::vector<AddedTokenEntry> entries, read_added_tokens(document));
  const std::vector<std::string> florence = florence_tokens();

  TokenTable tokens(vocab->object()->size() + entries.size() + extra.size() + florence.size());
  FL_TRY(add_tokens(*vocab->object(), tokens));
  for (const AddedTokenEntry& entry : entries) FL_TRY(tokens.add(entry.text, entry.id));
  FL_TRY(located(add_tokens(extra, tokens), files.added_path));
  FL_TRY(complete_florence_tokens(florence, tokens));
  FL_TRY(tokens.finish());

  auto merge_table = read_merges(*merges->array(), tokens);
  if (!merge_table) return Error{ErrorCode::model, std::move(merge_table.error().message), files.merges_path};
  for (const auto& [name, id] : extra) entries.push_back({.text = name, .id = *id.integer()});
  for (const std::string& name : florence) entries.push_back({.text = name, .id = tokens.find(name), .special = true});
  Vocabulary vocabulary{.tokens = std::move(tokens), .merges = std::move(*merge_table)};
  FL_TRY(set_required_ids(vocabulary));
  set_added_tokens(entries, vocabulary);
  return vocabulary;
}

}  // namespace

Result<Vocabulary> load_vocabulary(const std::string& directory) {
  FL_ASSIGN(const TokenizerFiles files, read_tokenizer_files(directory));
  Result<Vocabulary> vocabulary = make_vocabulary(files);
  if (vocabulary || !vocabulary.error().where.empty()) return vocabulary;
  return Error{vocabulary.error().code, vocabulary.error().message, files.path};
}

}  // namespace florence2
