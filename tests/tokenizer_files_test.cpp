// Damaged and hostile tokenizer files: each is refused with its code and message, or loads and works.

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/support.hpp"
#include "tests/temp_folder.hpp"
#include "tokenizer/byte_alphabet.hpp"
#include "tokenizer/florence_tokens.hpp"
#include "tokenizer/tokenizer.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;
using test::TempFolder;

json::Value& member(json::Value& object, std::string_view key) {
  for (auto& [name, value] : *object.object()) {
    if (name == key) return value;
  }
  return object.object()->emplace_back(std::string(key), json::Value()).second;
}

void remove_member(json::Value& object, std::string_view key) {
  std::erase_if(*object.object(), [&](const json::Member& m) { return m.first == key; });
}

json::Value& vocab_of(json::Value& document) { return member(member(document, "model"), "vocab"); }
json::Value& merges_of(json::Value& document) { return member(member(document, "model"), "merges"); }

json::Value added_token(std::int64_t id, std::string content) {
  return json::Object{{"id", id}, {"content", std::move(content)}, {"special", true}};
}

/// The smallest vocabulary: <s> 0, <pad> 1, </s> 2, <unk> 3, the 256 bytes from 4 on, "he" 260. Microsoft's layout.
json::Value small_document() {
  json::Object vocab{{"<s>", 0}, {"<pad>", 1}, {"</s>", 2}, {"<unk>", 3}};
  for (const std::string& character : byte_alphabet()) {
    vocab.emplace_back(character, static_cast<std::int64_t>(vocab.size()));
  }
  vocab.emplace_back("he", 260);
  return json::Object{{"added_tokens", json::Array{added_token(0, "<s>"), added_token(2, "</s>")}},
                      {"normalizer", nullptr},
                      {"pre_tokenizer", json::Object{{"type", "ByteLevel"}, {"add_prefix_space", false}}},
                      {"model", json::Object{{"type", "BPE"}, {"vocab", vocab}, {"merges", json::Array{"h e"}}}}};
}

constexpr std::int32_t kSmallSize = 261;

/// Adds the Florence tokens to the vocabulary, from `first` on.
void add_florence_tokens(json::Value& document, std::int64_t first = kSmallSize) {
  for (const std::string& name : florence_tokens()) vocab_of(document).object()->emplace_back(name, first++);
}

TEST_CASE("the smallest vocabulary loads, and the Florence tokens follow its largest id") {
  TempFolder folder;
  folder.write("tokenizer.json", json::dump(small_document()));
  const auto tokenizer = Tokenizer::load(folder.path());
  REQUIRE(tokenizer);
  CHECK(tokenizer->size() == kSmallSize + 1024);
  CHECK(tokenizer->id_of("<od>") == kSmallSize);
  CHECK(tokenizer->location_base() == kSmallSize + 4);
  CHECK(tokenizer->id_of("<and>") == kSmallSize + 1023);
  CHECK(*tokenizer->encode("he<s>") == std::vector<std::int32_t>{0, 260, 0, 2});
}

TEST_CASE("files that differ in form only load alike") {
  const std::function<void(json::Value&)> changes[] = {
      [](json::Value& d) {
        merges_of(d) = json::Array{json::Value(json::Array{"h", "e"})};
      },
      [](json::Value& d) { remove_member(member(d, "model"), "type"); },
      [](json::Value& d) { remove_member(d, "normalizer"); },
      [](json::Value& d) { member(member(d, "model"), "continuing_subword_prefix") = ""; },
      [](json::Value& d) { member(member(d, "model"), "dropout") = nullptr; },
      [](json::Value& d) { member(member(d, "pre_tokenizer"), "use_regex") = true; },
      [](json::Value& d) { member(d, "added_tokens").array()->push_back(added_token(0, "<s>")); },
      [](json::Value& d) { add_florence_tokens(d); }};
  for (const auto& change : changes) {
    json::Value document = small_document();
    change(document);
    TempFolder folder;
    folder.write("tokenizer.json", json::dump(document));
    const auto tokenizer = Tokenizer::load(folder.path());
    INFO((tokenizer ? "" : tokenizer.error().text()));
    REQUIRE(tokenizer);
    CHECK(*tokenizer->encode("he<loc_0>") == std::vector<std::int32_t>{0, 260, kSmallSize + 4, 2});
    CHECK(tokenizer->is_special(kSmallSize + 4));
  }
}

