// The byte alphabet of GPT-2: vocabularies write each of the 256 bytes as one printable character.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace florence2 {

/// The 256 characters in UTF-8, by byte: bytes 33-126, 161-172 and 174-255 stand for themselves (as code points), the
/// other 68, in increasing order, are U+0100, U+0101, ... (space is U+0120).
const std::array<std::string, 256>& byte_alphabet();

/// The bytes that a token of the vocabulary stands for: its characters turned back into bytes where all of them belong
/// to the alphabet, else the token's own UTF-8. Appends to `out`.
void append_token_bytes(std::string_view token, std::string& out);

}  // namespace florence2
