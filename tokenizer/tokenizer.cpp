#include "tokenizer/tokenizer.hpp"

#include <utility>

#include "core/utf8.hpp"
#include "tokenizer/pretokenize.hpp"
#include "tokenizer/vocabulary.hpp"

namespace florence2 {

namespace {

void encode_plain(std::string_view text, BpeEncoder& bpe, std::vector<std::int32_t>& ids) {
  while (!text.empty()) {
    const std::size_t size = first_piece_size(text);
    bpe.encode(text.substr(0, size), ids);
    text.remove_prefix(size);
  }
}

/// The next added token in `text` at or after `at`, which becomes its offset; nullptr when there is none.
const AddedToken* find_added(const AddedTokens& added, std::string_view text, std::size_t& at) {
  for (; at < text.size(); ++at) {
    if (const AddedToken* token = added.longest_prefix(text.substr(at))) return token;
  }
  return nullptr;
}

void encode_text(const Vocabulary& vocabulary, std::string_view text, std::vector<std::int32_t>& ids) {
  BpeEncoder bpe(vocabulary.byte_ids, vocabulary.merges);
  std::size_t at = 0;
  while (const AddedToken* token = find_added(vocabulary.added, text, at)) {
    std::string_view before = text.substr(0, at);
    if (token->lstrip) before.remove_suffix(trailing_space_size(before));
    encode_plain(before, bpe, ids);
    ids.push_back(token->id);
    text.remove_prefix(at + token->text.size());
    if (token->rstrip) text.remove_prefix(leading_space_size(text));
    at = 0;
  }
  encode_plain(text, bpe, ids);
}

}  // namespace

Result<Tokenizer> Tokenizer::load(const std::string& directory) {
  FL_ASSIGN(Vocabulary vocabulary, load_vocabulary(directory));
  return Tokenizer(std::make_shared<const Vocabulary>(std::move(vocabulary)));
}

Result<std::vector<std::int32_t>> Tokenizer::encode(std::string_view text) const {
  if (const auto at = find_invalid_utf8(text)) {
    return Error{ErrorCode::data, "not valid UTF-8 at byte " + std::to_string(*at), "prompt"};
  }
  std::vector<std::int32_t> ids = {vocabulary_->start};
  encode_text(*vocabulary_, text, ids);
  ids.push_back(vocabulary_->end);
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const std::int32_t id : ids) {
    if (!skip_special || !is_special(id)) bytes += piece(id);
  }
  return replace_invalid_utf8(bytes);
}

std::string_view Tokenizer::piece(std::int32_t id) const {
  return id >= 0 && id < size() ? vocabulary_->tokens.bytes(id) : std::string_view();
}

bool Tokenizer::is_special(std::int32_t id) const { return id >= 0 && id < size() && vocabulary_->special[id]; }

std::optional<std::int32_t> Tokenizer::id_of(std::string_view token) const {
  const std::int32_t id = vocabulary_->tokens.find(token);
  if (id == TokenTable::kNone) return std::nullopt;
  return id;
}

std::int32_t Tokenizer::size() const { return vocabulary_->tokens.size(); }

std::int32_t Tokenizer::location_base() const { return vocabulary_->location_base; }

}  // namespace florence2