struct Damage {
  std::function<void(json::Value&)> apply;
  std::string message;  // without the path
};

/// Model type, pre-tokenizer, normaliser: row 37 of the table of bad inputs.
std::vector<Damage> wrong_kinds() {
  return {
      {[](json::Value& d) { d = json::Array(); }, "expected an object, found an array"},
      {[](json::Value& d) { remove_member(d, "model"); }, "\"model\" is missing or not an object"},
      {[](json::Value& d) { member(member(d, "model"), "type") = "Unigram"; },
       "model type \"Unigram\" not supported; expected \"BPE\""},
      {[](json::Value& d) { member(member(d, "model"), "type") = 7; },
       "model type a number not supported; expected \"BPE\""},
      {[](json::Value& d) { member(member(d, "model"), "dropout") = 0.1; }, "model.dropout is not supported"},
      {[](json::Value& d) { member(member(d, "model"), "end_of_word_suffix") = "</w>"; },
       "model.end_of_word_suffix is not supported"},
      {[](json::Value& d) { member(member(d, "model"), "byte_fallback") = true; },
       "model.byte_fallback is not supported"},
      {[](json::Value& d) {
         member(d, "normalizer") = json::Object{{"type", "NFC"}};
       },
       "normalizer \"NFC\" not supported; expected none"},
      {[](json::Value& d) {
         member(d, "pre_tokenizer") = json::Object{{"type", "Whitespace"}};
       },
       "pre-tokenizer \"Whitespace\" not supported; expected \"ByteLevel\""},
      {[](json::Value& d) { remove_member(d, "pre_tokenizer"); },
       "pre-tokenizer none not supported; expected \"ByteLevel\""},
      {[](json::Value& d) { member(member(d, "pre_tokenizer"), "add_prefix_space") = true; },
       "pre_tokenizer.add_prefix_space is not supported"},
      {[](json::Value& d) { member(member(d, "pre_tokenizer"), "use_regex") = false; },
       "pre_tokenizer.use_regex is off, which is not supported"},
      {[](json::Value& d) { member(d, "added_tokens") = "none"; }, "added_tokens: expected an array, found a string"},
      {[](json::Value& d) {
         member(d, "added_tokens").array()->push_back(json::Object{{"content", "<x>"}});
       },
       "added_tokens[2]: expected an object with a whole number \"id\" and a string \"content\""},
      {[](json::Value& d) { member(d, "added_tokens").array()->push_back(added_token(261, "")); },
       "added_tokens[2]: the token is empty"},
      {[](json::Value& d) { member((*member(d, "added_tokens").array())[0], "single_word") = true; },
       "added_tokens[0] \"<s>\": single_word is not supported"},
  };
}

