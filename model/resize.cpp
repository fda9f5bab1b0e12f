// Pillow's bicubic resize in fixed point (docs/model.md): two passes, 8 bits between them.
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

  const std::int32_t* weights_of(std::int64_t output) const { return weights.data() + output * stride; }
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

/// Two rows at once, as the halves of 64-bit numbers: one multiplication serves both, and because every sum fits 32
/// bits the halves can be told apart again. packed: [.][3], to the rows dst[0] and dst[1] of [outputs][3].
void resize_row_pair(const std::array<std::uint8_t*, 2>& dst, const std::int64_t* packed, const Taps& taps) {
  constexpr std::int64_t kHalves = kHalf * ((std::int64_t{1} << 32) + 1);
  const int outputs = static_cast<int>(taps.first.size());
  for (std::int64_t output = 0; output < outputs; ++output) {
    const std::int64_t* pixel = packed + std::int64_t{3} * taps.first[output];
    const std::int32_t* weights = taps.weights_of(output);
    std::array<std::int64_t, 3> sums{kHalves, kHalves, kHalves};
    for (int i = 0; i < taps.count[output]; ++i, pixel += 3) {
      sums[0] += pixel[0] * weights[i];
      sums[1] += pixel[1] * weights[i];
      sums[2] += pixel[2] * weights[i];
    }
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const auto low = static_cast<std::int32_t>(sums[channel]);
      dst[0][3 * output + channel] = to_byte(low);
      dst[1][3 * output + channel] = to_byte(static_cast<std::int32_t>((sums[channel] - low) >> 32));
    }
  }
}

/// kBytes columns of `count` weighted rows, `stride` bytes apart. The constant lets compilers write vector code.
template <int kBytes>
void sum_rows(std::uint8_t* dst, const std::uint8_t* src, std::ptrdiff_t stride, const std::int32_t* weights,
              int count) {
  std::array<std::int32_t, kBytes> sums;
  sums.fill(kHalf);
  for (int i = 0; i < count; ++i) {
    for (int j = 0; j < kBytes; ++j) sums[j] += src[i * stride + j] * weights[i];
  }
  for (int j = 0; j < kBytes; ++j) dst[j] = to_byte(sums[j]);
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
  std::vector<std::int64_t> packed(std::size_t{3} * source.width);
  for (int y = 0; y < source.height; y += 2) {
    const int other = std::min(y + 1, source.height - 1);
    const std::uint8_t* low = source.rgb + y * source.row_bytes;
    const std::uint8_t* high = source.rgb + other * source.row_bytes;
    for (std::size_t i = 0; i < packed.size(); ++i) packed[i] = low[i] | std::int64_t{high[i]} << 32;
    resize_row_pair({pixels.data() + y * row, pixels.data() + other * row}, packed.data(), taps);
  }
  return pixels;
}

std::vector<std::uint8_t> resize_height(const ImageView& source, int height) {
  constexpr int kBlock = 32;
  const Taps taps = make_taps(source.height, height);
  const int row = 3 * source.width;
  std::vector<std::uint8_t> pixels(std::size_t(row) * height);
  for (int y = 0; y < height; ++y) {
    const std::uint8_t* src = source.rgb + taps.first[y] * source.row_bytes;
    std::uint8_t* dst = pixels.data() + std::int64_t{y} * row;
    int i = 0;
    for (; i + kBlock <= row; i += kBlock) {
      sum_rows<kBlock>(dst + i, src + i, source.row_bytes, taps.weights_of(y), taps.count[y]);
    }
    for (; i < row; ++i) sum_rows<1>(dst + i, src + i, source.row_bytes, taps.weights_of(y), taps.count[y]);
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
