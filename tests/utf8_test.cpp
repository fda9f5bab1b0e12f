#include "core/utf8.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace florence2 {
namespace {

/// The encoding by arithmetic; every code point has exactly one.
std::string encoded(char32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

bool is_surrogate(char32_t c) { return c >= 0xD800 && c <= 0xDFFF; }

TEST_CASE("utf8_step reads every code point and refuses surrogates and what lies beyond U+10FFFF") {
  int wrong = 0;
  for (char32_t c = 0; c < 0x120000; ++c) {
    const std::string text = encoded(c);
    const Utf8Step step = utf8_step(text);
    const bool valid = !is_surrogate(c) && c <= 0x10FFFF;
    const bool right = valid ? step.valid && step.code_point == c && step.size == text.size()
                             : !step.valid && step.code_point == 0xFFFD && step.size == 1;
    wrong += right ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("replace_invalid_utf8 writes one U+FFFD for each maximal broken part") {
  struct Row {
    std::string text, replaced;
  };
  const std::string mark = "\xEF\xBF\xBD";
  // The last row is the example of the Unicode standard, chapter 3, table 3-8 and its neighbours.
  const Row rows[] = {{"", ""},
                      {"a\xC3\xA9", "a\xC3\xA9"},
                      {"\x80", mark},
                      {"\xC0\x80", mark + mark},
                      {"\xC3(", mark + "("},
                      {"\xE2\x82", mark},
                      {"\xE2\x82"
                       "a",
                       mark + "a"},
                      {"\xE0\x9F\xBF", mark + mark + mark},
                      {"\xED\xA0\x80", mark + mark + mark},
                      {"\xF0\x9F\x98", mark},
                      {"\xF4\x90\x80\x80", mark + mark + mark + mark},
                      {"\xF5\xFF", mark + mark},
                      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", mark + mark + mark + mark + "A"}};
  for (const Row& row : rows) {
    INFO(row.replaced);
    CHECK(replace_invalid_utf8(row.text) == row.replaced);
    CHECK(find_invalid_utf8(row.text).has_value() == (row.text != row.replaced));
  }
}

TEST_CASE("find_invalid_utf8 gives the offset of the first broken byte") {
  CHECK(find_invalid_utf8("") == std::nullopt);
  CHECK(find_invalid_utf8("plain") == std::nullopt);
  CHECK(find_invalid_utf8("\xC3\xA9\xFF") == 2u);
  CHECK(find_invalid_utf8("ab\xE2\x82") == 2u);
}

}  // namespace
}  // namespace florence2
