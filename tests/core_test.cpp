// JSON, files, 16-bit floats and buffers.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "core/atomic_file.hpp"
#include "core/buffer.hpp"
#include "core/dtype.hpp"
#include "core/file.hpp"
#include "core/json.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"

namespace florence2 {
namespace {

using Catch::Matchers::Contains;
using std::string_literals::operator""s;

struct BadText {
  std::string text;
  std::string message;
};

TEST_CASE("JSON texts outside the strict format are refused, with the byte", "[core]") {
  const BadText bad = GENERATE(values<BadText>({
      {"", "unexpected end of input at byte 0"},
      {"[1,,2]", "unexpected ',' at byte 3"},
      {"[1,]", "unexpected ']' at byte 3"},
      {"{\"a\":}", "unexpected '}' at byte 5"},
      {"{\"a\":1,}", "unexpected '}' at byte 7"},
      {"[1", "unexpected end of input at byte 2"},
      {"[01]", "at byte 2"},
      {"[+1]", "at byte 1"},
      {"[.5]", "at byte 1"},
      {"[NaN]", "at byte 1"},
      {"tru", "invalid literal at byte 3"},
      {"[1] x", "at byte 4"},
      {"[1][2]", "at byte 3"},
      {"// note\n[1]", "at byte 0"},
      {"[1] /* note */", "at byte 4"},
      {"{'a':1}", "at byte 1"},
      {"[\"a\nb\"]", "at byte 3"},
      {"\xEF\xBB\xBF[1]", "byte order mark at byte 0"},
      {"[1]\0"s, "NUL character at byte 3"},
      {"[\"a\0\"]"s, "NUL character at byte 3"},
      {"{\"a\\u0000b\":1}", "a name holds a NUL character"},
      {"[\"\xff\"]", "ill-formed UTF-8 byte at byte 2"},
      {"[\"\xC0\xAF\"]", "at byte 2"},          // overlong '/'
      {"[\"\xE0\x80\xAF\"]", "at byte 3"},      // overlong '/'
      {"[\"\xED\xA0\x80\"]", "at byte 3"},      // surrogate
      {"[\"\xF4\x90\x80\x80\"]", "at byte 3"},  // above U+10FFFF
      {"[\"\\ud800\"]", "surrogate"},
      {"[\"\\udc00\"]", "surrogate"},
      {"[\"\\ud800\\u0041\"]", "surrogate"},
      {"[1e999]", "1e999"},
      {"{\"a\":1,\"b\":2,\"a\":3}", "\"a\" is listed twice in the object that ends at byte 18"},
      {"{\"x\":{\"d\":[],\"d\":[]}}", "\"d\" is listed twice in the object that ends at byte 19"},
      {"{\"\\u0061\":1,\"a\":2}", "\"a\" is listed twice"},
  }));
  const auto value = json::parse(bad.text);
  INFO(bad.text);
  REQUIRE_FALSE(value);
  CHECK(value.error().code == ErrorCode::data);
  CHECK_THAT(value.error().message, Contains(bad.message));
}

TEST_CASE("JSON depth and number of values are bounded while parsing", "[core]") {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
  };
  CHECK(json::parse(nested(64)));
  const auto deep = json::parse(nested(65));
  REQUIRE_FALSE(deep);
  CHECK(deep.error().message == "nested deeper than 64 at byte 64");
  const auto hostile = json::parse(std::string(1'000'000, '['));
  REQUIRE_FALSE(hostile);
  CHECK(hostile.error().message == "nested deeper than 64 at byte 64");
  CHECK(json::parse("[1,2,3]", {.depth = 1, .values = 4}));
  const auto many = json::parse("[1,2,3]", {.depth = 1, .values = 3});
  REQUIRE_FALSE(many);
  CHECK(many.error().message == "more than 3 values at byte 6");
}

TEST_CASE("Only plain whole numbers that fit are integers", "[core]") {
  const auto value = json::parse(
      "[0,-1,9223372036854775807,-9223372036854775808,"
      "-0,1.0,1e3,9223372036854775808,-9223372036854775809,18446744073709551616]");
  REQUIRE(value);
  const json::Array& list = *value->array();
  CHECK(*list[0].integer() == 0);
  CHECK(*list[1].integer() == -1);
  CHECK(*list[2].integer() == std::numeric_limits<std::int64_t>::max());
  CHECK(*list[3].integer() == std::numeric_limits<std::int64_t>::min());
  const double reals[] = {-0.0, 1.0, 1000.0, 0x1p63, -0x1p63, 0x1p64};
  for (std::size_t i = 0; i < 6; ++i) {
    INFO(i);
    CHECK(list[4 + i].integer() == nullptr);
    CHECK(test::number_of(list[4 + i]) == reals[i]);
  }
  CHECK(std::signbit(test::number_of(list[4])));
}

TEST_CASE("JSON values know their kind and keep their order", "[core]") {
  const auto value = json::parse(R"( {"z":null,"a":true,"m":[1,"é😀"],"o":{}} )");
  REQUIRE(value);
  REQUIRE(value->object()->size() == 4);
  CHECK((*value->object())[0].first == "z");
  CHECK(value->find("z")->is_null());
  CHECK(*value->find("a")->boolean());
  CHECK(*(*value->find("m")->array())[1].string() == "é😀");
  CHECK(value->find("absent") == nullptr);
  CHECK(value->find("m")->find("x") == nullptr);
  CHECK(value->find("m")->kind() == "an array");
  CHECK(value->find("o")->kind() == "an object");
  CHECK(value->find("a")->kind() == "a boolean");
  CHECK(value->find("z")->kind() == "null");
  CHECK(json::dump(*value) == R"({"z":null,"a":true,"m":[1,"é😀"],"o":{}})");
}

TEST_CASE("JSON strings are escaped as little as possible and are always valid UTF-8", "[core]") {
  CHECK(json::dump("a\"b\\c/\n\r\t\b\f\x01\x1f\x7f") == "\"a\\\"b\\\\c/\\n\\r\\t\\b\\f\\u0001\\u001f\x7f\"");
  CHECK(json::dump("é東😀") == "\"é東😀\"");
  CHECK(json::dump("a\0b"s) == "\"a\\u0000b\"");
  // One replacement for each broken part, as replace_invalid_utf8 writes.
  CHECK(json::dump("\xff") == "\"\xEF\xBF\xBD\"");
  CHECK(json::dump("a\xC3") == "\"a\xEF\xBF\xBD\"");
  CHECK(json::dump("\xE2\x82"
                   "x") == "\"\xEF\xBF\xBDx\"");
  CHECK(json::dump("\xC0\xAF") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
  for (const char* text : {"\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "x\x80y"}) {
    CHECK(json::parse(json::dump(text)));
  }
}

TEST_CASE("JSON numbers are the shortest that read back", "[core]") {
  CHECK(json::dump(0.1) == "0.1");
  CHECK(json::dump(0.1f) == "0.1");
  CHECK(json::dump(33.6f) == "33.6");
  CHECK(json::dump(1.0 / 3) == "0.3333333333333333");
  CHECK(json::dump(std::int64_t{-9007199254740993}) == "-9007199254740993");
  CHECK(json::dump(std::numeric_limits<double>::quiet_NaN()) == "null");
  CHECK(json::dump(-std::numeric_limits<float>::infinity()) == "null");
  test::Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const auto single = std::bit_cast<float>(static_cast<std::uint32_t>(random.bits()));
    if (!std::isfinite(single)) continue;
    const auto back = json::parse(json::dump(single));
    REQUIRE(back);
    CHECK(static_cast<float>(test::number_of(*back)) == single);
  }
}

TEST_CASE("JSON files carry their path and code", "[core]") {
  const test::TempFolder folder;
  const auto missing = json::parse_file(folder.file("none.json"), 100);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::not_found);
  const auto broken = json::parse_file(folder.write("broken.json", "[1,"), 100);
  REQUIRE_FALSE(broken);
  CHECK(broken.error().code == ErrorCode::model);
  CHECK(broken.error().text() == folder.file("broken.json") + ": unexpected end of input at byte 3");
  const auto large = json::parse_file(folder.write("large.json", std::string(101, ' ')), 100);
  REQUIRE_FALSE(large);
  CHECK(large.error().code == ErrorCode::model);
  CHECK(large.error().message == "file is 101 bytes, limit 100");
}

struct BadPath {
  const char* name;
  ErrorCode code;
  const char* message;
};

TEST_CASE("Paths that are no readable regular file are told apart", "[core]") {
  const test::TempFolder folder;
  REQUIRE(mkfifo(folder.file("fifo").c_str(), 0600) == 0);
  REQUIRE(symlink("loop", folder.file("loop").c_str()) == 0);
  folder.write("plain", "x");
  const BadPath bad = GENERATE(values<BadPath>({
      {"none", ErrorCode::not_found, "no such file"},
      {"plain/none", ErrorCode::not_found, "no such file (part of the path is not a folder)"},
      {".", ErrorCode::not_found, "is a directory, not a regular file"},
      {"fifo", ErrorCode::not_found, "is a FIFO, not a regular file"},
      {"loop", ErrorCode::not_found, "too many levels of symbolic links"},
  }));
  const auto file = File::open(folder.file(bad.name));
  INFO(bad.name);
  REQUIRE_FALSE(file);
  CHECK(file.error().code == bad.code);
  CHECK(file.error().message == bad.message);
  CHECK(file.error().where == folder.file(bad.name));
}

TEST_CASE("Devices, NUL in paths and long names are not found", "[core]") {
  CHECK(File::open("/dev/zero").error().message == "is a device, not a regular file");
  CHECK(File::open("a\0b"s).error().code == ErrorCode::not_found);
  CHECK(File::open(std::string(5000, 'x')).error().message == "no such file (the name is too long)");
}

TEST_CASE("An unreadable file says who asked", "[core]") {
  if (geteuid() == 0) {
    WARN("skipped: root may read everything");
    return;
  }
  const test::TempFolder folder;
  const std::string path = folder.write("secret", "x");
  REQUIRE(chmod(path.c_str(), 0200) == 0);
  const auto file = File::open(path);
  REQUIRE_FALSE(file);
  CHECK(file.error().code == ErrorCode::permission);
  CHECK(file.error().message == "permission denied (uid " + std::to_string(geteuid()) + ", mode 0200)");
}

TEST_CASE("Too many open files is the system's limit, not the file's fault", "[core]") {
  const test::TempFolder folder;
  const std::string path = folder.write("plain", "x");
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto file = File::open(path);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE_FALSE(file);
  CHECK(file.error().code == ErrorCode::memory);
  CHECK(file.error().message == "too many open files (limit 0)");
}

TEST_CASE("Files are read by position, and a shrunk one is noticed", "[core]") {
  const test::TempFolder folder;
  const std::string path = folder.write("data", "0123456789");
  auto file = File::open(path);
  REQUIRE(file);
  CHECK(file->size() == 10);
  std::string text(4, ' ');
  REQUIRE(file->read(3, std::as_writable_bytes(std::span(text))));
  CHECK(text == "3456");
  File moved = std::move(*file);
  REQUIRE(truncate(path.c_str(), 5) == 0);
  const Status status = moved.read(3, std::as_writable_bytes(std::span(text)));
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::io);
  CHECK(status.error().message == "file changed while being read (it ends at byte 5, had 10)");
  CHECK(*read_file(path, 5) == "01234");
  CHECK(read_file(path, 4).error().code == ErrorCode::limit);
}

