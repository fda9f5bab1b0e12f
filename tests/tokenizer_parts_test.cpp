// Tokenizers without tokenizer.json: vocab.json, merges.txt and the files that hold added and special tokens.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/forms.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"
#include "tokenizer/byte_alphabet.hpp"
#include "tokenizer/florence_tokens.hpp"
#include "tokenizer/tokenizer.hpp"

namespace florence2 {
namespace {

using Catch::Matchers::Contains;
using Ids = std::vector<std::int32_t>;
using test::TempFolder;

void check_like_reference(const std::string& layout, const std::string& ids_key) {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data: not tested");
    return;
  }
  const std::string directory = *reference + "/model-files/" + layout;
  const TempFolder folder;
  test::write_tokenizer_parts(folder, test::load_json(directory + "/tokenizer.json"));
  const auto tokenizer = Tokenizer::load(folder.path());
  const auto expected = Tokenizer::load(directory);
  INFO((tokenizer ? "" : tokenizer.error().text()));
  REQUIRE(tokenizer);
  REQUIRE(expected);
  REQUIRE(tokenizer->size() == expected->size());
  int unlike = 0;
  for (std::int32_t id = 0; id < tokenizer->size(); ++id) {
    unlike += tokenizer->piece(id) != expected->piece(id) || tokenizer->is_special(id) != expected->is_special(id);
  }
  CHECK(unlike == 0);
  int rows = 0, wrong = 0;
  const json::Value vectors = test::load_json(*reference + "/tokenizer/vectors.json");
  for (const json::Value& row : *test::at(vectors, "encode").array()) {
    const json::Value* ids = row.find(ids_key);
    if (ids == nullptr) ids = row.find("ids");
    const auto found = tokenizer->encode(test::text_of(test::at(row, "text")));
    wrong += !found || *found != test::ids_of(*ids);
    ++rows;
  }
  CHECK(rows > 100);
  CHECK(wrong == 0);
}

TEST_CASE("the published vocabulary in parts gives the reference's ids") {
  SECTION("Hugging Face's, all tokens listed") { check_like_reference("hf", "ids"); }
  SECTION("Microsoft's, Florence tokens appended") { check_like_reference("ms", "ids_without_image_token"); }
}

/// <s> 0, <pad> 1, </s> 2, <unk> 3, the 256 bytes from 4 on, "he" 260, <mask> 261.
json::Object small_vocab() {
  json::Object vocab{{"<s>", 0}, {"<pad>", 1}, {"</s>", 2}, {"<unk>", 3}};
  for (const std::string& character : byte_alphabet()) {
    vocab.emplace_back(character, static_cast<std::int64_t>(vocab.size()));
  }
  vocab.emplace_back("he", 260);
  vocab.emplace_back("<mask>", 261);
  return vocab;
}

TempFolder& with_small_parts(TempFolder& folder) {
  folder.write("vocab.json", json::dump(small_vocab()));
  folder.write("merges.txt", "#version: 0.2\r\nh e\r\n");
  return folder;
}

TEST_CASE("BART's special tokens stand in where no file names them") {
  TempFolder folder;
  const auto tokenizer = Tokenizer::load(with_small_parts(folder).path());
  INFO((tokenizer ? "" : tokenizer.error().text()));
  REQUIRE(tokenizer);
  CHECK(tokenizer->size() == 262 + 1024);
  for (const std::int32_t id : {0, 1, 2, 3, 261, 262}) CHECK(tokenizer->is_special(id));
  CHECK_FALSE(tokenizer->is_special(260));
  // The mask swallows the space before it, not the one after.
  CHECK(*tokenizer->encode("he <mask>he") == Ids{0, 260, 261, 260, 2});
}

TEST_CASE("tokens that a fine-tune added are found in every file that may hold them") {
  TempFolder folder;
  with_small_parts(folder);
  json::Object added;
  std::int64_t next = 262;
  for (const std::string& name : florence_tokens()) added.emplace_back(name, next++);
  added.emplace_back("<plain>", next);
  folder.write("added_tokens.json", json::dump(added));
  folder.write("special_tokens_map.json",
               R"({"mask_token":{"content":"<mask>","lstrip":false,"rstrip":true},"sep_token":null,
                   "additional_special_tokens":["<one>",{"content":"<two>","rstrip":true}]})");
  folder.write("tokenizer_config.json",
               R"({"pad_token":"<pad>","added_tokens_decoder":{"1289":{"content":"<late>","special":true}}})");
  const auto tokenizer = Tokenizer::load(folder.path());
  INFO((tokenizer ? "" : tokenizer.error().text()));
  REQUIRE(tokenizer);
  CHECK(tokenizer->size() == 1290);
  CHECK(tokenizer->id_of("<plain>") == 1286);
  CHECK(tokenizer->id_of("<one>") == 1287);
  CHECK(tokenizer->id_of("<two>") == 1288);
  CHECK(tokenizer->is_special(1289));
  CHECK_FALSE(tokenizer->is_special(1286));
  CHECK(*tokenizer->encode("<mask> he<two> he") == Ids{0, 261, 260, 1288, 260, 2});
}

struct BadPart {
  std::string file, content;
  std::string where, message;
};

TEST_CASE("damaged parts are refused by file") {
  const auto bad = GENERATE(values<BadPart>({
      {"vocab.json", "[]", "vocab.json", "expected an object, found an array"},
      {"vocab.json", R"({"<s>":"x"})", "vocab.json", "its id must be a whole number"},
      {"merges.txt", "h e\nq q\n", "merges.txt", "merges[1] \"q q\": \"qq\" is not in the vocabulary"},
      {"merges.txt", "he\n", "merges.txt", "merges[0]: expected"},
      {"added_tokens.json", "[]", "added_tokens.json", "expected an object, found an array"},
      {"added_tokens.json", R"({"<s>":9})", "added_tokens.json", "has id 9, but it was listed with id 0"},
      {"special_tokens_map.json", R"({"bos_token":7})", "special_tokens_map.json", "bos_token: expected a token"},
      {"special_tokens_map.json", R"({"additional_special_tokens":[""]})", "special_tokens_map.json",
       "additional_special_tokens: expected a token"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":{"x":"<a>"}})", "special_tokens_map.json",
       "added_tokens_decoder[\"x\"]: expected an id"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":{"4000":"<a>"}})", "vocab.json", "ids must run from 0"},
  }));
  TempFolder folder;
  with_small_parts(folder).write(bad.file, bad.content);
  const auto tokenizer = Tokenizer::load(folder.path());
  INFO(bad.file << " " << bad.content);
  REQUIRE_FALSE(tokenizer);
  CHECK(tokenizer.error().code == ErrorCode::model);
  CHECK(tokenizer.error().where == folder.file(bad.where));
  CHECK_THAT(tokenizer.error().message, Contains(bad.message));
}

}  // namespace
}  // namespace florence2
