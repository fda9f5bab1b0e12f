// Headers as they should be, and every way in which they have been seen damaged (docs/design.md, "Errors", rows 1-24).
#include "weights/safetensors.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/temp_folder.hpp"

namespace florence2 {
namespace {

using Catch::Matchers::Contains;
using std::string_literals::operator""s;

std::string length_prefix(std::uint64_t length) {
  std::string prefix;
  for (int i = 0; i < 8; ++i) prefix += static_cast<char>(length >> (8 * i));
  return prefix;
}

/// A file with this header and as many data bytes.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  return length_prefix(header.size()) + header + std::string(data_bytes, '\x3C');
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

TEST_CASE("A well-formed file is listed in file order", "[weights]") {
  const test::TempFolder folder;
  const std::string header = R"({"__metadata__":{"format":"pt"},)" + entry("b", "F16", "[2,3]", "[4,16]") + "," +
                             entry("a", "F32", "[]", "[0,4]") + "," + entry("none", "U8", "[0,7]", "[16,16]") + "}   ";
  const auto file = open_safetensors(folder.write("x.safetensors", file_of(header, 16)));
  REQUIRE(file);
  REQUIRE(file->tensors.size() == 3);
  const TensorInfo& a = file->tensors[0];
  CHECK(a.name == "a");
  CHECK(a.shape.empty());
  CHECK(a.bytes == 4);
  CHECK(a.offset == static_cast<std::int64_t>(8 + header.size()));
  const TensorInfo& b = file->tensors[1];
  CHECK(b.name == "b");
  CHECK(b.dtype == "F16");
  CHECK(b.shape == std::vector<std::int64_t>{2, 3});
  CHECK(b.offset == a.offset + 4);
  CHECK(file->tensors[2].name == "none");
  CHECK(file->tensors[2].bytes == 0);
  CHECK(file->file.size() == static_cast<std::int64_t>(8 + header.size() + 16));
}

TEST_CASE("Unneeded dtypes of every width are listed", "[weights]") {
  const test::TempFolder folder;
  const std::string header = "{" + entry("i", "I64", "[2]", "[0,16]") + "," + entry("f", "F4", "[4]", "[16,18]") + "," +
                             entry("e", "F8_E4M3", "[3]", "[18,21]") + "}";
  CHECK(open_safetensors(folder.write("x", file_of(header, 21))));
}

struct BadFile {
  std::string content;
  std::string message;
};

void check_refused(const BadFile& bad) {
  const test::TempFolder folder;
  const std::string path = folder.write("model.safetensors", bad.content);
  const auto file = open_safetensors(path);
  INFO(bad.content.substr(0, 200));
  REQUIRE_FALSE(file);
  CHECK(file.error().code == ErrorCode::model);
  CHECK(file.error().where == path);
  CHECK_THAT(file.error().message, Contains(bad.message));
}

TEST_CASE("Files that are no safetensors are named for what they are", "[weights]") {
  check_refused(GENERATE(values<BadFile>({
      {"", "file is empty; the download did not finish?"},
      {"abc", "too short for a safetensors header (3 bytes, need 8)"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 463221266\n",
       "this is a Git LFS pointer, not the weights; run `git lfs pull`"},
      {"<!DOCTYPE html><html><body>404</body></html>", "looks like HTML, not weights"},
      {"\n  <html lang=en>sign in</html>", "looks like HTML, not weights"},
      {"{\"error\":\"Repository not found\"}", "looks like JSON text, not weights"},
      {"GGUF\3\0\0\0\1\0\0\0"s, "this is GGUF; only safetensors and torch files are read"},
      {"PK\3\4\0\0\0\0\0\0archive/data.pkl"s, "this is a torch or pickle file under the name of another"},
      {"\x80\2}q\0(X\7\0\0\0weights"s, "this is a torch or pickle file"},
      {"\x08\x07\x12\x07pytorch\x1a\x05"s, "this is ONNX; only safetensors and torch files are read"},
      {std::string(32, '\xFF'), "header says 18446744073709551615 bytes, limit 16 MiB"},
      {length_prefix(std::uint64_t{1} << 63), "header says 9223372036854775808 bytes, limit 16 MiB"},
      {length_prefix((16 << 20) + 1) + "{", "header says 16777217 bytes, limit 16 MiB"},
      {length_prefix(100) + "{}", "header says 100 bytes but the file has 10; truncated?"},
      {length_prefix(0), "header is not JSON text (it is empty)"},
  })));
}

TEST_CASE("Headers that are not strict JSON are refused", "[weights]") {
  const std::string deep(100'000, '[');
  check_refused(GENERATE_COPY(values<BadFile>({
      {file_of("[]", 0), "header is not JSON text (byte 0x5b at 0, expected '{')"},
      {file_of(" {}", 0), "header is not JSON text (byte 0x20 at 0, expected '{')"},
      {file_of("\x80{}", 0), "header is not JSON text (byte 0x80 at 0"},
      {file_of("{}\n", 0), "header is not JSON text (byte 0x0a at 2, expected '}' and then only spaces)"},
      {file_of("{}\0"s, 0), "header is not JSON text (byte 0x00 at 2"},
      {file_of("{\"a\":\"\xff\"}", 0), "header JSON: invalid string: ill-formed UTF-8 byte at byte 6"},
      {file_of("{,}", 0), "header JSON: unexpected ',' at byte 1"},
      {file_of("{\"a\":" + deep + "}", 0), "header JSON: nested deeper than 64 at byte 68"},
      {file_of("{" + entry("w", "U8", "[1]", "[0,1]") + "," + entry("w", "U8", "[1]", "[0,1]") + "}", 1),
       "\"w\" is listed twice"},
      {file_of(R"({"w":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,1]}})", 1),
       "\"dtype\" is listed twice"},
      {file_of(R"({"__metadata__":[]})", 0), "__metadata__ is an array, expected an object"},
      {file_of(R"({"__metadata__":{"a":1}})", 0), "__metadata__: \"a\" is a number, expected a string"},
  })));
}

TEST_CASE("Entries that do not make sense are refused by name", "[weights]") {
  const auto with = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return file_of("{" + entry("w", dtype, shape, offsets) + "}", 24);
  };
  check_refused(GENERATE_COPY(values<BadFile>({
      {file_of("{\"w\":7}", 0), "tensor \"w\": \"dtype\" is missing or not a string"},
      {file_of(R"({"w":{"shape":[1],"data_offsets":[0,1]}})", 1), "tensor \"w\": \"dtype\" is missing"},
      {file_of(R"({"w":{"dtype":"U8","data_offsets":[0,1]}})", 1), "tensor \"w\": \"shape\" is missing"},
      {file_of(R"({"w":{"dtype":"U8","shape":[1]}})", 1), "tensor \"w\": \"data_offsets\" is missing"},
      {with("Q4_K", "[6]", "[0,24]"), "tensor \"w\" has dtype \"Q4_K\"; supported: F32, F16, BF16"},
      {with("F32", "6", "[0,24]"), "tensor \"w\": \"shape\" is a number, expected an array"},
      {with("F32", "[2,-3]", "[0,24]"), "tensor \"w\": shape[1] is not a whole number in range (-3)"},
      {with("F32", "[2,1.5]", "[0,24]"), "tensor \"w\": shape[1] is not a whole number in range (1.5)"},
      {with("F32", "[2,3.0]", "[0,24]"), "tensor \"w\": shape[1] is not a whole number in range"},
      {with("F32", "[2,3e0]", "[0,24]"), "tensor \"w\": shape[1] is not a whole number in range"},
      {with("F32", "[-0,3]", "[0,0]"), "tensor \"w\": shape[0] is not a whole number in range"},
      {with("F32", "[6,\"1\"]", "[0,24]"), "tensor \"w\": shape[1] is not a whole number in range (\"1\")"},
      {with("F32", "[9007199254740993]", "[0,24]"), "tensor \"w\": shape[0] is not a whole number in range"},
      {with("F32", "[18446744073709551617]", "[0,24]"), "tensor \"w\": shape[0] is not a whole number in range"},
      {with("F32", "[4294967296,4294967296]", "[0,24]"), "tensor \"w\": size overflows 64 bits"},
      {with("F32", "[1,1,1,1,1,1,1,1,6]", "[0,24]"), "tensor \"w\": shape has 9 axes, limit 8"},
      {with("F4", "[3]", "[0,24]"), "tensor \"w\": its 12 bits do not fill whole bytes"},
      {with("F32", "[5]", "[0,24]"), "tensor \"w\": shape needs 20 bytes, offsets cover 24"},
      {with("F32", "[6]", "[24,0]"), "tensor \"w\": shape needs 24 bytes, offsets cover -24"},
      {with("F32", "[6]", "[0,24,48]"), "tensor \"w\": data_offsets has 3 entries, expected 2"},
      {with("F32", "[6]", "[-8,16]"), "tensor \"w\": data_offsets[0] is not a whole number in range (-8)"},
      {with("F32", "[6]", "[0,9007199254740993]"), "tensor \"w\": data_offsets[1] is not a whole number in range"},
      {file_of("{" + entry(std::string(513, 'n'), "U8", "[1]", "[0,1]") + "}", 1), "has a name of more than 512 bytes"},
  })));
}

TEST_CASE("Data must be covered exactly once", "[weights]") {
  const auto two = [](const std::string& first, const std::string& second, std::size_t bytes) {
    return file_of("{" + entry("a", "U8", "[8]", first) + "," + entry("b", "U8", "[8]", second) + "}", bytes);
  };
  check_refused(GENERATE_COPY(values<BadFile>({
      {two("[0,8]", "[4,12]", 16), "tensor \"b\" begins at 4, expected 8"},
      {two("[0,8]", "[0,8]", 8), "tensor \"b\" begins at 0, expected 8"},
      {two("[0,8]", "[9,17]", 17), "tensor \"b\" begins at 9, expected 8"},
      {two("[8,16]", "[16,24]", 24), "tensor \"a\" begins at 8, expected 0"},
      {two("[0,8]", "[8,16]", 17), "1 bytes after the last tensor, expected none"},
      {two("[0,8]", "[8,16]", 15), "file ends at 129, tensor \"b\" needs up to 130; download again"},
      {two("[0,8]", "[8,16]", 3), "file ends at 117, tensor \"a\" needs up to 122; download again"},
      {file_of("{" + entry("a", "U8", "[8]", "[0,8]") + "," + entry("z", "U8", "[0]", "[4,4]") + "}", 8),
       "tensor \"z\" begins at 4, expected 8"},
      {file_of("{}", 5), "5 bytes after the last tensor"},
  })));
}

TEST_CASE("The number of tensors is limited", "[weights]") {
  std::string header = "{";
  for (int i = 0; i <= 65'536; ++i) header += (i > 0 ? "," : "") + entry(std::to_string(i), "U8", "[0]", "[0,0]");
  check_refused({file_of(header + "}", 0), "65537 tensors, limit 65536"});
}

TEST_CASE("A file cut anywhere is refused", "[weights]") {
  const std::string whole = file_of("{" + entry("a", "U8", "[8]", "[0,8]") + "}", 8);
  const test::TempFolder folder;
  CHECK(open_safetensors(folder.write("x", whole)));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto file = open_safetensors(folder.write("x", whole.substr(0, size)));
    INFO(size);
    REQUIRE_FALSE(file);
    CHECK(file.error().code == ErrorCode::model);
  }
}

TEST_CASE("Any flipped bit of a header is either refused or harmless", "[weights]") {
  const std::string header =
      "{" + entry("ab", "F16", "[2,2]", "[0,8]") + "," + entry("c", "F32", "[1]", "[8,12]") + "}";
  const std::string whole = file_of(header, 12);
  const test::TempFolder folder;
  int accepted = 0;
  for (std::size_t bit = 0; bit < 8 * (8 + header.size()); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto file = open_safetensors(folder.write("x", flipped));
    if (!file) continue;
    ++accepted;  // a letter of a name, F16 as I16, …
    for (const TensorInfo& info : file->tensors) {
      CHECK((info.offset >= 8 && info.bytes >= 0 && info.offset + info.bytes <= file->file.size()));
    }
  }
  CHECK(accepted > 0);
}

TEST_CASE("Missing and irregular files keep their own codes", "[weights]") {
  const test::TempFolder folder;
  CHECK(open_safetensors(folder.file("none")).error().code == ErrorCode::not_found);
  const auto directory = open_safetensors(folder.path());
  REQUIRE_FALSE(directory);
  CHECK(directory.error().code == ErrorCode::not_found);
  CHECK(directory.error().message == "is a directory, not a regular file");
}

}  // namespace
}  // namespace florence2