Status write_text(const std::string& path, std::string_view text) {
  const std::span<const std::byte> part = std::as_bytes(std::span(text));
  return write_file_atomically(path, {&part, 1});
}

int files_in(const test::TempFolder& folder) {
  return static_cast<int>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

TEST_CASE("Files appear whole under names of any length that the system takes", "[core]") {
  const test::TempFolder folder;
  for (const std::size_t length : {1, 243, 244, 245, 248, 249, 255}) {
    INFO(length);
    const std::string path = folder.file(std::string(length, 'n'));
    REQUIRE(write_text(path, "old"));
    REQUIRE(write_text(path, "new"));
    CHECK(*read_file(path, 3) == "new");
  }
  CHECK(files_in(folder) == 7);
  const Status status = write_text(folder.file(std::string(256, 'n')), "text");
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::cannot_create);
  auto file = AtomicFile::create(folder.file("unpublished"));
  REQUIRE(file);
  CHECK(files_in(folder) == 8);
  { const AtomicFile dropped = std::move(*file); }
  CHECK(files_in(folder) == 7);
}

TEST_CASE("A path that holds a NUL character names no file", "[core]") {
  const test::TempFolder folder;
  const std::string path = folder.file(std::string("cut\0off", 7));
  for (int i = 0; i < 2; ++i) {
    const Status status = write_text(path, "text");
    REQUIRE_FALSE(status);
    CHECK(status.error().code == ErrorCode::cannot_create);
  }
  CHECK(files_in(folder) == 0);
}

