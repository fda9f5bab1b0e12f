// Decoding: against the reference vectors, and, in a bare clone, against small files made here.
#include "model/image.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/sha256.hpp"
#include "tests/picture_files.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

using namespace std::string_literals;
using test::at;
using test::int_of;
using test::Pattern;
using test::text_of;

using Pixels = std::vector<std::uint8_t>;

std::string sha_of(const Pixels& bytes) { return sha256(std::as_bytes(std::span(bytes))); }

Picture decoded(const std::string& file, const PictureOptions& options = {}) {
  auto picture = Picture::decode(std::as_bytes(std::span(file)), "test", options);
  INFO((picture ? "" : picture.error().text()));
  REQUIRE(picture);
  return std::move(picture).value();
}

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return text;
}

// --- Against the reference vectors --------------------------------------------------------------------

void check_file(const std::string& folder, const json::Value& row) {
  const std::string path = folder + text_of(at(row, "file"));
  INFO(path);
  const PictureOptions as_pillow{.scale_grey16 = false};
  const auto picture = Picture::open(path, as_pillow);
  INFO((picture ? "" : picture.error().text()));
  if (row.find("error") != nullptr) {
    REQUIRE(!picture);
    CHECK(picture.error().code == ErrorCode::data);
    CHECK(picture.error().where == path);
    return;
  }
  REQUIRE(picture);
  CHECK(upper(picture->format) == text_of(at(row, "format")));
  CHECK(picture->width == int_of(at(row, "width")));
  CHECK(picture->height == int_of(at(row, "height")));
  CHECK(sha_of(picture->rgb) == text_of(at(at(row, "rgb"), "sha256")));
  CHECK(sha_of(resize_bicubic(picture->view(), 768, 768)) == text_of(at(at(row, "resized"), "sha256")));
  if (const json::Value* name = row.find("decoded")) {
    const auto same = Picture::open(folder + text_of(*name));
    REQUIRE(same);
    CHECK(same->rgb == picture->rgb);
  }
  if (const json::Value* facts = row.find("transposed_rgb")) {
    const auto turned = Picture::open(path, {.exif_rotate = true});
    REQUIRE(turned);
    CHECK(turned->width == int_of(at(row, "transposed_width")));
    CHECK(turned->height == int_of(at(row, "transposed_height")));
    CHECK(sha_of(turned->rgb) == text_of(at(*facts, "sha256")));
  }
}

TEST_CASE("encoded pictures decode to Pillow's pixels bit for bit") {
  const auto folder = test::reference_dir();
  if (!folder) {
    WARN("no reference data: files.json is not compared");
    return;
  }
  const json::Value vectors = test::load_json(*folder + "/image/files.json");
  const json::Array& rows = *at(vectors, "cases").array();
  CHECK(rows.size() >= 155);
  for (const json::Value& row : rows) check_file(*folder + "/image/files/", row);
}

std::string normalised_sha(const Pixels& rgb) {
  const auto table = normalization_table({});
  std::vector<float> values;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t i = channel; i < rgb.size(); i += 3) values.push_back(table[channel][rgb[i]]);
  }
  return sha256(std::as_bytes(std::span(values)));
}

TEST_CASE("the pictures of the model goldens give the goldens' input") {
  const auto folder = test::reference_dir();
  if (!folder) {
    WARN("no reference data: the pictures of the model goldens are not compared");
    return;
  }
  int compared = 0;
  for (const auto& [name, side] : {std::pair{"mini-1", 768}, {"base-1", 768}, {"mini-1-side640", 640}}) {
    const json::Value golden = test::load_json(*folder + "/model/" + name + ".json");
    for (const json::Value& row : *at(golden, "images").array()) {
      INFO(name << " " << text_of(at(row, "file")));
      const auto picture = Picture::open(*folder + "/images/" + text_of(at(row, "file")));
      REQUIRE(picture);
      CHECK(sha_of(picture->rgb) == text_of(at(row, "rgb_sha256")));
      const auto small = resize_bicubic(picture->view(), side, side);
      CHECK(sha_of(small) == text_of(at(row, "resized_sha256")));
      CHECK(normalised_sha(small) == text_of(at(row, "pixel_values_sha256")));
      ++compared;
    }
  }
  CHECK(compared >= 5);
}

