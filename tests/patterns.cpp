#include "tests/patterns.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace florence2::test {
namespace {

using Colour = std::array<std::int64_t, 3>;

/// Sets every pixel to colour(x, y); negative and large values wrap to bytes.
template <typename Function>
void fill(Pattern& picture, const Function& colour) {
  std::uint8_t* dst = picture.rgb.data();
  for (std::int64_t y = 0; y < picture.height; ++y) {
    for (std::int64_t x = 0; x < picture.width; ++x) {
      for (const std::int64_t value : Colour(colour(x, y))) *dst++ = static_cast<std::uint8_t>(value);
    }
  }
}

std::int64_t triangle(std::int64_t t) { return std::abs((t % 510 + 510) % 510 - 255); }

class Lcg {
 public:
  explicit Lcg(std::int64_t seed) : state_(seed) {}
  std::int64_t below(std::int64_t n) {
    state_ = (state_ * 1'103'515'245 + 12'345) % (std::int64_t{1} << 31);
    return (state_ >> 8) % n;
  }
  Colour colour() {
    Colour values{};
    for (std::int64_t& value : values) value = below(256);
    return values;
  }

 private:
  std::int64_t state_;
};

template <typename Inside>
void paint(Pattern& picture, const Colour& colour, const Inside& inside) {
  std::uint8_t* dst = picture.rgb.data();
  for (std::int64_t y = 0; y < picture.height; ++y) {
    for (std::int64_t x = 0; x < picture.width; ++x, dst += 3) {
      if (!inside(x, y)) continue;
      for (std::size_t channel = 0; channel < 3; ++channel) dst[channel] = static_cast<std::uint8_t>(colour[channel]);
    }
  }
}

void scene(Pattern& picture, std::int64_t seed) {
  fill(picture, [&](std::int64_t x, std::int64_t y) {
    return Colour{triangle(2 * x + y + 37 * seed), triangle(3 * y - x + 91 * seed), triangle(x * y / 48 + 53 * seed)};
  });
  const std::int64_t width = picture.width, height = picture.height;
  Lcg random(seed);
  for (int i = 0; i < 14; ++i) {
    const std::int64_t x0 = random.below(width), y0 = random.below(height);
    const std::int64_t w = 1 + random.below(std::max<std::int64_t>(1, width / 3));
    const std::int64_t h = 1 + random.below(std::max<std::int64_t>(1, height / 3));
    paint(picture, random.colour(),
          [=](std::int64_t x, std::int64_t y) { return x >= x0 && x < x0 + w && y >= y0 && y < y0 + h; });
  }
  for (int i = 0; i < 5; ++i) {
    const std::int64_t cx = random.below(width), cy = random.below(height);
    const std::int64_t r = 1 + random.below(std::max<std::int64_t>(1, std::min(width, height) / 5));
    paint(picture, random.colour(),
          [=](std::int64_t x, std::int64_t y) { return (x - cx) * (x - cx) + (y - cy) * (y - cy) <= r * r; });
  }
}

void noise(Pattern& picture, std::int64_t seed) {
  const auto start = static_cast<std::uint32_t>(seed * 2'654'435'761);
  for (std::size_t i = 0; i < picture.rgb.size(); ++i) {
    std::uint32_t v = static_cast<std::uint32_t>(i) + start;
    v ^= v >> 16;
    v *= 0x7FEB352Du;
    v ^= v >> 15;
    v *= 0x846CA68Bu;
    v ^= v >> 16;
    picture.rgb[i] = static_cast<std::uint8_t>(v);
  }
}

}  // namespace

Pattern make_pattern(const std::string& name, int width, int height, int seed) {
  Pattern picture{width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height)};
  if (name == "scene") scene(picture, seed);
  if (name == "noise") noise(picture, seed);
  if (name == "ramp") {
    fill(picture, [&](std::int64_t x, std::int64_t y) {
      return Colour{x * 255 / std::max(width - 1, 1), y * 255 / std::max(height - 1, 1), x + y + seed};
    });
  }
  if (name == "stripes") {
    fill(picture, [&](std::int64_t x, std::int64_t y) {
      return Colour{(x + seed) % 3 == 0 ? 255 : 0, y % 2 == 0 ? 255 : 0, ((x ^ y) & 4) != 0 ? 255 : 0};
    });
  }
  return picture;
}

}  // namespace florence2::test
