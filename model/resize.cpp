// Pillow's bicubic resize in fixed point (florence2 specification, section 7.1): two passes, 8 bits between them.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/check.hpp"
#include "model/image.hpp"

namespace florence2 {
namespace {

constexpr int kFractionBits = 22;
constexpr std::int32_t kHalf = 1 << (kFractionBits - 1);

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

/// For every output position of one axis: the first input position and the weights from there on.
struct Taps {
  std::vector<int> first, count;
  std::vector<std::int32_t> weights;  ///< [output][stride]
  std::int64_t stride = 0;

  const std::int32_t* weights_of(int output) const { return weights.data() + output * stride; }
};

Taps make_taps(int input_size, int output_size) {
  const double scale = static_cast<double>(input_size) / output_size;
  const double filter_scale = std::max(scale, 1.0);
  const double support = 2.0 * filter_scale;
  const double reciprocal = 1.0 / filter_scale;
  Taps taps;
  taps.stride = static_cast<std::int64_t>(std::ceil(support)) * 2 + 1;
  taps.weights.resize(static_cast<std::size_t>(taps.stride * output_size));
  std::vector<double> exact(static_cast<std::size_t>(taps.stride));
  for (int output = 0; output < output_size; ++output) {
    const double center = (output + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(center - support + 0.5));
    const int count = std::min(input_size, static_cast<int>(center + support + 0.5)) - first;
    double sum = 0;
    for (int i = 0; i < count; ++i) sum += exact[i] = cubic((i + first - center + 0.5) * reciprocal);
    std::int32_t* weights = taps.weights.data() + output * taps.stride;
    for (int i = 0; i < count; ++i) {
      const double weight = sum != 0 ? exact[i] / sum : exact[i];
      weights[i] = static_cast<std::int32_t>(weight * (1 << kFractionBits) + (weight < 0 ? -0.5 : 0.5));
    }
    taps.first.push_back(first);
    taps.count.push_back(count);
  }
  return taps;
}

std::uint8_t to_byte(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255)); }

/// One row: src [.][3] to dst [outputs][3].
void resize_row(std::uint8_t* dst, const std::uint8_t* src, const Taps& taps) {
  const int outputs = static_cast<int>(taps.first.size());
  for (int output = 0; output < outputs; ++output, dst += 3) {
    const std::uint8_t* pixel = src + std::ptrdiff_t{3} * taps.first[output];
    const std::int32_t* weights = taps.weights_of(output);
    std::int32_t red = kHalf, green = kHalf, blue = kHalf;
    for (int i = 0; i < taps.count[output]; ++i, pixel += 3) {
      red += pixel[0] * weights[i];
      green += pixel[1] * weights[i];
      blue += pixel[2] * weights[i];
    }
    dst[0] = to_byte(red);
    dst[1] = to_byte(green);
    dst[2] = to_byte(blue);
  }
}

/// Adds up `count` rows, `stride` bytes apart, in blocks that compilers turn into vector code.
void sum_rows(std::uint8_t* dst, const std::uint8_t* src, std::ptrdiff_t stride, const std::int32_t* weights, int count,
              std::int64_t bytes) {
  constexpr int kBlock = 32;
  for (std::int64_t begin = 0; begin < bytes; begin += kBlock) {
    const std::int64_t first = std::min(begin, std::max<std::int64_t>(bytes - kBlock, 0));
    const int size = static_cast<int>(std::min<std::int64_t>(bytes, kBlock));
    std::array<std::uint8_t, kBlock> values{};
    std::array<std::int32_t, kBlock> sums;
    sums.fill(kHalf);
    for (int i = 0; i < count; ++i) {
      const std::uint8_t* row = src + i * stride + first;
      if (size == kBlock) {
        for (int j = 0; j < kBlock; ++j) sums[j] += row[j] * weights[i];
      } else {
        for (int j = 0; j < size; ++j) sums[j] += row[j] * weights[i];
      }
    }
    for (int j = 0; j < kBlock; ++j) values[j] = to_byte(sums[j]);
    std::memcpy(dst + first, values.data(), static_cast<std::size_t>(size));
  }
}

std::vector<std::uint8_t> copy_rows(const ImageView& source) {
  const std::size_t row = std::size_t{3} * source.width;
  std::vector<std::uint8_t> pixels(row * source.height);
  for (int y = 0; y < source.height; ++y) {
    std::memcpy(pixels.data() + y * row, source.rgb + y * source.row_bytes, row);
  }
  return pixels;
}

std::vector<std::uint8_t> resize_width(const ImageView& source, int width) {
  const Taps taps = make_taps(source.width, width);
  const std::size_t row = std::size_t{3} * width;
  std::vector<std::uint8_t> pixels(row * source.height);
  for (int y = 0; y < source.height; ++y) resize_row(pixels.data() + y * row, source.rgb + y * source.row_bytes, taps);
  return pixels;
}

std::vector<std::uint8_t> resize_height(const ImageView& source, int height) {
  const Taps taps = make_taps(source.height, height);
  const std::size_t row = std::size_t{3} * source.width;
  std::vector<std::uint8_t> pixels(row * height);
  for (int y = 0; y < height; ++y) {
    sum_rows(pixels.data() + y * row, source.rgb + taps.first[y] * source.row_bytes, source.row_bytes,
             taps.weights_of(y), taps.count[y], static_cast<std::int64_t>(row));
  }
  return pixels;
}

}  // namespace

std::vector<std::uint8_t> resize_bicubic(const ImageView& source, int width, int height) {
  FL_DCHECK(source.width >= 1 && source.height >= 1 && width >= 1 && height >= 1);
  if (source.width == width && source.height == height) return copy_rows(source);
  if (source.width == width) return resize_height(source, height);
  std::vector<std::uint8_t> narrow = resize_width(source, width);
  if (source.height == height) return narrow;
  return resize_height({narrow.data(), width, source.height, std::ptrdiff_t{3} * width}, height);
}

}  // namespace florence2
