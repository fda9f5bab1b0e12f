#include "tokenizer/pretokenize.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace florence2 {
namespace {

std::vector<std::string> pieces_of(std::string_view text) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    const std::size_t size = first_piece_size(text);
    REQUIRE(size > 0);
    REQUIRE(size <= text.size());
    pieces.emplace_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return pieces;
}

TEST_CASE("pieces follow GPT-2's pattern") {
  using Pieces = std::vector<std::string>;
  struct Row {
    std::string text;
    Pieces pieces;
  };
  const Row rows[] = {
      {"", {}},
      {"What is it?", {"What", " is", " it", "?"}},
      // contractions: lower case only, and only where the apostrophe starts a piece
      {"I'm we'll don't he's they've you're he'd",
       {"I", "'m", " we", "'ll", " don", "'t", " he", "'s", " they", "'ve", " you", "'re", " he", "'d"}},
      {"I'M", {"I", "'", "M"}},
      {"''s 'x", {"''", "s", " '", "x"}},
      {" 's", {" '", "s"}},
      {"'", {"'"}},
      {"'r 'l", {"'", "r", " '", "l"}},
      // the last of several spaces belongs to the word, other white space never does
      {"  two  spaces", {" ", " two", " ", " spaces"}},
      {"a\n\nb", {"a", "\n", "\n", "b"}},
      {"a\n\n", {"a", "\n\n"}},
      {"a \n b", {"a", " \n", " b"}},
      {" ", {" "}},
      {"a ", {"a", " "}},
      // white space: NEL, no-break, ideographic and the line separator are; zero-width space and file separator are not
      {"a\u0085\u00A0\u3000\u2028", {"a", "\u0085\u00A0\u3000\u2028"}},
      {"a\u200B\x1C"
       "b",
       {"a", "\u200B\x1C", "b"}},
      {" \u00A0x", {" ", "\u00A0", "x"}},
      // classes: letters of all scripts, numbers of all kinds, marks with the punctuation
      {"abc123def", {"abc", "123", "def"}},
      {"Zürich 東京", {"Zürich", " 東京"}},
      {"x²½Ⅷ٣", {"x", "²½Ⅷ٣"}},
      {"e\u0301a", {"e", "\u0301", "a"}},
      {"4.5% 😀!", {"4", ".", "5", "%", " 😀!"}},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    CHECK(pieces_of(row.text) == row.pieces);
  }
}

TEST_CASE("white space at the ends is measured in bytes") {
  CHECK(leading_space_size("") == 0);
  CHECK(leading_space_size(" \t\u3000x ") == 5);
  CHECK(trailing_space_size("") == 0);
  CHECK(trailing_space_size("x \u00A0\n") == 4);
  CHECK(trailing_space_size("x\u200B") == 0);
  CHECK(trailing_space_size("\u2003\u2003") == 6);
}

}  // namespace
}  // namespace florence2