// --- In a bare clone ----------------------------------------------------------------------------------

TEST_CASE("lossless files give back their pixels") {
  for (const auto& [width, height] : {std::pair{1, 1}, {3, 2}, {37, 21}}) {
    const Pattern picture = test::make_pattern("scene", width, height, width);
    CHECK(decoded(test::make_png(picture)).rgb == picture.rgb);
    CHECK(decoded(test::make_webp(picture)).rgb == picture.rgb);
    const std::string text = "P6 " + std::to_string(width) + " " + std::to_string(height) + " 255\n";
    CHECK(decoded(text + std::string(picture.rgb.begin(), picture.rgb.end())).rgb == picture.rgb);
  }
}

TEST_CASE("a very wide and a very tall picture work") {
  for (const auto& [width, height] : {std::pair{1, 60'000}, {60'000, 1}}) {
    const Pattern picture = test::make_pattern("noise", width, height, 4);
    CHECK(decoded(test::make_png(picture)).rgb == picture.rgb);
    CHECK(resize_bicubic(picture.view(), 8, 8).size() == 192);
  }
}

TEST_CASE("flat JPEGs have exact colours") {
  const Pixels grey(17 * 9, 200);
  const Picture picture = decoded(test::make_jpeg(grey, 17, 9, 1));
  CHECK(picture.format == "JPEG");
  CHECK(picture.rgb == Pixels(3 * 17 * 9, 200));
  CHECK(decoded(test::make_jpeg(grey, 17, 9, 1, test::JpegKind::progressive)).rgb == picture.rgb);
}

TEST_CASE("CMYK JPEGs are inverted and multiplied with black") {
  // stored 255 - ink; value = k - c * k / 255 rounded, with k = 255 - black = stored black, c = 255 - stored cyan
  Pixels cmyk;
  for (int i = 0; i < 64; ++i) cmyk.insert(cmyk.end(), {200, 100, 255, 128});
  const Pixels rgb = decoded(test::make_jpeg(cmyk, 8, 8, 4)).rgb;
  const auto channel = [](int stored, int black) { return black - (((255 - stored) * black * 2 + 255) / 510); };
  for (std::size_t i = 0; i < rgb.size(); i += 3) {
    REQUIRE(rgb[i] == channel(200, 128));
    REQUIRE(rgb[i + 1] == channel(100, 128));
    REQUIRE(rgb[i + 2] == channel(255, 128));
  }
}

TEST_CASE("PNG samples of every kind become RGB") {
  const auto png = [](Pixels samples, int width, test::PngKind kind) {
    return decoded(test::make_png(samples, width, 1, kind), {.scale_grey16 = false}).rgb;
  };
  CHECK(png({0b10100000}, 3, {.colour = 0, .depth = 1}) == Pixels{255, 255, 255, 0, 0, 0, 255, 255, 255});
  CHECK(png({0b00011011}, 4, {.colour = 0, .depth = 2}) == Pixels{0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255});
  CHECK(png({0x1F}, 2, {.colour = 0, .depth = 4}) == Pixels{17, 17, 17, 255, 255, 255});
  CHECK(png({7, 250}, 2, {.colour = 0}) == Pixels{7, 7, 7, 250, 250, 250});
  CHECK(png({0, 9, 1, 0}, 2, {.colour = 0, .depth = 16}) == Pixels{9, 9, 9, 255, 255, 255});
  CHECK(png({9, 0, 7, 255}, 2, {.colour = 4}) == Pixels{9, 9, 9, 7, 7, 7});
  CHECK(png({9, 1, 7, 255}, 1, {.colour = 4, .depth = 16}) == Pixels{9, 9, 9});
  CHECK(png({1, 2, 3, 0}, 1, {.colour = 6}) == Pixels{1, 2, 3});
  CHECK(png({1, 99, 2, 99, 3, 99}, 1, {.colour = 2, .depth = 16}) == Pixels{1, 2, 3});
  CHECK(png({0b01100000}, 2, {.colour = 3, .depth = 2, .palette = {1, 2, 3, 4, 5, 6}}) == Pixels{4, 5, 6, 0, 0, 0});
}

