#include "tokenizer/pretokenize.hpp"

#include <utf8proc.h>

#include "core/check.hpp"
#include "core/utf8.hpp"

namespace florence2 {
namespace {

enum class CharClass { letter, number, space, other };

CharClass class_of(char32_t code_point) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::number;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::space;
    default:
      // White_Space has six control characters too: tab to carriage return, and NEL.
      return (code_point >= '\t' && code_point <= '\r') || code_point == 0x85 ? CharClass::space : CharClass::other;
  }
}

/// 's 't 'm 'd 're 've 'll at the start of `text`, lower case only: their size, or 0.
std::size_t contraction_size(std::string_view text) {
  if (text[0] != '\'' || text.size() < 2) return 0;
  const std::string_view tail = text.substr(1);
  if (std::string_view("stmd").find(tail[0]) != std::string_view::npos) return 2;
  return tail.starts_with("re") || tail.starts_with("ve") || tail.starts_with("ll") ? 3 : 0;
}

/// Bytes of the characters of class `wanted` at the start of `text`; `last` receives the offset of the last of them.
std::size_t run_size(std::string_view text, CharClass wanted, std::size_t* last = nullptr) {
  std::size_t size = 0;
  while (size < text.size()) {
    const Utf8Step step = utf8_step(text.substr(size));
    if (class_of(step.code_point) != wanted) break;
    if (last != nullptr) *last = size;
    size += step.size;
  }
  return size;
}

}  // namespace

std::size_t first_piece_size(std::string_view text) {
  FL_DCHECK(!text.empty());
  if (const std::size_t size = contraction_size(text); size > 0) return size;
  const std::size_t blank = text[0] == ' ' && text.size() > 1 ? 1 : 0;
  const CharClass first = class_of(utf8_step(text.substr(blank)).code_point);
  if (first != CharClass::space) return blank + run_size(text.substr(blank), first);
  // \s+(?!\S) gives the last of several spaces to the word that follows; \s+ takes a single one.
  std::size_t last = 0;
  const std::size_t size = run_size(text, CharClass::space, &last);
  return size == text.size() || last == 0 ? size : last;
}

std::size_t leading_space_size(std::string_view text) { return run_size(text, CharClass::space); }

std::size_t trailing_space_size(std::string_view text) {
  std::size_t start = text.size();
  while (start > 0) {
    std::size_t character = start - 1;
    while (character > 0 && (text[character] & 0xC0) == 0x80) --character;
    if (class_of(utf8_step(text.substr(character)).code_point) != CharClass::space) break;
    start = character;
  }
  return text.size() - start;
}

}  // namespace florence2
