// Resizing and normalising: against the reference vectors, and against a second reading of the formulas.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "core/sha256.hpp"
#include "model/image.hpp"
#include "tests/patterns.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

using test::at;
using test::int_of;
using test::Pattern;
using test::text_of;

std::string sha_of(const std::vector<std::uint8_t>& bytes) { return sha256(std::as_bytes(std::span(bytes))); }

/// Normalised values in the reference's order, [3][side * side].
std::vector<float> channels_first(const std::vector<std::uint8_t>& rgb) {
  const auto table = normalization_table({});
  std::vector<float> values;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t i = channel; i < rgb.size(); i += 3) values.push_back(table[channel][rgb[i]]);
  }
  return values;
}

TEST_CASE("SHA-256 of the examples in FIPS 180-4") {
  const auto sha_text = [](const std::string& text) { return sha256(std::as_bytes(std::span(text))); };
  CHECK(sha_text("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha_text("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("resizing agrees with Pillow's vectors bit for bit") {
  const auto folder = test::reference_dir();
  if (!folder) {
    WARN("no reference data: resize.json is not compared");
    return;
  }
  const json::Value vectors = test::load_json(*folder + "/image/resize.json");
  int compared = 0;
  for (const json::Value& row : *at(vectors, "cases").array()) {
    const Pattern source =
        test::make_pattern(text_of(at(row, "pattern")), static_cast<int>(int_of(at(row, "width"))),
                           static_cast<int>(int_of(at(row, "height"))), static_cast<int>(int_of(at(row, "seed"))));
    INFO(text_of(at(row, "pattern")) << " " << source.width << "x" << source.height);
    REQUIRE(sha_of(source.rgb) == text_of(at(at(row, "source"), "sha256")));
    for (const json::Value& target : *at(row, "resized").array()) {
      const json::Array& to = *at(target, "to").array();
      const auto small =
          resize_bicubic(source.view(), static_cast<int>(int_of(to[0])), static_cast<int>(int_of(to[1])));
      CHECK(sha_of(small) == text_of(at(target, "sha256")));
      const auto values = channels_first(small);
      CHECK(sha256(std::as_bytes(std::span(values))) == text_of(at(target, "pixel_values_sha256")));
      ++compared;
    }
  }
  CHECK(compared >= 170);
}

TEST_CASE("normalised values agree with the reference bit for bit") {
  const auto folder = test::reference_dir();
  if (!folder) {
    WARN("no reference data: normalize.json is not compared");
    return;
  }
  const json::Value vectors = test::load_json(*folder + "/image/normalize.json");
  const auto table = normalization_table({});
  const json::Array& channels = *at(vectors, "table").array();
  REQUIRE(channels.size() == 3);
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const json::Array& values = *channels[channel].array();
    REQUIRE(values.size() == 256);
    for (std::size_t value = 0; value < 256; ++value) {
      CHECK(table[channel][value] == static_cast<float>(test::number_of(values[value])));
    }
  }
}

/// One axis as the specification says it, value by value: `pixel(i)` of `input` values to value `o` of `output`.
template <typename Pixel>
std::uint8_t resampled(const Pixel& pixel, int input, int output, int o) {
  const double scale = static_cast<double>(input) / output, fs = std::max(scale, 1.0), center = (o + 0.5) * scale;
  const int lo = std::max(0, static_cast<int>(center - 2 * fs + 0.5));
  const int hi = std::min(input, static_cast<int>(center + 2 * fs + 0.5));
  const auto f = [](double x) {
    const double a = -0.5, ax = std::fabs(x);
    if (ax < 1) return ((a + 2) * ax - (a + 3)) * (ax * ax) + 1;
    return ax < 2 ? (((ax - 5) * ax + 8) * ax - 4) * a : 0.0;
  };
  std::vector<double> weights;
  double sum = 0;
  for (int i = lo; i < hi; ++i) sum += weights.emplace_back(f((i - center + 0.5) * (1 / fs)));
  std::int64_t total = std::int64_t{1} << 21;
  for (int i = lo; i < hi; ++i) {
    const double w = weights[i - lo] / sum * 4194304.0;
    total += pixel(i) * static_cast<std::int64_t>(w < 0 ? w - 0.5 : w + 0.5);
  }
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(total >> 22, 0, 255));
}

std::vector<std::uint8_t> resize_by_definition(const ImageView& source, int width, int height) {
  std::vector<std::uint8_t> wide(std::size_t{3} * width * source.height), result(std::size_t{3} * width * height);
  for (int y = 0; y < source.height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const auto pixel = [&](int i) { return source.rgb[y * source.row_bytes + 3 * i + c]; };
        wide[(std::size_t{3} * width * y) + 3 * x + c] =
            source.width == width ? pixel(x) : resampled(pixel, source.width, width, x);
      }
    }
  }
  for (int y = 0; y < height; ++y) {
    for (int i = 0; i < 3 * width; ++i) {
      const auto pixel = [&](int row) { return wide[std::size_t{3} * width * row + i]; };
      result[std::size_t{3} * width * y + i] =
          source.height == height ? pixel(y) : resampled(pixel, source.height, height, y);
    }
  }
  return result;
}

