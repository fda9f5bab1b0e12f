#include "model/label_trie.hpp"

#include <algorithm>

#include "model/prompt.hpp"
#include "model/unicode_text.hpp"

namespace florence2 {

Status check_label(const std::string& label) {
  const bool plain = !label.empty() && label.find_first_of("<\n") == std::string::npos && strip(label) == label;
  if (plain) return {};
  return Error{ErrorCode::argument,
               "class " + quoted(label) + " must be text without '<', line breaks or spaces at its ends", ""};
}

Result<LabelTrie> LabelTrie::build(std::span<const std::string> labels, const Tokenizer& tokenizer) {
  LabelTrie trie;
  for (const std::string& label : labels) {
    FL_TRY(check_label(label));
    for (const std::string& text : {label, ' ' + label}) {
      FL_ASSIGN(const auto ids, tokenizer.encode(text));
      trie.insert(std::span(ids).subspan(1, ids.size() - 2));  // between <s> and </s>
    }
  }
  return trie;
}

void LabelTrie::insert(std::span<const std::int32_t> tokens) {
  std::int32_t node = kRoot;
  for (std::size_t i = 0; i <= tokens.size(); ++i) {
    Node& here = nodes_[static_cast<std::size_t>(node)];
    here.to_end = std::min(here.to_end, static_cast<int>(tokens.size() - i));
    if (i == tokens.size()) return;
    const auto place = std::lower_bound(here.children.begin(), here.children.end(), std::pair(tokens[i], kRoot));
    if (place != here.children.end() && place->first == tokens[i]) {
      node = place->second;
      continue;
    }
    node = static_cast<std::int32_t>(nodes_.size());
    here.children.insert(place, {tokens[i], node});
    nodes_.emplace_back();
  }
}

std::int32_t LabelTrie::child(std::int32_t node, std::int32_t token) const {
  const auto below = children(node);
  const auto place = std::lower_bound(below.begin(), below.end(), std::pair(token, kRoot));
  return place != below.end() && place->first == token ? place->second : kNone;
}

}  // namespace florence2