TEST_CASE("The system applies the umask to new files, nobody asks for it", "[core]") {
  const test::TempFolder folder;
  const mode_t before = umask(027);
  auto file = AtomicFile::create(folder.file("name"));
  CHECK(umask(before) == 027);
  REQUIRE(file);
  const auto mode = [&] { return std::filesystem::directory_iterator(folder.path())->status().permissions(); };
  CHECK(mode() == std::filesystem::perms{0640});
  REQUIRE(file->publish());
  CHECK(mode() == std::filesystem::perms{0640});
}

TEST_CASE("A file keeps its permissions when another takes its place", "[core]") {
  const test::TempFolder folder;
  const std::string path = folder.file("name");
  REQUIRE(write_text(path, "old"));
  std::filesystem::permissions(path, std::filesystem::perms{0600});
  REQUIRE(write_text(path, "new"));
  CHECK(std::filesystem::status(path).permissions() == std::filesystem::perms{0600});
}

TEST_CASE("Every f16 and bf16 pattern widens exactly", "[core]") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = (bits >> 10) & 31;
    const int mantissa = bits & 1023;
    const double sign = (bits & 0x8000) != 0 ? -1 : 1;
    const double value = exponent == 0   ? std::ldexp(mantissa, -24)
                         : exponent < 31 ? std::ldexp(1024 + mantissa, exponent - 25)
                         : mantissa == 0 ? std::numeric_limits<double>::infinity()
                                         : std::numeric_limits<double>::quiet_NaN();
    const float half = f16_to_f32(static_cast<std::uint16_t>(bits));
    if (std::isnan(value) ? !std::isnan(half) : half != sign * value || std::signbit(half) != (sign < 0)) ++wrong;
    const float brain = bf16_to_f32(static_cast<std::uint16_t>(bits));
    if (std::bit_cast<std::uint32_t>(brain) != bits << 16) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("Buffers are aligned, movable and grow on demand", "[core]") {
  Buffer<float> small(3);
  CHECK(reinterpret_cast<std::uintptr_t>(small.data()) % 64 == 0);
  Buffer<char> large(std::int64_t{5} << 20);
  CHECK(reinterpret_cast<std::uintptr_t>(large.data()) % (std::size_t{2} << 20) == 0);
  large[large.size() - 1] = 1;
  small[2] = 7;
  const float* address = small.data();
  Buffer<float> moved = std::move(small);
  CHECK(moved.data() == address);
  CHECK(moved[2] == 7);
  CHECK(small.empty());
  small.ensure(3);
  CHECK(small.data() != nullptr);
  small = std::move(moved);
  CHECK(moved.empty());
  CHECK(small.data() == address);
  moved = std::move(small);
  moved.ensure(2);
  CHECK(moved.data() == address);
  moved.ensure(1000);
  CHECK(moved.size() == 1000);
  CHECK(Buffer<float>().empty());
  // 4 bytes below the whole address space: rounding up to the alignment must not wrap around.
  CHECK_THROWS_AS(Buffer<float>((std::int64_t{1} << 62) - 1), std::bad_alloc);
}

}  // namespace
}  // namespace florence2
