// Files of torch.save: real ones value by value, and zip files that are no such files (docs/weights.md).
#include "weights/torch_file.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "tests/support.hpp"
#include "tests/temp_folder.hpp"
#include "tests/torch_writer.hpp"
#include "weights/safetensors.hpp"

namespace florence2 {
namespace {

using namespace test;
using Catch::Matchers::Contains;
using std::string_literals::operator""s;

std::string bytes_of(const TensorFile& file, const TensorInfo& info) {
  std::string bytes(static_cast<std::size_t>(info.bytes), '\0');
  if (info.values != nullptr) {
    REQUIRE(info.values->size() == info.bytes);
    std::copy_n(reinterpret_cast<const char*>(info.values->data()), bytes.size(), bytes.data());
  } else {
    REQUIRE(file.file.read(info.offset, std::as_writable_bytes(std::span(bytes))));
  }
  return bytes;
}

TEST_CASE("torch's own files hold what safetensors says", "[weights]") {
  const std::string folder = source_dir() + "/tests/golden/torch/";
  const std::string name = GENERATE("protocol2.bin", "protocol4.bin", "dict.bin");
  const auto torch = open_torch(folder + name);
  const auto same = open_safetensors(folder + "same.safetensors");
  INFO(name << (torch ? "" : torch.error().text()));
  REQUIRE(torch);
  REQUIRE(same);
  std::map<std::string, const TensorInfo*> by_name;
  for (const TensorInfo& info : torch->tensors) by_name[info.name] = &info;
  CHECK(torch->tensors.size() == same->tensors.size());
  for (const TensorInfo& expected : same->tensors) {
    INFO(expected.name);
    REQUIRE(by_name.contains(expected.name));
    const TensorInfo& info = *by_name[expected.name];
    CHECK(info.dtype == expected.dtype);
    CHECK(info.shape == expected.shape);
    CHECK(bytes_of(*torch, info) == bytes_of(*same, expected));
  }
}

std::string shape_of(std::int64_t rows, std::int64_t cols) { return p_tuple(p_long(rows) + p_long(cols)); }

std::string pickle_of(const std::string& key, std::int64_t elements, const std::string& type = "FloatStorage") {
  return p_dict(p_text("w") + p_tensor(p_storage(type, key, elements), 0, shape_of(2, 3), shape_of(3, 1)));
}

const std::string kData(24, '\x3C');

struct BadFile {
  std::string content;
  std::string message;
};

void check_refused(const BadFile& bad) {
  const TempFolder folder;
  const std::string path = folder.write("pytorch_model.bin", bad.content);
  const auto file = open_torch(path);
  INFO(bad.content.substr(0, 200) << " expected: " << bad.message);
  REQUIRE_FALSE(file);
  CHECK(file.error().code == ErrorCode::model);
  CHECK(file.error().where == path);
  CHECK_THAT(file.error().message, Contains(bad.message));
}

TEST_CASE("a well-made file opens", "[weights]") {
  const TempFolder folder;
  const auto file = open_torch(folder.write("x.bin", torch_file_of(pickle_of("0", 6), {{"0", kData}})));
  INFO((file ? "" : file.error().text()));
  REQUIRE(file);
  CHECK(bytes_of(*file, file->tensors[0]) == kData);
}

TEST_CASE("files that are no torch files are named for what they are", "[weights]") {
  check_refused(GENERATE(values<BadFile>({
      {"", "file is empty; the download did not finish?"},
      {"PK", "this is no file of torch.save"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 464421827\n", "this is a Git LFS pointer"},
      {"<html>404</html>", "looks like HTML, not weights"},
      {"{\"error\":\"Repository not found\"}", "looks like JSON text, not weights"},
      {"GGUF\3\0\0\0"s, "this is GGUF"},
      {"\x80\2\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "the torch format from before version 1.6"},
      {"\x80\4cos\nsystem\n(S'id'\ntR.", "the torch format from before version 1.6"},
      {"PK\3\4 and nothing more", "the zip directory at the end is missing"},
      {zip_of({}), "this is no file of torch.save"},
      {zip_of({{"readme.txt", "x"}}), "it has no data.pkl"},
      {zip_of({{"a/b/data.pkl", "x"}}), "it has no data.pkl"},
      {zip_of({{"a/data.pkl", "}."}, {"a/constants.pkl", "}."}}), "this is a TorchScript program"},
      {zip_of({{"a/data.pkl", "}."}, {"a/byteorder", "big"}}), "byte order \"big\", expected \"little\""},
      {torch_file_of(p_global("os", "system") + "."), "nothing is executed (found a call to os.system)"},
  })));
}

TEST_CASE("zip files with tricks are refused", "[weights]") {
  const std::string pickle = pickle_of("0", 6);
  std::string lying = torch_file_of(pickle, {{"0", kData}});
  // The directory's count of members says 2 of 3; its offset leads outside; a member's offset does.
  std::string miscounted = lying, outside = lying;
  miscounted[miscounted.size() - 12] = miscounted[miscounted.size() - 14] = 2;
  outside[outside.size() - 3] = '\x7f';
  check_refused(GENERATE_COPY(values<BadFile>({
      {zip_of({{"a/data.pkl", pickle, 8}}), "member \"a/data.pkl\" is compressed or encrypted"},
      {zip_of({{"a/data.pkl", pickle, 0, 1}}), "member \"a/data.pkl\" is compressed or encrypted"},
      {zip_of({{"a/data.pkl", pickle}, {"a/bomb", "x", 14}}), "member \"a/bomb\" is compressed"},
      {zip_of({{"a/data.pkl", pickle}, {"a/data.pkl", "}."}}), "member \"a/data.pkl\" is listed twice"},
      {zip_of({{"a/data.pkl", pickle}, {"a/x", "1234"}}, 40), "does not lie in front of the zip directory"},
      {zip_of({{"a/data.pkl", pickle}}, 1 << 30), "points outside the file"},
      {miscounted, "the zip directory lists 3 members, expected 2"},
      {outside, "points outside the file"},
      {torch_file_of(pickle), "tensor \"w\": its storage \"0\" is missing"},
      {torch_file_of(pickle, {{"0", "short"}}), "its storage has 5 bytes, expected 6 elements of 4"},
      {torch_file_of(pickle_of("0", 7), {{"0", kData}}), "its storage has 24 bytes, expected 7 elements of 4"},
      {torch_file_of(pickle_of("0", std::int64_t{1} << 62), {{"0", kData}}), "its storage has 24 bytes"},
      {torch_file_of(pickle_of("../../../etc/passwd", 6), {{"0", kData}}), "\"../../../etc/passwd\" is missing"},
      {torch_file_of(pickle_of("/etc/passwd", 6), {{"0", kData}}), "\"/etc/passwd\" is missing"},
      {torch_file_of(pickle + std::string(5 << 20, ' ')), "data.pkl has 5243070 bytes, limit 4 MiB"},
  })));
}

TEST_CASE("members may not share bytes", "[weights]") {
  // Two entries of the directory for one and the same member: how a zip bomb holds much in little.
  std::string file = zip_of({{"a/data.pkl", pickle_of("0", 6)}, {"a/1", kData}, {"a/2", kData}});
  const std::size_t second = file.rfind("PK\1\2"), first = file.rfind("PK\1\2", second - 1);
  file.replace(second + 42, 4, file.substr(first + 42, 4));
  check_refused({file, "members of the zip file overlap"});
}

TEST_CASE("a torch file cut anywhere is refused", "[weights]") {
  const std::string whole = torch_file_of(pickle_of("0", 6), {{"0", kData}});
  const TempFolder folder;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto file = open_torch(folder.write("x.bin", whole.substr(0, size)));
    INFO(size);
    REQUIRE_FALSE(file);
    CHECK(file.error().code == ErrorCode::model);
  }
}

TEST_CASE("any flipped bit of a torch file is refused or harmless", "[weights]") {
  const std::string whole = torch_file_of(pickle_of("0", 6), {{"0", kData}});
  const TempFolder folder;
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto file = open_torch(folder.write("x.bin", flipped));
    if (!file) continue;
    for (const TensorInfo& info : file->tensors) bytes_of(*file, info);
  }
}

TEST_CASE("views that are not row-major take at most four times the file's size", "[weights]") {
  constexpr std::int64_t kRows = 300, kCols = 200;
  const std::string storage = p_storage("FloatStorage", "0", kRows * kCols);
  const auto with_views = [&](int views) {
    std::string items;
    for (int i = 0; i < views; ++i) {
      items += p_text(std::to_string(i)) + p_tensor(storage, 0, shape_of(kCols, kRows), shape_of(1, kCols));
    }
    return torch_file_of(p_dict(items), {{"0", std::string(kRows * kCols * 4, '\1')}});
  };
  const TempFolder folder;
  CHECK(open_torch(folder.write("x.bin", with_views(4))));
  check_refused({with_views(5), "tensor \"4\": too many tensors are not stored row by row"});
}

}  // namespace
}  // namespace florence2
