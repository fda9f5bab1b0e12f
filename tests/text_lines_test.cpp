// Reading order of OCR items.
#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "model/florence2.hpp"
#include "tests/patterns.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

Item word(const std::string& text, float x, float y, float width, float height = 10) {
  const Quad quad = {Point{x, y}, {x + width, y}, {x + width, y + height}, {x, y + height}};
  Item item;
  item.label = text;
  item.shape = quad;
  item.label_score = 0.5f;
  return item;
}

std::vector<std::string> texts_of(const std::vector<Item>& items) {
  std::vector<std::string> texts;
  for (const TextLine& line : text_lines(items)) texts.push_back(line.text);
  return texts;
}

using Texts = std::vector<std::string>;

TEST_CASE("words on a line are joined from left to right, lines read from top to bottom") {
  CHECK(texts_of({word("world", 60, 11, 40), word("below", 0, 40, 50), word("hello", 0, 10, 50)}) ==
        Texts{"hello world", "below"});
}

TEST_CASE("columns are read one after the other, a title before them") {
  CHECK(texts_of({word("right 1", 120, 30, 100), word("left 1", 0, 30, 100), word("right 2", 120, 42, 100),
                  word("title", 20, 0, 180, 14), word("left 2", 0, 42, 100)}) ==
        Texts{"title", "left 1", "left 2", "right 1", "right 2"});
}

TEST_CASE("prices stay with what they are the price of") {
  CHECK(texts_of({word("coffee", 0, 0, 60), word("3.50", 200, 1, 25), word("tea", 0, 20, 30),
                  word("2.00", 200, 21, 25)}) == Texts{"coffee 3.50", "tea 2.00"});
}

TEST_CASE("slanted lines whose boxes overlap are still lines") {
  CHECK(texts_of({word("a", 0, 0, 50, 12), word("b", 60, 3, 50, 12), word("c", 0, 10, 50, 12),
                  word("d", 60, 13, 50, 12)}) == Texts{"a b", "c d"});
}

TEST_CASE("every item stands in exactly one line, whatever the layout") {
  test::Random random(60);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<Item> items;
    const int count = static_cast<int>(random.bits() % 40);
    const auto number = [&](int most) { return static_cast<float>(random.bits() % static_cast<unsigned>(most)); };
    for (int i = 0; i < count; ++i) items.push_back(word("x", number(500), number(500), number(200), number(40)));
    if (count > 3) items[3].shape = Box{5, 5, 1, 1};
    if (count > 4) items[4].shape = Polygons{};
    std::vector<int> seen;
    for (const TextLine& line : text_lines(items)) {
      CHECK_FALSE(line.items.empty());
      CHECK(line.score == 0.5f);
      seen.insert(seen.end(), line.items.begin(), line.items.end());
    }
    std::sort(seen.begin(), seen.end());
    std::vector<int> all(items.size());
    std::iota(all.begin(), all.end(), 0);
    CHECK(seen == all);
  }
}

}  // namespace
}  // namespace florence2
