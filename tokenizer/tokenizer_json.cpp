#include "tokenizer/tokenizer_json.hpp"

#include <optional>
#include <string_view>
#include <utility>

namespace florence2 {
namespace {

Error model_error(std::string message) { return {ErrorCode::model, std::move(message), ""}; }

/// The member "type" of an object in quotation marks, "none" for null and absent values, else the kind of what is
/// there.
std::string type_of(const json::Value* value) {
  if (value == nullptr || value->is_null()) return "none";
  const json::Value* type = value->find("type");
  if (type == nullptr) return std::string(value->kind());
  return type->string() != nullptr ? quoted_token(*type->string()) : std::string(type->kind());
}

/// Whether `object` has `key` with a value that switches something on: anything but null, false, 0 and "".
bool switched_on(const json::Value& object, std::string_view key) {
  const json::Value* value = object.find(key);
  if (value == nullptr || value->is_null()) return false;
  if (const bool* flag = value->boolean()) return *flag;
  if (const std::string* text = value->string()) return !text->empty();
  double number = 0;
  return !value->number(number) || number != 0;
}

Status check_switched_off(const json::Value& object, const std::string& path, std::string_view key) {
  if (!switched_on(object, key)) return {};
  return model_error(path + "." + std::string(key) + " is not supported");
}

Status check_model(const json::Value& document) {
  const json::Value* model = document.find("model");
  if (model == nullptr || model->object() == nullptr) return model_error("\"model\" is missing or not an object");
  // The files of 2020 have no "type"; the merges tell BPE from the others.
  if (model->find("type") != nullptr && type_of(model) != "\"BPE\"") {
    return model_error("model type " + type_of(model) + " not supported; expected \"BPE\"");
  }
  for (const char* key :
       {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"}) {
    FL_TRY(check_switched_off(*model, "model", key));
  }
  return {};
}

Status check_pre_tokenizer(const json::Value& document) {
  const json::Value* pre_tokenizer = document.find("pre_tokenizer");
  if (type_of(pre_tokenizer) != "\"ByteLevel\"") {
    return model_error("pre-tokenizer " + type_of(pre_tokenizer) + " not supported; expected \"ByteLevel\"");
  }
  FL_TRY(check_switched_off(*pre_tokenizer, "pre_tokenizer", "add_prefix_space"));
  const json::Value* use_regex = pre_tokenizer->find("use_regex");
  if (use_regex == nullptr || switched_on(*pre_tokenizer, "use_regex")) return {};
  return model_error("pre_tokenizer.use_regex is off, which is not supported");
}

bool flag_of(const json::Value& object, std::string_view key) {
  const json::Value* value = object.find(key);
  return value != nullptr && value->boolean() != nullptr && *value->boolean();
}

Result<AddedTokenEntry> read_added_token(const json::Value& value, const std::string& place) {
  const json::Value* id = value.find("id");
  const json::Value* content = value.find("content");
  if (id == nullptr || id->integer() == nullptr || content == nullptr || content->string() == nullptr) {
    return model_error(place + ": expected an object with a whole number \"id\" and a string \"content\"");
  }
  if (content->string()->empty()) return model_error(place + ": the token is empty");
  if (flag_of(value, "single_word")) {
    return model_error(place + " " + quoted_token(*content->string()) + ": single_word is not supported");
  }
  return AddedTokenEntry{*content->string(), *id->integer(), flag_of(value, "special"), flag_of(value, "lstrip"),
                         flag_of(value, "rstrip")};
}

/// The two halves of a merge, or nothing when it is not "a b" or ["a", "b"].
std::optional<std::pair<std::string_view, std::string_view>> halves_of(const json::Value& merge) {
  if (const std::string* text = merge.string()) {
    const std::size_t space = text->find(' ');
    if (space == std::string::npos || text->find(' ', space + 1) != std::string::npos) return std::nullopt;
    const std::string_view view = *text;
    return std::pair(view.substr(0, space), view.substr(space + 1));
  }
  const json::Array* pair = merge.array();
  if (pair == nullptr || pair->size() != 2) return std::nullopt;
  const std::string* left = (*pair)[0].string();
  const std::string* right = (*pair)[1].string();
  if (left == nullptr || right == nullptr) return std::nullopt;
  return std::pair<std::string_view, std::string_view>(*left, *right);
}

/// The message of the error goes on where "merges[3]" ended.
Status add_merge(const json::Value& merge, const TokenTable& tokens, MergeTable& merges) {
  const auto halves = halves_of(merge);
  if (!halves) return model_error(": expected \"a b\" or [\"a\", \"b\"]");
  const auto [left, right] = *halves;
  const std::string join = std::string(left).append(right);
  const std::int32_t left_id = tokens.find(left), right_id = tokens.find(right), join_id = tokens.find(join);
  if (left_id != TokenTable::kNone && right_id != TokenTable::kNone && join_id != TokenTable::kNone) {
    merges.add(left_id, right_id, join_id);
    return {};
  }
  const std::string_view missing = left_id == TokenTable::kNone ? left : right_id == TokenTable::kNone ? right : join;
  const std::string pair = std::string(left).append(" ").append(right);
  return model_error(" " + quoted_token(pair) + ": " + quoted_token(missing) + " is not in the vocabulary");
}

}  // namespace

Status check_is_byte_level_bpe(const json::Value& document) {
  if (document.object() == nullptr) {
    return model_error("expected an object, found " + std::string(document.kind()));
  }
  FL_TRY(check_model(document));
  const std::string normalizer = type_of(document.find("normalizer"));
  if (normalizer != "none") return model_error("normalizer " + normalizer + " not supported; expected none");
  return check_pre_tokenizer(document);
}

Status add_tokens(const json::Object& object, TokenTable& tokens) {
  for (const auto& [name, id] : object) {
    if (id.integer() == nullptr) {
      return model_error("token " + quoted_token(name) + ": its id must be a whole number, found " +
                         std::string(id.kind()));
    }
    FL_TRY(tokens.add(name, *id.integer()));
  }
  return {};
}

Result<std::vector<AddedTokenEntry>> read_added_tokens(const json::Value& document) {
  std::vector<AddedTokenEntry> entries;
  const json::Value* list = document.find("added_tokens");
  if (list == nullptr || list->is_null()) return entries;
  if (list->array() == nullptr) {
    return model_error("added_tokens: expected an array, found " + std::string(list->kind()));
  }
  for (const json::Value& value : *list->array()) {
    FL_ASSIGN(AddedTokenEntry entry, read_added_token(value, "added_tokens[" + std::to_string(entries.size()) + "]"));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<MergeTable> read_merges(const json::Array& list, const TokenTable& tokens) {
  MergeTable merges(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    Status added = add_merge(list[i], tokens, merges);
    if (!added) return model_error("merges[" + std::to_string(i) + "]" + added.error().message);
  }
  return merges;
}

}  // namespace florence2
