#include "tokenizer/token_table.hpp"

#include <functional>
#include <limits>

#include "core/utf8.hpp"
#include "tokenizer/byte_alphabet.hpp"

namespace florence2 {
namespace {

std::uint64_t hash_of(std::string_view name) { return std::hash<std::string_view>{}(name); }

Error id_error(std::string_view name, std::int64_t id, const std::string& what) {
  return {ErrorCode::model, "token " + quoted_token(name) + " has id " + std::to_string(id) + what, ""};
}

}  // namespace

TokenTable::TokenTable(std::size_t capacity) : index_(capacity) {
  ids_.reserve(capacity);
  names_.starts.reserve(capacity + 1);
  bytes_.starts.reserve(capacity + 1);
}

Status TokenTable::add(std::string_view name, std::int64_t id) {
  if (id < 0 || id >= std::numeric_limits<std::int32_t>::max()) {
    return id_error(name, id, ", which is out of range (0 to 2^31 - 2)");
  }
  if (const std::int32_t entry = find_entry(name); entry != kNone) {
    if (ids_[entry] == id) return {};
    return id_error(name, id, ", but it was listed with id " + std::to_string(ids_[entry]) + " before");
  }
  index_.insert(hash_of(name), size());
  ids_.push_back(static_cast<std::int32_t>(id));
  names_.text += name;
  names_.close();
  append_token_bytes(name, bytes_.text);
  bytes_.close();
  return {};
}

Status TokenTable::finish() {
  entries_.assign(ids_.size(), kNone);
  for (std::int32_t entry = 0; entry < size(); ++entry) {
    const std::int32_t id = ids_[entry];
    if (id >= size()) {
      return id_error(names_.at(entry), id,
                      ", but there are " + std::to_string(size()) + " tokens: ids must run from 0 without gaps");
    }
    if (entries_[id] != kNone) {
      return id_error(names_.at(entry), id, ", which token " + quoted_token(names_.at(entries_[id])) + " has too");
    }
    entries_[id] = entry;
  }
  return {};
}

std::int32_t TokenTable::find(std::string_view name) const {
  const std::int32_t entry = find_entry(name);
  return entry == kNone ? kNone : ids_[entry];
}

std::int32_t TokenTable::find_entry(std::string_view name) const {
  return index_.find(hash_of(name), [&](std::int32_t entry) { return names_.at(entry) == name; });
}

std::string quoted_token(std::string_view name) {
  constexpr std::size_t kLongest = 60;
  if (name.size() <= kLongest) return "\"" + std::string(name) + "\"";
  std::size_t end = kLongest;
  while ((name[end] & 0xC0) == 0x80) --end;
  return "\"" + std::string(name.substr(0, end)) + "…\" (" + std::to_string(name.size()) + " bytes)";
}

}  // namespace florence2
