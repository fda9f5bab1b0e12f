#include "tokenizer/tokenizer.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "tests/support.hpp"
#include "tokenizer/bpe.hpp"
#include "tokenizer/byte_alphabet.hpp"
#include "tokenizer/location.hpp"
#include "tokenizer/pretokenize.hpp"
#include "tokenizer/vocabulary.hpp"

namespace florence2 {
namespace {

using Ids = std::vector<std::int32_t>;

Tokenizer load(const std::string& directory) {
  Result<Tokenizer> tokenizer = Tokenizer::load(directory);
  INFO(directory << ": " << (tokenizer ? "" : tokenizer.error().text()));
  REQUIRE(tokenizer);
  return std::move(tokenizer).value();
}

std::string demo_dir() { return test::source_dir() + "/weights/demo"; }

Ids encode(const Tokenizer& tokenizer, std::string_view text) {
  Result<Ids> ids = tokenizer.encode(text);
  REQUIRE(ids);
  return std::move(ids).value();
}

/// The text of a row of the vectors must give `ids`, and these the recorded texts.
void check_encode_row(const Tokenizer& tokenizer, const json::Value& row, const std::string& ids_key) {
  const std::string text = test::text_of(test::at(row, "text"));
  const Ids ids = test::ids_of(test::at(row, ids_key));
  INFO(text);
  CHECK(encode(tokenizer, text) == ids);
  CHECK(tokenizer.decode(ids) == test::text_of(test::at(row, "decoded")));
}

void check_decode_row(const Tokenizer& tokenizer, const json::Value& row) {
  const Ids ids = test::ids_of(test::at(row, "ids"));
  CHECK(tokenizer.decode(ids) == test::text_of(test::at(row, "decoded")));
  CHECK(tokenizer.decode(ids, true) == test::text_of(test::at(row, "decoded_skip")));
}

TEST_CASE("reference vectors, Hugging Face's files") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data: not tested");
    return;
  }
  const Tokenizer tokenizer = load(*reference + "/model-files/hf");
  CHECK(tokenizer.size() == 51290);
  CHECK(tokenizer.location_base() == 50269);
  const json::Value vectors = test::load_json(*reference + "/tokenizer/vectors.json");
  for (const json::Value& row : *test::at(vectors, "encode").array()) {
    check_encode_row(tokenizer, row, "ids");
    check_decode_row(tokenizer, row);
  }
  for (const json::Value& row : *test::at(vectors, "decode").array()) check_decode_row(tokenizer, row);
}

TEST_CASE("reference vectors, Microsoft's files") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data: not tested");
    return;
  }
  const Tokenizer tokenizer = load(*reference + "/model-files/ms");
  constexpr std::int32_t kImageId = 51289;  // a token of the other layout only
  CHECK(tokenizer.size() == kImageId);
  const json::Value vectors = test::load_json(*reference + "/tokenizer/vectors.json");
  for (const json::Value& row : *test::at(vectors, "encode").array()) {
    const bool differs = row.find("ids_without_image_token") != nullptr;
    check_encode_row(tokenizer, row, differs ? "ids_without_image_token" : "ids");
  }
  for (const json::Value& row : *test::at(vectors, "decode").array()) {
    const Ids ids = test::ids_of(test::at(row, "ids"));
    if (std::count(ids.begin(), ids.end(), kImageId) == 0) check_decode_row(tokenizer, row);
  }
}

TEST_CASE("Microsoft's layout gets the added tokens with their published ids") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data: not tested");
    return;
  }
  const Tokenizer tokenizer = load(*reference + "/model-files/ms");
  const json::Value added = test::load_json(*reference + "/model-files/added_tokens.json");
  CHECK(added.object()->size() == 1024);
  for (const auto& [name, id] : *added.object()) {
    INFO(name);
    CHECK(tokenizer.id_of(name) == test::int_of(id));
    CHECK(tokenizer.is_special(static_cast<std::int32_t>(test::int_of(id))));
  }
}

