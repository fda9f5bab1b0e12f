#include "tokenizer/added_tokens.hpp"

#include <algorithm>

namespace florence2 {

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(), [](const auto& a, const auto& b) { return a.text < b.text; });
}

const AddedToken* AddedTokens::longest_prefix(std::string_view text) const {
  // [first, last): the tokens that agree with `text` up to `depth`; sorted, so the shortest of them comes first.
  auto first = tokens_.begin(), last = tokens_.end();
  const AddedToken* longest = nullptr;
  for (std::size_t depth = 0; depth < text.size(); ++depth) {
    const auto byte_at = [depth](const AddedToken& token) {
      return depth < token.text.size() ? static_cast<unsigned char>(token.text[depth]) : -1;
    };
    const int byte = static_cast<unsigned char>(text[depth]);
    first = std::partition_point(first, last, [&](const AddedToken& token) { return byte_at(token) < byte; });
    last = std::partition_point(first, last, [&](const AddedToken& token) { return byte_at(token) == byte; });
    if (first == last) break;
    if (first->text.size() == depth + 1) longest = &*first;
  }
  return longest;
}

}  // namespace florence2