/// Row 38.
std::vector<Damage> bad_merges() {
  return {
      {[](json::Value& d) { remove_member(member(d, "model"), "merges"); }, "model.merges is missing or not an array"},
      {[](json::Value& d) { merges_of(d).array()->push_back("a b"); },
       "merges[1] \"a b\": \"ab\" is not in the vocabulary"},
      {[](json::Value& d) { merges_of(d).array()->push_back("ä h"); },
       "merges[1] \"ä h\": \"äh\" is not in the vocabulary"},
      {[](json::Value& d) { merges_of(d).array()->push_back("東 h"); },
       "merges[1] \"東 h\": \"東\" is not in the vocabulary"},
      {[](json::Value& d) { merges_of(d).array()->push_back("h 東"); },
       "merges[1] \"h 東\": \"東\" is not in the vocabulary"},
      {[](json::Value& d) { merges_of(d).array()->push_back("he"); }, "merges[1]: expected \"a b\" or [\"a\", \"b\"]"},
      {[](json::Value& d) { merges_of(d).array()->push_back("h e x"); },
       "merges[1]: expected \"a b\" or [\"a\", \"b\"]"},
      {[](json::Value& d) { merges_of(d).array()->push_back(json::Array{"h"}); },
       "merges[1]: expected \"a b\" or [\"a\", \"b\"]"},
      {[](json::Value& d) {
         merges_of(d).array()->push_back(json::Array{"h", 1});
       },
       "merges[1]: expected \"a b\" or [\"a\", \"b\"]"},
      // longer than every token of the vocabulary, which overran a buffer elsewhere
      {[](json::Value& d) { merges_of(d).array()->push_back("h " + std::string(5000, 'e')); },
       "merges[1] \"h " + std::string(58, 'e') + "…\" (5002 bytes): \"" + std::string(60, 'e') +
           "…\" (5000 bytes) is not in the vocabulary"},
  };
}