TEST_CASE("the specification's prompts on the real vocabulary") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data: not tested");
    return;
  }
  struct Row {
    std::string text;
    Ids ids;
  };
  const std::string box = "<loc_52><loc_332><loc_932><loc_774>";
  const Row rows[] = {
      {"What does the image describe?", {0, 2264, 473, 5, 2274, 6190, 116, 2}},
      {"Describe in detail what is shown in the image.", {0, 47066, 21700, 11, 4617, 99, 16, 2343, 11, 5, 2274, 4, 2}},
      {"Describe with a paragraph what is shown in the image.",
       {0, 47066, 21700, 19, 10, 17818, 99, 16, 2343, 11, 5, 2274, 4, 2}},
      {"What is the text in the image?", {0, 2264, 16, 5, 2788, 11, 5, 2274, 116, 2}},
      {"What is the text in the image, with regions?", {0, 2264, 16, 5, 2788, 11, 5, 2274, 6, 19, 3806, 116, 2}},
      {"Locate the objects with category name in the image.",
       {0, 574, 22486, 5, 8720, 19, 4120, 766, 11, 5, 2274, 4, 2}},
      {"Locate the objects in the image, with their descriptions.",
       {0, 574, 22486, 5, 8720, 11, 5, 2274, 6, 19, 49, 24173, 4, 2}},
      {"Locate the region proposals in the image.", {0, 574, 22486, 5, 976, 5327, 11, 5, 2274, 4, 2}},
      {"Locate the phrases in the caption: A green car parked in front of a yellow building.",
       {0, 574, 22486, 5, 22810, 11, 5, 3747, 35, 83, 2272, 512, 9181, 11, 760, 9, 10, 5718, 745, 4, 2}},
      {"Locate the phrases in the caption:  x", {0, 574, 22486, 5, 22810, 11, 5, 3747, 35, 1437, 3023, 2}},
      {"Locate a green car in the image with mask", {0, 574, 22486, 10, 2272, 512, 11, 5, 2274, 19, 11445, 2}},
      {"Locate a green car in the image.", {0, 574, 22486, 10, 2272, 512, 11, 5, 2274, 4, 2}},
      {"What is the polygon mask of region <loc_702><loc_575><loc_866><loc_772>",
       {0, 2264, 16, 5, 11424, 14601, 11445, 9, 976, 1437, 50971, 50844, 51135, 51041, 2}},
      {"What is the region " + box + "?", {0, 2264, 16, 5, 976, 1437, 50321, 50601, 51201, 51043, 116, 2}},
      {"What does the region " + box + " describe?",
       {0, 2264, 473, 5, 976, 1437, 50321, 50601, 51201, 51043, 6190, 116, 2}},
      {"What text is in the region " + box + "?",
       {0, 2264, 2788, 16, 11, 5, 976, 1437, 50321, 50601, 51201, 51043, 116, 2}},
      {"", {0, 2}},
      {"  two  spaces\n\nnew line's don't", {0, 1437, 80, 1437, 5938, 50118, 50118, 4651, 516, 18, 218, 75, 2}},
      {"Zürich 東京 😀 123 4.5%",
       {0, 1301, 2768, 5691, 47416, 46, 15389, 46499, 11582, 17841, 7471, 17072, 204, 4, 245, 207, 2}},
      {"<od>x</od> <loc_1000> <loc_5>", {0, 50265, 1178, 50266, 28696, 26516, 1215, 20078, 15698, 1437, 50274, 2}}};
  for (const char* layout : {"hf", "ms"}) {
    const Tokenizer tokenizer = load(*reference + "/model-files/" + layout);
    for (const Row& row : rows) {
      INFO(layout << ": " << row.text);
      CHECK(encode(tokenizer, row.text) == row.ids);
      CHECK(tokenizer.decode(row.ids) == "<s>" + row.text + "</s>");
    }
  }
}