TEST_CASE("16-bit grey takes the high byte, or clips as Pillow") {
  const std::string png = test::make_png(Pixels{0, 9, 1, 0, 200, 7}, 3, 1, {.colour = 0, .depth = 16});
  const std::string pgm = "P5 3 1 65535\n" + "\x00\x09\x01\x00\xC8\x07"s;
  for (const std::string& file : {png, pgm}) {
    const Picture scaled = decoded(file);
    CHECK(scaled.rgb == Pixels{0, 0, 0, 1, 1, 1, 200, 200, 200});
    CHECK(scaled.warnings == std::vector{"16-bit grey: the high byte is used"s});
    const Picture clipped = decoded(file, {.scale_grey16 = false});
    CHECK(clipped.rgb == Pixels{9, 9, 9, 255, 255, 255, 255, 255, 255});
    CHECK(clipped.warnings.empty());
  }
}

TEST_CASE("interlaced PNG of every small size") {
  for (int width = 1; width <= 9; ++width) {
    for (int height = 1; height <= 9; ++height) {
      const Pattern picture = test::make_pattern("noise", width, height, 10 * width + height);
      CHECK(decoded(test::make_png(picture.rgb, width, height, {.interlaced = true})).rgb == picture.rgb);
    }
  }
}

TEST_CASE("PNM in text and binary, scaled to 255") {
  CHECK(decoded("P1\n# c\n3 1\n101").rgb == Pixels{0, 0, 0, 255, 255, 255, 0, 0, 0});
  CHECK(decoded("P2 2 1 100\n# c\n50 100").rgb == Pixels{128, 128, 128, 255, 255, 255});
  CHECK(decoded("P3 1 1 15 1 2 15").rgb == Pixels{17, 34, 255});
  CHECK(decoded("P4 9 1\n\x80\x80").rgb == Pixels{0,   0,   0,   255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                                                  255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0,   0,   0});
  CHECK(decoded("P5 2 1 31\n\x01\x1F").rgb == Pixels{8, 8, 8, 255, 255, 255});
  CHECK(decoded("P6 1 1 65535\n"s + "\x80\x00\x00\x81\xFF\xFF"s).rgb == Pixels{128, 1, 255});
  CHECK(decoded("P5 1 1 10\n\x03").rgb == Pixels{76, 76, 76});  // 76.5 is rounded to even
  CHECK(decoded("P2 1 1 255 7").format == "PPM");
}

TEST_CASE("BMP of every depth, both row orders") {
  const std::string palette = "\x01\x02\x03\x00\x11\x12\x13\x00"s;
  CHECK(decoded(test::make_bmp(2, 1, 1, "\x40\0\0\0"s, palette)).rgb == Pixels{3, 2, 1, 19, 18, 17});
  CHECK(decoded(test::make_bmp(2, 1, 4, "\x10\0\0\0"s, palette)).rgb == Pixels{19, 18, 17, 3, 2, 1});
  CHECK(decoded(test::make_bmp(3, 1, 8, "\x01\x00\x07\x00"s, palette)).rgb == Pixels{19, 18, 17, 3, 2, 1, 0, 0, 0});
  CHECK(decoded(test::make_bmp(1, 1, 16, "\xFF\x03\0\0"s)).rgb == Pixels{0, 255, 255});
  CHECK(decoded(test::make_bmp(1, 1, 24, "\x01\x02\x03\0"s)).rgb == Pixels{3, 2, 1});
  CHECK(decoded(test::make_bmp(1, 1, 32, "\x01\x02\x03\x04"s)).rgb == Pixels{3, 2, 1});
  const std::string rows = "\x01\x01\x01\0\x02\x02\x02\0"s;
  CHECK(decoded(test::make_bmp(1, 2, 24, rows)).rgb == Pixels{2, 2, 2, 1, 1, 1});
  CHECK(decoded(test::make_bmp(1, -2, 24, rows)).rgb == Pixels{1, 1, 1, 2, 2, 2});
}

