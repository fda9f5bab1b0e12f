// Bad, hostile and odd picture files: which error (or warning) each gives, word for word.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "model/image_decode.hpp"
#include "tests/picture_files.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

using namespace std::string_literals;
using test::JpegKind;
using test::Pattern;

struct BadFile {
  std::string what;
  std::string bytes;
  ErrorCode code;
  std::string message;
};

Result<Picture> decode(const std::string& file, const PictureOptions& options = {}) {
  return Picture::decode(std::as_bytes(std::span(file)), "some/file", options);
}

void check_all(const std::vector<BadFile>& files, const PictureOptions& options = {}) {
  for (const BadFile& file : files) {
    INFO(file.what);
    const auto picture = decode(file.bytes, options);
    REQUIRE(!picture);
    CHECK(picture.error().code == file.code);
    CHECK(picture.error().message == file.message);
    CHECK(picture.error().where == "some/file");
  }
}

const Pattern kScene = test::make_pattern("scene", 40, 30, 5);
constexpr const char* kNotAPicture = "not a JPEG, PNG, WebP, BMP, GIF or PPM (starts with ";

TEST_CASE("files that are no picture") {
  check_all({
      {"empty", "", ErrorCode::data, "file is empty"},
      {"PDF", "%PDF-1.7 and more", ErrorCode::data, kNotAPicture + "\"%PDF-1.7\")"s},
      {"short text", "hi", ErrorCode::data, kNotAPicture + "\"hi\")"s},
      {"video", "\0\0\0\x18"s + "ftypisom", ErrorCode::data, kNotAPicture + "00 00 00 18 66 74 79 70)"s},
      {"terminal escape", "\x1b[31mred", ErrorCode::data, kNotAPicture + "1b 5b 33 31 6d 72 65 64)"s},
      {"P7", "P7\nWIDTH 3", ErrorCode::data, kNotAPicture + "50 37 0a 57 49 44 54 48)"s},
  });
}

TEST_CASE("pictures of other kinds are named") {
  check_all({
      {"TIFF", "II*\0 and more"s, ErrorCode::unsupported, "TIFF is not supported; convert to PNG"},
      {"TIFF, big-endian", "MM\0* and more"s, ErrorCode::unsupported, "TIFF is not supported; convert to PNG"},
      {"HEIC", "\0\0\0\x18"s + "ftypheic", ErrorCode::unsupported, "HEIC is not supported; convert to PNG"},
      {"AVIF", "\0\0\0\x18"s + "ftypavif", ErrorCode::unsupported, "AVIF is not supported; convert to PNG"},
      {"JXL", "\xFF\x0A\x01\x02", ErrorCode::unsupported, "JPEG XL is not supported; convert to PNG"},
      {"PSD", "8BPS\0\1"s, ErrorCode::unsupported, "Photoshop (PSD) is not supported; convert to PNG"},
  });
}

