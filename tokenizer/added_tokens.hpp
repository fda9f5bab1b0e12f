// Tokens that are found literally in a text before the rest goes through BPE.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace florence2 {

struct AddedToken {
  std::string text;  ///< not empty
  std::int32_t id = 0;
  bool lstrip = false, rstrip = false;  ///< swallows the white space on its left, on its right
};

class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);

  /// The longest token that `text` starts with, or nullptr.
  const AddedToken* longest_prefix(std::string_view text) const;

 private:
  std::vector<AddedToken> tokens_;  // sorted by text
};

}  // namespace florence2