TEST_CASE("BMP bit fields") {
  const std::string masks = test::little(0xF800, 4) + test::little(0x07E0, 4) + test::little(0x001F, 4);
  // 5 bits: v * 255 / 31, 6 bits: v * 255 / 63, whole part
  CHECK(decoded(test::make_bmp(2, 1, 16, test::little(0x0821, 2) + test::little(0xFFFF, 2), masks, 3)).rgb ==
        Pixels{8, 4, 8, 255, 255, 255});
  const std::string wide = test::little(0xFFFFFFFF, 4) + test::little(0x0FFFFFF0, 4) + test::little(0xFF, 4);
  CHECK(decoded(test::make_bmp(1, 1, 32, test::little(0x80000000, 4), wide, 3)).rgb == Pixels{127, 0, 0});
  CHECK(decoded(test::make_bmp(1, 1, 32, test::little(0x08000000, 4), wide, 3)).rgb == Pixels{7, 127, 0});
}

TEST_CASE("BMP run lengths") {
  const std::string palette = "\0\0\0\0\x01\x01\x01\0\x02\x02\x02\0"s;
  const auto levels = [&](int width, int height, int bits, const std::string& runs) {
    const Pixels rgb = decoded(test::make_bmp(width, height, bits, runs, palette, bits == 8 ? 1 : 2)).rgb;
    Pixels first;
    for (std::size_t i = 0; i < rgb.size(); i += 3) first.push_back(rgb[i]);
    return first;
  };
  CHECK(levels(4, 2, 8, "\x04\x01\0\0\x02\x02\x02\x01\0\1"s) == Pixels{2, 2, 1, 1, 1, 1, 1, 1});
  CHECK(levels(3, 1, 8, "\0\x03\x01\x02\x01\0\0\1"s) == Pixels{1, 2, 1});               // single colours, padded
  CHECK(levels(3, 2, 8, "\x01\x01\0\2\1\1\x01\x02\0\1"s) == Pixels{0, 0, 2, 1, 0, 0});  // a move
  CHECK(levels(2, 1, 8, "\x09\x01"s) == Pixels{1, 1});                                  // too long a run is cut
  CHECK(levels(5, 1, 4, "\x03\x12\0\x03\x21\x20\0\1"s) == Pixels{1, 2, 1, 2, 1});
  CHECK(levels(2, 2, 8, "\x02\x01\0\1"s) == Pixels{0, 0, 1, 1});  // ends early by its own word
}