/// Row 39.
std::vector<Damage> bad_ids() {
  return {
      {[](json::Value& d) { vocab_of(d) = json::Array(); }, "model.vocab is missing or not an object"},
      {[](json::Value& d) { member(vocab_of(d), "he") = "260"; },
       "token \"he\": its id must be a whole number, found a string"},
      {[](json::Value& d) { member(vocab_of(d), "he") = 260.5; },
       "token \"he\": its id must be a whole number, found a number"},
      {[](json::Value& d) { member(vocab_of(d), "he") = -1; },
       "token \"he\" has id -1, which is out of range (0 to 2^31 - 2)"},
      {[](json::Value& d) { member(vocab_of(d), "he") = std::int64_t{1} << 40; },
       "token \"he\" has id 1099511627776, which is out of range (0 to 2^31 - 2)"},
      {[](json::Value& d) { member(vocab_of(d), "he") = 2'000'000'000; },
       "token \"he\" has id 2000000000, but there are 261 tokens: ids must run from 0 without gaps"},
      {[](json::Value& d) { member(vocab_of(d), "he") = 3; }, "token \"he\" has id 3, which token \"<unk>\" has too"},
      {[](json::Value& d) { member(d, "added_tokens").array()->push_back(added_token(261, "<pad>")); },
       "token \"<pad>\" has id 261, but it was listed with id 1 before"},
      {[](json::Value& d) { member(d, "added_tokens").array()->push_back(added_token(1, "<x>")); },
       "token \"<x>\" has id 1, which token \"<pad>\" has too"},
      {[](json::Value& d) { add_florence_tokens(d, kSmallSize + 1); },
       "token \"<and>\" has id 1285, but there are 1285 tokens: ids must run from 0 without gaps"},
  };
}

void rename(json::Value& object, std::string_view from, std::string to) {
  for (auto& [name, value] : *object.object()) {
    if (name == from) name = std::move(to);
  }
}

/// Row 40, and the other tokens that must be there.
std::vector<Damage> missing_tokens() {
  return {
      {[](json::Value& d) {
         add_florence_tokens(d);
         rename(vocab_of(d), "<loc_7>", "<x>");
       },
       "location token <loc_7> is missing"},
      {[](json::Value& d) { vocab_of(d).object()->emplace_back("<loc_0>", kSmallSize); }, "token <od> is missing"},
      {[](json::Value& d) {
         add_florence_tokens(d);
         rename(vocab_of(d), "<and>", "<x>");
       },
       "token <and> is missing"},
      {[](json::Value& d) {
         add_florence_tokens(d);
         rename(vocab_of(d), "<loc_7>", "<x>");
         rename(vocab_of(d), "<loc_8>", "<loc_7>");
         rename(vocab_of(d), "<x>", "<loc_8>");
       },
       "location token <loc_7> is out of order: it has id 273, expected 272"},
      {[](json::Value& d) {
         rename(vocab_of(d), "</s>", "<x>");
         member(d, "added_tokens").array()->pop_back();
       },
       "token \"</s>\" is missing"},
      {[](json::Value& d) { rename(vocab_of(d), "Ġ", "<x>"); }, "token \"Ġ\" is missing"},
  };
}

void check_refused(const std::vector<Damage>& damages) {
  for (const Damage& damage : damages) {
    json::Value document = small_document();
    damage.apply(document);
    TempFolder folder;
    folder.write("tokenizer.json", json::dump(document));
    const auto tokenizer = Tokenizer::load(folder.path());
    INFO(damage.message);
    REQUIRE_FALSE(tokenizer);
    CHECK(tokenizer.error().code == ErrorCode::model);
    CHECK(tokenizer.error().text() == folder.path() + "/tokenizer.json: " + damage.message);
  }
}

TEST_CASE("row 37: other kinds of tokenizer are refused") { check_refused(wrong_kinds()); }
TEST_CASE("row 38: merges outside the vocabulary are refused") { check_refused(bad_merges()); }
TEST_CASE("row 39: duplicate and non-dense ids are refused") { check_refused(bad_ids()); }
TEST_CASE("row 40: missing and out-of-order tokens are refused") { check_refused(missing_tokens()); }

TEST_CASE("row 36: a folder without tokenizer.json") {
  TempFolder folder;
  const std::string message = folder.path() + ": tokenizer.json is missing; a model folder needs it beside config.json";
  auto tokenizer = Tokenizer::load(folder.path());
  REQUIRE_FALSE(tokenizer);
  CHECK(tokenizer.error().code == ErrorCode::model);
  CHECK(tokenizer.error().text() == message);

  folder.write("vocab.json", "{}");
  tokenizer = Tokenizer::load(folder.path());
  REQUIRE_FALSE(tokenizer);
  CHECK(tokenizer.error().code == ErrorCode::model);
  CHECK(tokenizer.error().text() == message + " (found vocab.json, but no merges.txt beside it)");

  tokenizer = Tokenizer::load(folder.path() + "/absent");
  REQUIRE_FALSE(tokenizer);
  CHECK(tokenizer.error().code == ErrorCode::not_found);
  CHECK(tokenizer.error().where == folder.path() + "/absent/tokenizer.json");

  fs::create_directory(folder.path() + "/tokenizer.json");
  tokenizer = Tokenizer::load(folder.path());
  REQUIRE_FALSE(tokenizer);
  CHECK(tokenizer.error().code == ErrorCode::not_found);
}

TEST_CASE("added_tokens.json adds tokens and must agree with tokenizer.json") {
  TempFolder folder;
  folder.write("tokenizer.json", json::dump(small_document()));
  const std::string path = folder.path() + "/added_tokens.json";

  json::Object members{{"</s>", 2}};
  for (const std::string& name : florence_tokens()) {
    members.emplace_back(name, static_cast<std::int64_t>(kSmallSize + members.size() - 1));
  }
  members.emplace_back("<mine>", kSmallSize + 1024);
  folder.write("added_tokens.json", json::dump(members));
  auto tokenizer = Tokenizer::load(folder.path());
  REQUIRE(tokenizer);
  CHECK(*tokenizer->encode("<mine><and>") == std::vector<std::int32_t>{0, 1285, 1284, 2});
  CHECK_FALSE(tokenizer->is_special(1285));
  CHECK(tokenizer->is_special(1284));

  struct Row {
    std::string text, message;
  };
  const Row rows[] = {
      {R"({"<pad>": 5})", "token \"<pad>\" has id 5, but it was listed with id 1 before"},
      {R"({"<pad>": "1"})", "token \"<pad>\": its id must be a whole number, found a string"},
      {R"([])", "expected an object, found an array"},
  };
  for (const Row& row : rows) {
    folder.write("added_tokens.json", row.text);
    tokenizer = Tokenizer::load(folder.path());
    INFO(row.text);
    REQUIRE_FALSE(tokenizer);
    CHECK(tokenizer.error().code == ErrorCode::model);
    CHECK(tokenizer.error().text() == path + ": " + row.message);
  }
  folder.write("added_tokens.json", "{");
  tokenizer = Tokenizer::load(folder.path());
  REQUIRE_FALSE(tokenizer);
  CHECK(tokenizer.error().code == ErrorCode::model);
  CHECK(tokenizer.error().where == path);
}

TEST_CASE("a token that strips on its right, and overlapping added tokens") {
  json::Value document = small_document();
  json::Array& added = *member(document, "added_tokens").array();
  added.push_back(added_token(261, "<a"));
  added.push_back(added_token(262, "<ab>"));
  member(added.back(), "rstrip") = true;
  TempFolder folder;
  folder.write("tokenizer.json", json::dump(document));
  const auto tokenizer = Tokenizer::load(folder.path());
  REQUIRE(tokenizer);
  const std::int32_t h = *tokenizer->id_of("h"), space = *tokenizer->id_of("Ġ"), b = *tokenizer->id_of("b");
  CHECK(*tokenizer->encode("<ab> \n h<ab <ab") == std::vector<std::int32_t>{0, 262, h, 261, b, space, 261, b, 2});
}

TEST_CASE("a token with characters outside the byte alphabet stands for itself") {
  json::Value document = small_document();
  member(document, "added_tokens").array()->push_back(added_token(261, "東 x"));
  TempFolder folder;
  folder.write("tokenizer.json", json::dump(document));
  const auto tokenizer = Tokenizer::load(folder.path());
  REQUIRE(tokenizer);
  CHECK(tokenizer->piece(261) == "東 x");
  CHECK(tokenizer->decode(*tokenizer->encode("h東 xe")) == "<s>h東 xe</s>");
}

TEST_CASE("a merge that is listed twice has its last rank") {
  json::Value document = small_document();
  vocab_of(document).object()->emplace_back("eh", 261);
  merges_of(document) = json::Array{"h e", "e h", "h e"};
  TempFolder folder;
  folder.write("tokenizer.json", json::dump(document));
  const auto tokenizer = Tokenizer::load(folder.path());
  REQUIRE(tokenizer);
  const std::int32_t h = *tokenizer->id_of("h");
  CHECK(*tokenizer->encode("heh") == std::vector<std::int32_t>{0, h, 261, 2});
}

/// What a file of any content may do: be refused as damaged, or load and then work.
void check_survives(const TempFolder& folder, std::string_view text) {
  folder.write("tokenizer.json", text);
  const auto tokenizer = Tokenizer::load(folder.path());
  if (!tokenizer) {
    CHECK(tokenizer.error().code == ErrorCode::model);
    CHECK_FALSE(tokenizer.error().message.empty());
    return;
  }
  const std::string prompt = "he <loc_5>h<mask> \u3000é";
  const auto ids = tokenizer->encode(prompt);
  REQUIRE(ids);
  for (const std::int32_t id : *ids) CHECK((id >= 0 && id < tokenizer->size()));
}

TEST_CASE("a tokenizer.json cut anywhere is refused") {
  const std::string text = json::dump(small_document());
  TempFolder folder;
  for (std::size_t size = 0; size < text.size(); size += 7) {
    folder.write("tokenizer.json", std::string_view(text).substr(0, size));
    const auto tokenizer = Tokenizer::load(folder.path());
    REQUIRE_FALSE(tokenizer);
    CHECK(tokenizer.error().code == ErrorCode::model);
  }
}

TEST_CASE("a tokenizer.json with changed bytes is refused or works") {
  const std::string text = json::dump(small_document());
  TempFolder folder;
  test::Random random(2);
  for (int round = 0; round < 500; ++round) {
    std::string damaged = text;
    for (std::uint64_t n = 1 + random.bits() % 3; n > 0; --n) {
      damaged[random.bits() % damaged.size()] = static_cast<char>(random.bits());
    }
    check_survives(folder, damaged);
  }
}

}  // namespace
}  // namespace florence2
