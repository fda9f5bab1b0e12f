// Which files hold the weights, and shards that belong together or do not (docs/weights.md).
#include "weights/tensor_source.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "tests/checkpoint_file.hpp"
#include "tests/temp_folder.hpp"

namespace florence2 {
namespace {

using Catch::Matchers::Contains;
using test::CheckpointFile;
using test::TempFolder;
using test::test_value;

constexpr const char* kIndexName = "model.safetensors.index.json";

std::string file_with(const std::vector<std::string>& names) {
  CheckpointFile file;
  for (const std::string& name : names) file.add(name, {5}, DType::f32);
  return file.bytes();
}

/// An index of "tensor": "shard" pairs.
std::string index_of(const std::string& pairs) {
  return R"({"metadata":{"total_size":60},"weight_map":{)" + pairs + "}}";
}

Result<TensorSource> open(const TempFolder& folder) {
  return TensorSource::open(folder.path(), "model", "pytorch_model");
}

void check_values(const TensorSource& source, const std::string& name) {
  const TensorInfo* info = source.find(name);
  REQUIRE(info != nullptr);
  float values[3];
  REQUIRE(source.read(*info, 2 * sizeof(float), std::as_writable_bytes(std::span(values))));
  for (int i = 0; i < 3; ++i) CHECK(values[i] == test_value(name, i + 2));
}

TEST_CASE("Shards are read as one checkpoint", "[weights]") {
  const TempFolder folder;
  folder.write("a.safetensors", file_with({"one", "two"}));
  folder.write("b.safetensors", file_with({"three"}));
  const std::string index =
      folder.write(kIndexName, index_of(R"("one":"a.safetensors","two":"a.safetensors","three":"b.safetensors")"));
  const auto source = open(folder);
  INFO((source ? "" : source.error().text()));
  REQUIRE(source);
  CHECK(source->path() == index);
  CHECK(source->tensors().size() == 3);
  for (const char* name : {"one", "two", "three"}) check_values(*source, name);
  CHECK(source->path_of(*source->find("three")) == folder.file("b.safetensors"));
  CHECK(source->find("four") == nullptr);
}

TEST_CASE("One file goes before shards", "[weights]") {
  const TempFolder folder;
  folder.write("model.safetensors", file_with({"whole"}));
  folder.write(kIndexName, index_of(R"("one":"a.safetensors")"));
  const auto source = open(folder);
  REQUIRE(source);
  check_values(*source, "whole");
}

struct BadIndex {
  std::string index;
  std::string message;
};

TEST_CASE("An index that does not fit its shards is refused", "[weights]") {
  const auto bad = GENERATE(values<BadIndex>({
      {index_of(R"("one":"../../etc/passwd")"), "shard name \"../../etc/passwd\" leaves the model folder"},
      {index_of(R"("one":"/etc/passwd")"), "shard name \"/etc/passwd\" leaves the model folder"},
      {index_of(R"("one":"..")"), "shard name \"..\" leaves the model folder"},
      {index_of(R"("one":"")"), "shard name \"\" leaves the model folder"},
      {index_of(R"("one":"a\u0000.safetensors")"), "leaves the model folder"},
      {index_of(R"("one":"sub/a.safetensors")"), "shard name \"sub/a.safetensors\" leaves the model folder"},
      {index_of(R"("one":"a.safetensors","two":"none.safetensors","three":"none.safetensors")"),
       "shard \"none.safetensors\" (holds 2 tensors) is missing"},
      {index_of(R"("one":"a.safetensors","four":"a.safetensors")"),
       "tensor \"four\" is missing, which the index says is here"},
      {index_of(R"("one":"a.safetensors","two":"twice.safetensors")"), "tensor \"two\" is in two shards"},
      {index_of(R"("one":7)"), "weight_map: \"one\" is a number, expected a file name"},
      {index_of(""), "weight_map lists no tensors"},
      {R"({"weight_map":[]})", "\"weight_map\" is missing or not an object"},
      {"[]", "\"weight_map\" is missing or not an object"},
      {"{", "unexpected end"},
  }));
  const TempFolder folder;
  folder.write("a.safetensors", file_with({"one", "two"}));
  folder.write("twice.safetensors", file_with({"two"}));
  folder.write(kIndexName, bad.index);
  const auto source = open(folder);
  INFO(bad.index);
  REQUIRE_FALSE(source);
  CHECK(source.error().code == ErrorCode::model);
  CHECK_THAT(source.error().where, Contains(folder.path()));
  CHECK_THAT(source.error().message, Contains(bad.message));
}

TEST_CASE("Too many shards are refused before any is opened", "[weights]") {
  const TempFolder folder;
  std::string pairs;
  for (int i = 0; i <= 1024; ++i) {
    pairs += (i > 0 ? ",\"t" : "\"t") + std::to_string(i) + R"(":"s)" + std::to_string(i) + "\"";
  }
  folder.write(kIndexName, index_of(pairs));
  const auto source = open(folder);
  REQUIRE_FALSE(source);
  CHECK(source.error().message == "more than 1024 shards");
}

}  // namespace
}  // namespace florence2