TEST_CASE("GIF frames lie on their screen") {
  const auto colour = [](int i) {
    return Pixels{static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(2 * i), static_cast<std::uint8_t>(255 - i)};
  };
  const auto colours = [&](const std::vector<int>& indices) {
    Pixels rgb;
    for (const int index : indices) {
      const Pixels one = colour(index);
      rgb.insert(rgb.end(), one.begin(), one.end());
    }
    return rgb;
  };
  CHECK(decoded(test::make_gif(2, 2, {{0, 0, 2, 2, {1, 2, 3, 4}}})).rgb == colours({1, 2, 3, 4}));
  CHECK(decoded(test::make_gif(3, 1, {{1, 0, 1, 1, {9}}})).rgb == colours({0, 9, 0}));
  CHECK(decoded(test::make_gif(3, 1, {{1, 0, 1, 1, {9}, false, 5}})).rgb == colours({5, 9, 5}));
  CHECK(decoded(test::make_gif(1, 1, {{1, 0, 1, 2, {8, 9}}})).rgb == colours({0, 8, 0, 9}));  // leaves the screen
  CHECK(decoded(test::make_gif(1, 9, {{0, 0, 1, 9, {0, 8, 4, 2, 6, 1, 3, 5, 7}, true}})).rgb ==
        colours({0, 1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST_CASE("of an animation the first frame is used, with a note") {
  const Pattern frame = test::make_pattern("scene", 6, 4, 2);
  const std::string png = test::make_png(frame);
  const std::string apng = test::with_png_chunk(png, "acTL", test::big(7, 4) + test::big(0, 4));
  const std::string gif = test::make_gif(1, 1, {{0, 0, 1, 1, {1}}, {0, 0, 1, 1, {2}}, {0, 0, 1, 1, {3}}});
  const std::string webp = test::make_animated_webp(frame, 6, 4, 0, 0);
  for (const auto& [file, frames] : {std::pair{apng, 7}, {gif, 3}, {webp, 2}}) {
    const Picture picture = decoded(file);
    CHECK(picture.frames == frames);
    CHECK(picture.warnings == std::vector{std::to_string(frames) + " frames, first used"});
  }
  CHECK(decoded(webp).rgb == frame.rgb);
  CHECK(decoded(gif).rgb == Pixels{1, 2, 254});
  CHECK(decoded(png).frames == 1);
}

TEST_CASE("a WebP frame smaller than the canvas leaves black around it") {
  const Pattern frame = test::make_pattern("ramp", 3, 2, 100);
  const Picture picture = decoded(test::make_animated_webp(frame, 8, 5, 2, 2));
  REQUIRE(picture.width == 8);
  REQUIRE(picture.height == 5);
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 24; ++x) {
      const bool inside = y >= 2 && y < 4 && x >= 6 && x < 15;
      REQUIRE(picture.rgb[24 * y + x] == (inside ? frame.rgb[9 * (y - 2) + x - 6] : 0));
    }
  }
}

// --- EXIF ---------------------------------------------------------------------------------------------

/// Where EXIF says that the pixel (x, y) of a turned picture comes from, by the standard's table: the orientation names
/// the sides of the turned picture on which row 0 and column 0 of the stored one lie.
std::pair<int, int> stored_place(unsigned orientation, int x, int y, int width, int height) {
  const std::array<std::pair<int, int>, 8> places{{{x, y},
                                                   {width - 1 - x, y},
                                                   {width - 1 - x, height - 1 - y},
                                                   {x, height - 1 - y},
                                                   {y, x},
                                                   {y, height - 1 - x},
                                                   {width - 1 - y, height - 1 - x},
                                                   {width - 1 - y, x}}};
  return places[orientation - 1];
}

TEST_CASE("the EXIF orientation is applied on request, in every container") {
  const Pattern source = test::make_pattern("noise", 5, 3, 8);
  for (unsigned orientation = 1; orientation <= 8; ++orientation) {
    const std::string exif = test::exif_orientation(orientation, orientation % 2 == 0);
    const std::string jpeg = test::with_jpeg_segment(test::make_jpeg(source), 0xE1, "Exif\0\0"s + exif);
    const std::string png = test::with_png_chunk(test::make_png(source), "eXIf", exif);
    const std::string webp = test::make_webp_with_exif(source, exif);
    for (const std::string& file : {jpeg, png, webp}) {
      const Picture plain = decoded(file), turned = decoded(file, {.exif_rotate = true});
      INFO(plain.format << " " << orientation);
      REQUIRE(plain.width == 5);
      REQUIRE(turned.width == (orientation < 5 ? 5 : 3));
      REQUIRE(turned.height == (orientation < 5 ? 3 : 5));
      for (int y = 0; y < turned.height; ++y) {
        for (int x = 0; x < turned.width; ++x) {
          const auto [sx, sy] = stored_place(orientation, x, y, 5, 3);
          const auto pixel = [](const Picture& p, int px, int py) { return p.rgb.begin() + 3 * (py * p.width + px); };
          REQUIRE(std::equal(pixel(turned, x, y), pixel(turned, x, y) + 3, pixel(plain, sx, sy)));
        }
      }
      CHECK(turned.warnings.empty());
    }
  }
}

TEST_CASE("damaged EXIF data is ignored, with a warning when it was asked for") {
  const std::string good = test::exif_orientation(6, true);
  const std::string giant = "II*\0"s + test::little(8, 4) + test::little(65'535, 2) + "xx";
  const std::string outside = "MM\0*"s + test::big(0xFFFFFFF0u, 4) + "xxxx";
  const Pattern source = test::make_pattern("scene", 4, 3, 1);
  for (const std::string& exif : {good.substr(0, 7), good.substr(0, 20), giant, outside, "junk junk"s,
                                  test::exif_orientation(9, true), test::exif_orientation(0, false)}) {
    const std::string file = test::with_png_chunk(test::make_png(source), "eXIf", exif);
    CHECK(decoded(file).warnings.empty());
    const Picture picture = decoded(file, {.exif_rotate = true});
    CHECK(picture.rgb == source.rgb);
    CHECK(picture.warnings == std::vector{"EXIF data is damaged; the picture is not turned"s});
  }
}

}  // namespace
}  // namespace florence2