TEST_CASE("the demo tokenizer: what the file says") {
  const Tokenizer tokenizer = load(demo_dir());
  CHECK(tokenizer.size() == 1755);
  CHECK(tokenizer.location_base() == 734);
  CHECK(tokenizer.id_of("<loc_0>") == tokenizer.location_base());
  CHECK(tokenizer.id_of("<loc_999>") == tokenizer.location_base() + kLocationBins - 1);
  CHECK(tokenizer.id_of("<loc_1000>") == std::nullopt);
  CHECK(tokenizer.id_of("<image>") == 1754);
  CHECK(tokenizer.piece(tokenizer.location_base() + 12) == "<loc_12>");
  CHECK(tokenizer.piece(*tokenizer.id_of("Ġthe")) == " the");
  CHECK(tokenizer.piece(-1).empty());
  CHECK(tokenizer.piece(tokenizer.size()).empty());
  CHECK(tokenizer.is_special(0));
  CHECK(tokenizer.is_special(tokenizer.location_base()));
  CHECK_FALSE(tokenizer.is_special(*tokenizer.id_of("Ġthe")));
  CHECK_FALSE(tokenizer.is_special(-1));
  CHECK_FALSE(tokenizer.is_special(tokenizer.size()));
}

TEST_CASE("every text comes back from its ids") {
  const Tokenizer tokenizer = load(demo_dir());
  const std::string texts[] = {"",
                               " ",
                               "a red circle",
                               "  two  spaces\n\nnew line's don't",
                               "Zürich 東京 😀 123 4.5%",
                               std::string("NUL\0inside", 10),
                               "<loc_1000><loc_<od",
                               "e\u0301\u200D\uFFFD\U0010FFFF"};
  for (const std::string& text : texts) {
    INFO(text);
    const Ids ids = encode(tokenizer, text);
    CHECK(tokenizer.decode(ids) == "<s>" + text + "</s>");
    CHECK(tokenizer.decode(ids, true) == text);
    std::string pieces;
    for (const std::int32_t id : ids) pieces += tokenizer.piece(id);
    CHECK(pieces == "<s>" + text + "</s>");
  }
}

TEST_CASE("added tokens are found anywhere, the longest first") {
  const Tokenizer tokenizer = load(demo_dir());
  const std::int32_t loc = tokenizer.location_base();
  const auto id = [&](const char* name) { return *tokenizer.id_of(name); };
  const std::int32_t x = id("x"), space = id("Ġ"), mask = id("<mask>");
  struct Row {
    std::string text;
    Ids ids;
  };
  const Row rows[] = {{"<loc_1><loc_12><loc_123>", {0, loc + 1, loc + 12, loc + 123, 2}},
                      {"x<loc_7>x", {0, x, loc + 7, x, 2}},
                      {"x <loc_7> ", {0, x, space, loc + 7, space, 2}},
                      {"<s></s><pad>", {0, 0, 2, 1, 2}},
                      {"<region_to_desciption><and>", {0, id("<region_to_desciption>"), id("<and>"), 2}},
                      // <mask> swallows the white space on its left, the others do not
                      {"x \n\u3000<mask>x", {0, x, mask, x, 2}},
                      {" <mask> <mask> ", {0, mask, mask, space, 2}},
                      {"<loc_7> <mask>", {0, loc + 7, mask, 2}}};
  for (const Row& row : rows) {
    INFO(row.text);
    CHECK(encode(tokenizer, row.text) == row.ids);
  }
}

TEST_CASE("decode skips foreign ids and replaces broken UTF-8 across pieces") {
  const Tokenizer tokenizer = load(demo_dir());
  const auto byte = [&](unsigned value) { return *tokenizer.id_of(byte_alphabet()[value]); };
  const std::int32_t loc = tokenizer.location_base();
  CHECK(tokenizer.decode(Ids{byte(0xC3), byte(0xA9)}) == "é");
  CHECK(tokenizer.decode(Ids{byte(0xC3), -5, 1755, 2147483647, byte(0xA9)}) == "é");
  CHECK(tokenizer.decode(Ids{byte(0xC3), loc, byte(0xA9)}) == "\uFFFD<loc_0>\uFFFD");
  CHECK(tokenizer.decode(Ids{byte(0xC3), loc, byte(0xA9)}, true) == "é");
}

