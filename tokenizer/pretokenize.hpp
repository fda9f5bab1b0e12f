// Cuts a text into the pieces that BPE works on, as GPT-2's pattern does:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#pragma once

#include <cstddef>
#include <string_view>

namespace florence2 {

/// Bytes of the first piece of `text`, which is UTF-8 and not empty. Every text is the sequence of its pieces.
std::size_t first_piece_size(std::string_view text);

/// Bytes of white space (Unicode's White_Space) that the UTF-8 `text` starts or ends with.
std::size_t leading_space_size(std::string_view text);
std::size_t trailing_space_size(std::string_view text);

}  // namespace florence2