TEST_CASE("sizes are judged before anything is decoded") {
  const std::string bmp = test::make_bmp(0, 3, 24, "");
  check_all({
      {"width 0", test::png_header(0, 5), ErrorCode::data, "width is 0"},
      {"height 0", test::png_header(5, 0), ErrorCode::data, "height is 0"},
      {"BMP", bmp, ErrorCode::data, "width is 0"},
      {"BMP, negative", test::make_bmp(-4, 3, 24, ""), ErrorCode::data, "width is -4"},
      {"PPM", "P6 5 0 255\n", ErrorCode::data, "height is 0"},
      {"GIF", test::make_gif(4, 4, {{0, 0, 0, 4, {}}}), ErrorCode::data, "width is 0"},
      {"JPEG", test::with_frame_byte(test::make_jpeg(kScene), 7, 0), ErrorCode::data, "width is 0"},
      {"20k x 20k", test::png_header(20'000, 20'000), ErrorCode::limit,
       "400,000,000 pixels, limit 178,956,970 (--max-pixels)"},
      {"side", test::png_header(70'000, 1), ErrorCode::limit, "width 70,000 over limit 65,535"},
      {"side, PPM", "P5 1 70000 255\n", ErrorCode::limit, "height 70,000 over limit 65,535"},
      {"side, 2^31", test::make_bmp(1, -2'147'483'647 - 1, 24, ""), ErrorCode::limit,
       "height 2,147,483,648 over limit 65,535"},
  });
  check_all({{"own limit", test::make_png(kScene), ErrorCode::limit, "1,200 pixels, limit 1,000 (--max-pixels)"}},
            {.max_pixels = 1000});
  check_all({{"bytes", std::string(101, 'P'), ErrorCode::limit, "file is 101 bytes, limit 100"}},
            {.max_file_bytes = 100});
}

std::string cut(const std::string& file, std::size_t size) { return file.substr(0, size); }

TEST_CASE("files that break off") {
  const std::string bmp = test::make_bmp(4, 4, 24, std::string(48, 'x'));
  const std::string gif = test::make_gif(50, 4, {{0, 0, 50, 4, std::vector<std::uint8_t>(200, 3)}});
  const std::string png = test::make_png(kScene);
  check_all({
      {"BMP", cut(bmp, 54 + 30), ErrorCode::data,
       "ends early at byte 84 (2 of 4 rows); use --allow-truncated to keep them"},
      {"PPM", "P6 2 2 255\n1234567", ErrorCode::data,
       "ends early at byte 18 (1 of 2 rows); use --allow-truncated to keep them"},
      {"PPM, text", "P2 2 2 255\n1 2 3", ErrorCode::data,
       "ends early at byte 16 (1 of 2 rows); use --allow-truncated to keep them"},
      {"GIF", cut(gif, gif.size() - 2), ErrorCode::data,
       "ends early at byte 612 (3 of 4 rows); use --allow-truncated to keep them"},
      {"PNG, no IEND", cut(png, png.size() - 12), ErrorCode::data,
       "ends early at byte " + std::to_string(png.size() - 12) +
           " (30 of 30 rows); use --allow-truncated to keep them"},
      {"JPEG, header", cut(test::make_jpeg(kScene), 20), ErrorCode::data, "ends early at byte 20, inside the header"},
      {"PNG, header", cut(png, 20), ErrorCode::data, "ends early at byte 20, inside the header"},
      {"WebP, header", cut(test::make_webp(kScene), 16), ErrorCode::data, "ends early at byte 16, inside the header"},
      {"GIF, header", cut(gif, 9), ErrorCode::data, "ends early at byte 9, inside the header"},
      {"BMP, header", cut(bmp, 30), ErrorCode::data, "ends early at byte 30, inside the header"},
      {"PPM, header", "P6 2 ", ErrorCode::data, "ends early at byte 5, inside the header"},
  });
}

std::vector<std::string> one_of_each() {
  return {test::make_jpeg(kScene),
          test::make_jpeg(kScene, JpegKind::progressive),
          test::make_png(kScene),
          test::make_webp(kScene),
          test::make_animated_webp(kScene, 40, 30, 0, 0),
          test::make_bmp(4, 4, 24, std::string(48, 'x')),
          test::make_bmp(4, 2, 8, "\x04\x01\0\0\x04\x02\0\1"s, std::string(1024, 'p'), 1),
          test::make_gif(5, 4, {{0, 0, 5, 4, std::vector<std::uint8_t>(20, 3)}}),
          "P6 2 2 255\nabcdefghijkl",
          "P1 2 2 0110"};
}

TEST_CASE("a cut at any byte is refused as bad data") {
  for (const std::string& file : one_of_each()) {
    const auto whole = decode(file);
    REQUIRE(whole);
    for (std::size_t size = 0; size < file.size(); ++size) {
      INFO(whole->format << ", " << size << " of " << file.size() << " bytes");
      const auto picture = decode(cut(file, size));
      // What follows the last pixel of these may be missing: the end mark of a GIF and of run-length data.
      const bool tolerated = size + 2 >= file.size() && (whole->format == "GIF" || whole->format == "BMP");
      if (picture && tolerated && picture->rgb == whole->rgb) continue;
      REQUIRE(!picture);
      CHECK(picture.error().code == ErrorCode::data);
    }
  }
}

TEST_CASE("with allow_truncated a cut file gives its beginning and a warning") {
  for (const std::string& file : one_of_each()) {
    const auto whole = decode(file);
    REQUIRE(whole);
    const auto picture = decode(cut(file, file.size() - 3), {.allow_truncated = true});
    INFO(whole->format << (picture ? "" : " " + picture.error().text()));
    REQUIRE(picture);
    CHECK(picture->width == whole->width);
    CHECK(picture->height == whole->height);
    CHECK(picture->rgb.size() == whole->rgb.size());
    REQUIRE(!picture->warnings.empty());
    CHECK(picture->warnings.front().starts_with("ends early at byte "));
  }
  const auto rows = decode("P5 2 3 255\nabcd", {.allow_truncated = true});
  REQUIRE(rows);
  CHECK(rows->rgb == std::vector<std::uint8_t>{97, 97, 97, 98, 98, 98, 99, 99, 99, 100, 100, 100, 0, 0, 0, 0, 0, 0});
  CHECK(rows->warnings == std::vector{"ends early at byte 15 (2 of 3 rows)"s});
}

TEST_CASE("a cut progressive JPEG keeps whole scans, wherever the cut is") {
  const std::string file = test::make_jpeg(kScene, JpegKind::progressive);
  const auto whole = decode(file);
  REQUIRE(whole);
  int kept = 0;
  for (std::size_t size = file.size() / 3; size < file.size(); ++size) {
    const auto picture = decode(cut(file, size), {.allow_truncated = true});
    if (!picture) continue;
    ++kept;
    CHECK(picture->rgb.size() == whole->rgb.size());
  }
  // A cut between the bytes of a marker itself may fail.
  CHECK(kept > static_cast<int>(file.size() / 3 * 2 - 40));
}

TEST_CASE("damaged data") {
  const std::string png = test::make_png(kScene);
  std::string crc = png;
  const std::size_t idat = png.find("IDAT");
  crc[idat + 20] ^= 1;
  const std::size_t end = png.find("IEND") - 8;
  std::string text = test::with_png_chunk(png, "tEXt", "a chunk");
  text[text.find("a chunk")] ^= 1;
  std::string nameless = text;
  nameless[nameless.find("tEXt") + 1] = '\n';
  check_all({
      {"IDAT", crc, ErrorCode::data, "chunk IDAT: checksum wrong at byte " + std::to_string(end)},
      {"tEXt", text, ErrorCode::data, "chunk tEXt: checksum wrong at byte 48"},
      {"name", nameless, ErrorCode::data, "chunk without a name: checksum wrong at byte 48"},
      {"no IHDR", "\x89PNG\r\n\x1A\n" + test::png_chunk("IDAT", std::string(30, 'x')), ErrorCode::data,
       "PNG: does not begin with IHDR"},
      {"RIFF", "RIFF" + test::little(30, 4) + "WEBPVP8L" + test::little(18, 4) + std::string(18, 'x'), ErrorCode::data,
       "WebP: damaged container"},
      {"GIF without picture", test::make_gif(3, 3, {}), ErrorCode::data, "GIF: holds no picture"},
      {"PPM number", "P6 x 4 255\n", ErrorCode::data, "PPM: expected a number at byte 3"},
      {"PPM digits", "P6 12345678901 4 255\n", ErrorCode::data, "PPM: expected a number at byte 13"},
      {"PPM maximum", "P5 1 1 0\n1", ErrorCode::data, "PPM: maximum 0 is not in 1…65535"},
      {"PPM sample", "P2 1 1 100\n101", ErrorCode::data, "PPM: sample 101 over maximum 100"},
      {"BMP colours", test::make_bmp(1, 1, 8, "xxxx", std::string(4 * 257, 'p')), ErrorCode::data,
       "BMP: 257 colours, limit 256"},
  });
}

TEST_CASE("every single-bit error in a PNG is found") {
  const std::string png = test::make_png(test::make_pattern("noise", 9, 5, 1));
  for (std::size_t bit = 0; bit < 8 * png.size(); ++bit) {
    std::string file = png;
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << bit % 8));
    INFO("bit " << bit);
    CHECK(!decode(file));
  }
}

TEST_CASE("JPEGs of unsupported kinds") {
  const std::string jpeg = test::make_jpeg(kScene);
  check_all({
      {"12 bits", test::with_frame_byte(jpeg, 3, 12), ErrorCode::unsupported, "12-bit JPEG is not supported"},
      {"lossless", test::with_frame_byte(jpeg, 0, 0xC3), ErrorCode::unsupported,
       "lossless or hierarchical JPEG is not supported"},
      {"arithmetic", test::make_jpeg(kScene, JpegKind::arithmetic), ErrorCode::unsupported,
       "arithmetic-coded JPEG is not supported"},
  });
}

TEST_CASE("BMPs of unsupported kinds") {
  std::string header = test::make_bmp(1, 1, 24, "xxxx");
  header[14] = 41;
  check_all({
      {"header", header, ErrorCode::unsupported, "BMP: a header of 41 bytes is not supported"},
      {"depth", test::make_bmp(1, 1, 2, "xxxx"), ErrorCode::unsupported, "BMP: 2 bits a pixel are not supported"},
      {"JPEG inside", test::make_bmp(1, 1, 24, "xxxx", "", 4), ErrorCode::unsupported,
       "BMP: compression 4 with 24 bits is not supported"},
      {"masks", test::make_bmp(1, 1, 16, "xxxx", test::little(5, 4) + test::little(8, 4) + test::little(16, 4), 3),
       ErrorCode::unsupported, "BMP: bit masks with gaps are not supported"},
  });
}

TEST_CASE("bombs") {
  check_all({{"scans", test::make_jpeg(kScene, JpegKind::scan_bomb), ErrorCode::limit, "more than 100 scans"}});
  std::string png = test::make_png(kScene);
  for (int i = 0; i < 2000; ++i) png = test::with_png_chunk(png, "zTXt", "k\0\0"s + std::string(100, 'z'));
  png = test::with_png_chunk(png, "iCCP", "k\0\0"s + std::string(100'000, 'z'));
  const auto picture = decode(png);
  REQUIRE(picture);
  CHECK(picture->rgb == kScene.rgb);
  CHECK(picture->warnings.empty());
}

TEST_CASE("decoding stops when its time is used up") {
  const PictureOptions options;
  const auto check = [&](auto decoder, const std::string& file) {
    const Bytes bytes(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
    const auto picture = decoder({bytes, options, CpuBudget(0)});
    REQUIRE(!picture);
    CHECK(picture.error().code == ErrorCode::limit);
    CHECK(picture.error().message == "decoding stopped after 0 s CPU");
  };
  check(decode_jpeg, test::make_jpeg(kScene));
  check(decode_jpeg, test::make_jpeg(kScene, JpegKind::progressive));
  check(decode_png, test::make_png(kScene));
  check(decode_webp, test::make_webp(kScene));
  check(decode_gif, test::make_gif(1, 1, {{0, 0, 1, 1, {1}}}));
  check(decode_bmp, test::make_bmp(1, 1, 24, "xxxx"));
  check(decode_pnm, "P5 1 1 255\nx");
  CHECK(!CpuBudget().spent());
}

TEST_CASE("the content decides, not the name") {
  const std::string jpeg = test::make_jpeg(kScene);
  const auto warnings = [&](const std::string& name) {
    const auto picture = Picture::decode(std::as_bytes(std::span(jpeg)), name);
    REQUIRE(picture);
    CHECK(picture->format == "JPEG");
    return picture->warnings;
  };
  CHECK(warnings("a.png") == std::vector{"named .png but is JPEG (decoded as JPEG)"s});
  CHECK(warnings("a.WebP") == std::vector{"named .webp but is JPEG (decoded as JPEG)"s});
  for (const char* name : {"a.jpg", "a.JPEG", "a", "", "a.txt", "dir.png/a", "a.\x1b"}) CHECK(warnings(name).empty());
}

TEST_CASE("what libjpeg forgives is noted, what it papers over is refused") {
  std::string padded = test::make_jpeg(kScene);
  padded.insert(20, "xx");  // between the first segment (JFIF) and the next
  const auto picture = decode(padded);
  REQUIRE(picture);
  CHECK(picture->warnings == std::vector{"JPEG: Corrupt JPEG data: 2 extraneous bytes before marker 0xdb"s});

  std::string early = test::make_jpeg(kScene);
  early.replace(early.size() - 200, 2, "\xFF\xD9");
  const auto damaged = decode(early);
  REQUIRE(!damaged);
  CHECK(damaged.error().code == ErrorCode::data);
  CHECK(damaged.error().message == "JPEG: Corrupt JPEG data: premature end of data segment");
}

// --- Files --------------------------------------------------------------------------------------------

/// A folder that is removed at the end.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "florence2-image-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  REQUIRE(std::filesystem::file_size(path) == bytes.size());
}

void check_open(const std::string& path, ErrorCode code, const std::string& beginning) {
  INFO(path);
  const auto picture = Picture::open(path);
  REQUIRE(!picture);
  CHECK(picture.error().code == code);
  CHECK(picture.error().where == path);
  INFO(picture.error().message);
  CHECK(picture.error().message.starts_with(beginning));
}

TEST_CASE("files that cannot be read") {
  const Folder folder;
  check_open(folder / "missing.png", ErrorCode::not_found, "no such file");
  write(folder / "empty.png", "");
  check_open(folder / "empty.png", ErrorCode::data, "file is empty");
  std::filesystem::create_directory(folder / "folder.png");
  check_open(folder / "folder.png", ErrorCode::not_found, "is a directory");
  REQUIRE(mkfifo((folder / "fifo.png").c_str(), 0600) == 0);
  check_open(folder / "fifo.png", ErrorCode::not_found, "is a FIFO");
  check_open("/dev/zero", ErrorCode::not_found, "is a device");
  std::filesystem::create_symlink("loop.png", folder / "loop.png");
  check_open(folder / "loop.png", ErrorCode::not_found, "too many levels of symbolic links");
  write(folder / "huge.jpg", "\xFF\xD8");
  std::filesystem::resize_file(folder / "huge.jpg", std::uintmax_t{5} << 30);
  check_open(folder / "huge.jpg", ErrorCode::limit, "file is 5368709120 bytes, limit 268435456");
  write(folder / "secret.png", test::make_png(kScene));
  std::filesystem::permissions(folder / "secret.png", std::filesystem::perms::none);
  if (geteuid() != 0) check_open(folder / "secret.png", ErrorCode::permission, "permission denied");
}

TEST_CASE("odd names are no obstacle") {
  const Folder folder;
  for (const std::string& name : {"with space.png"s, "new\nline.png"s, "%s%n.png"s, "\xF0\x9F\x8E\x89.png"s,
                                  "\xFF\xFE.png"s, "-v.png"s, std::string(250, 'n') + ".png"}) {
    write(folder / name, test::make_png(kScene));
    const auto picture = Picture::open(folder / name);
    REQUIRE(picture);
    CHECK(picture->rgb == kScene.rgb);
    CHECK(picture->warnings.empty());
  }
}

}  // namespace
}  // namespace florence2