TEST_CASE("a prompt that is not UTF-8 is refused with the place") {
  const Tokenizer tokenizer = load(demo_dir());
  const auto ids = tokenizer.encode("a red \xFF circle");
  REQUIRE_FALSE(ids);
  CHECK(ids.error().code == ErrorCode::data);
  CHECK(ids.error().text() == "prompt: not valid UTF-8 at byte 6");
}

/// BPE as the definition has it: again and again the adjacent pair with the lowest rank, the leftmost first. On names,
/// straight from the file.
class PlainBpe {
 public:
  explicit PlainBpe(const json::Value& document) {
    for (const json::Value& merge : *test::at(test::at(document, "model"), "merges").array()) {
      const json::Array& pair = *merge.array();
      ranks_.try_emplace({test::text_of(pair[0]), test::text_of(pair[1])}, static_cast<int>(ranks_.size()));
    }
  }

  std::vector<std::string> encode(std::string_view piece) const {
    std::vector<std::string> parts;
    for (const char byte : piece) parts.push_back(byte_alphabet()[static_cast<unsigned char>(byte)]);
    for (std::size_t at = best_pair(parts); at < parts.size(); at = best_pair(parts)) {
      parts[at] += parts[at + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    return parts;
  }

 private:
  std::size_t best_pair(const std::vector<std::string>& parts) const {
    std::size_t best = parts.size();
    int best_rank = static_cast<int>(ranks_.size());
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks_.find({parts[i], parts[i + 1]});
      if (found == ranks_.end() || found->second >= best_rank) continue;
      best = i;
      best_rank = found->second;
    }
    return best;
  }

  std::map<std::pair<std::string, std::string>, int> ranks_;
};

TEST_CASE("merging equals the definition of BPE on random texts") {
  const Tokenizer tokenizer = load(demo_dir());
  const PlainBpe plain(test::load_json(demo_dir() + "/tokenizer.json"));
  const std::string words[] = {"the",      "image", "circle", "red", "aaaa", "rectangle",
                               "\xC3\xA9", "in",    " ",      "  ",  "ing",  "o"};
  test::Random random(1);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (std::uint64_t n = random.bits() % 12; n > 0; --n) text += words[random.bits() % std::size(words)];
    INFO(text);
    Ids expected = {0};
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t size = first_piece_size(rest);
      for (const std::string& name : plain.encode(rest.substr(0, size))) expected.push_back(*tokenizer.id_of(name));
      rest.remove_prefix(size);
    }
    expected.push_back(2);
    CHECK(encode(tokenizer, text) == expected);
  }
}

TEST_CASE("a piece of one megabyte costs at most three pairs a byte") {
  // Merges a a, aa aa, ... so that every level of the chain is merged.
  ByteIds bytes{};
  MergeTable merges(8);
  for (std::int32_t level = 0; level < 8; ++level) merges.add(level, level, level + 1);
  const std::string text(1 << 20, 'a');
  BpeEncoder bpe(bytes, merges);
  Ids ids;
  bpe.encode(text, ids);
  CHECK(ids == Ids(text.size() >> 8, 8));
  CHECK(bpe.pairs_examined() <= 3 * static_cast<std::int64_t>(text.size()));
}

TEST_CASE("one megabyte of one letter goes through the whole tokenizer") {
  const Tokenizer tokenizer = load(demo_dir());
  for (const char letter : {'a', ' ', '<', '\''}) {
    const std::string text(1 << 20, letter);
    CHECK(tokenizer.decode(encode(tokenizer, text), true) == text);
  }
}

TEST_CASE("location bins and their centres") {
  CHECK(location_bin(0.0f, 640) == 0);
  CHECK(location_bin(-3.0f, 640) == 0);
  CHECK(location_bin(640.0f, 640) == 999);
  CHECK(location_bin(1e9f, 640) == 999);
  CHECK(location_centre(52.0f, 640) == Approx(33.599998474121094));
  for (int bin = 0; bin < kLocationBins; ++bin) {
    CHECK(location_bin(location_centre(static_cast<float>(bin), 768), 768) == bin);
  }
}

}  // namespace
}  // namespace florence2
