// UTF-8 as the Unicode standard defines it (table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace florence2 {

/// One step through a text. For a broken sequence `valid` is false, `code_point` is U+FFFD and `size` covers the
/// longest part that starts like a character, at least one byte: what a decoder replaces by a single U+FFFD.
struct Utf8Step {
  char32_t code_point;
  std::size_t size;
  bool valid;
};

/// The step at the start of `text`, which is not empty.
Utf8Step utf8_step(std::string_view text);

/// Offset of the first byte that belongs to no character; nothing when all of `text` is UTF-8.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

/// `text` with one U+FFFD for every broken part.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace florence2