TEST_CASE("resizing follows its definition at every small size") {
  for (int width = 1; width <= 14; ++width) {
    for (int height = 1; height <= 7; ++height) {
      const Pattern source = test::make_pattern("noise", width, height, 7 * width + height);
      for (const auto& [w, h] : {std::pair{1, 1}, {5, 3}, {11, 7}, {width, 9}, {23, height}, {width, height}}) {
        INFO(width << "x" << height << " to " << w << "x" << h);
        CHECK(resize_bicubic(source.view(), w, h) == resize_by_definition(source.view(), w, h));
      }
    }
  }
}

TEST_CASE("resizing reads only the pixels of a view with padded rows") {
  const Pattern whole = test::make_pattern("scene", 40, 30, 3);
  Pattern part{21, 17, {}};
  for (int y = 0; y < part.height; ++y) {
    const auto begin = whole.rgb.begin() + 3 * (40 * (y + 5) + 9);
    part.rgb.insert(part.rgb.end(), begin, begin + 3 * part.width);
  }
  const ImageView window{whole.rgb.data() + 3 * (40 * 5 + 9), 21, 17, 3 * 40};
  for (const auto& [w, h] : {std::pair{21, 17}, {10, 8}, {30, 17}, {21, 40}}) {
    CHECK(resize_bicubic(window, w, h) == resize_bicubic(part.view(), w, h));
  }
}

TEST_CASE("one colour stays one colour") {
  for (const int value : {0, 1, 127, 254, 255}) {
    const std::vector<std::uint8_t> flat(3 * 50 * 70, static_cast<std::uint8_t>(value));
    const auto small = resize_bicubic({flat.data(), 50, 70, 150}, 33, 90);
    CHECK(small == std::vector<std::uint8_t>(3 * 33 * 90, static_cast<std::uint8_t>(value)));
  }
}

TEST_CASE("preprocessing is resizing and the table, channels last") {
  const Pattern source = test::make_pattern("scene", 31, 45, 9);
  ImageConfig config;
  config.side = 16;
  std::vector<float> values(3 * 16 * 16);
  preprocess(values.data(), source.view(), config);
  const auto small = resize_bicubic(source.view(), 16, 16);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double expected = (small[i] / 255.0 - config.mean[i % 3]) / config.stddev[i % 3];
    // three roundings to float, of values below 1 and below 2.7: 3 * 2^-24 / 0.224 + 2.7 * 2^-24 < 1e-6
    CHECK(values[i] == Approx(expected).margin(1e-6));
  }
}

}  // namespace
}  // namespace florence2
