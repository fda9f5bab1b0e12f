#include "tokenizer/special_tokens.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace florence2 {
namespace {

struct Role {
  const char* key;
  const char* token;  // BART's
};
constexpr Role kRoles[] = {{"bos_token", "<s>"},    {"eos_token", "</s>"},  {"unk_token", "<unk>"},
                           {"sep_token", "</s>"},   {"pad_token", "<pad>"}, {"cls_token", "<s>"},
                           {"mask_token", "<mask>"}};

/// The text of a token written as "text" or {"content": "text", …}.
const std::string* text_of(const json::Value& token) {
  if (token.string() != nullptr) return token.string();
  const json::Value* content = token.find("content");
  return content == nullptr ? nullptr : content->string();
}

bool flag_of(const json::Value& token, std::string_view key, bool otherwise) {
  const json::Value* flag = token.find(key);
  return flag != nullptr && flag->boolean() != nullptr ? *flag->boolean() : otherwise;
}

class Collector {
 public:
  explicit Collector(const TokenTable& known) : known_(known), next_id_(known.size()) {}

  /// `token` as text_of takes it; `id`: where the file gives one.
  Status add(const json::Value& token, const std::string& place, bool special, bool lstrip = false,
             std::optional<std::int64_t> id = std::nullopt) {
    const std::string* text = text_of(token);
    if (text == nullptr || text->empty()) return Error{ErrorCode::model, place + ": expected a token", {}};
    list_.emplace_back(json::Object{{"id", id ? *id : id_of(*text)},
                                    {"content", *text},
                                    {"special", special},
                                    {"single_word", flag_of(token, "single_word", false)},
                                    {"lstrip", flag_of(token, "lstrip", lstrip)},
                                    {"rstrip", flag_of(token, "rstrip", false)}});
    return {};
  }

  json::Array take() && { return std::move(list_); }

 private:
  std::int64_t id_of(const std::string& text) {
    if (const std::int32_t id = known_.find(text); id != TokenTable::kNone) return id;
    for (const json::Value& entry : list_) {
      if (*entry.find("content")->string() == text) return *entry.find("id")->integer();
    }
    return next_id_++;
  }

  const TokenTable& known_;
  std::int64_t next_id_;
  json::Array list_;
};

/// "added_tokens_decoder" of tokenizer_config.json: {"50264": {"content": "<mask>", "lstrip": true, …}, …}.
Status add_decoder(const json::Value& config, Collector& collector) {
  const json::Value* decoder = config.find("added_tokens_decoder");
  if (decoder == nullptr || decoder->object() == nullptr) return {};
  for (const auto& [key, token] : *decoder->object()) {
    const std::string place = "added_tokens_decoder[\"" + key + "\"]";
    std::int64_t id = 0;
    const auto [stop, failure] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (failure != std::errc() || stop != key.data() + key.size()) {
      return Error{ErrorCode::model, place + ": expected an id", {}};
    }
    FL_TRY(collector.add(token, place, flag_of(token, "special", false), false, id));
  }
  return {};
}

/// A file's entry is null where the tokenizer has no such token.
const json::Value* entry_of(const json::Value& map, const json::Value& config, std::string_view key) {
  const json::Value* entry = map.find(key);
  return entry != nullptr ? entry : config.find(key);
}

}  // namespace

Result<json::Array> special_tokens(const json::Value& map, const json::Value& config, const TokenTable& known) {
  Collector collector(known);
  FL_TRY(add_decoder(config, collector));
  for (const auto& [key, token] : kRoles) {
    const json::Value* entry = entry_of(map, config, key);
    if (entry != nullptr && entry->is_null()) continue;
    // The mask swallows the space in front of it, as it stands for a word with that space.
    FL_TRY(collector.add(entry != nullptr ? *entry : json::Value(token), key, true,
                         std::string_view(key) == "mask_token"));
  }
  const json::Value* more = entry_of(map, config, "additional_special_tokens");
  if (more == nullptr || more->array() == nullptr) return std::move(collector).take();
  for (const json::Value& token : *more->array()) {
    FL_TRY(collector.add(token, "additional_special_tokens", true));
  }
  return std::move(collector).take();
}

}  // namespace florence2
