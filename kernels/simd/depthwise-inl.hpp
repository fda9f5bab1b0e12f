// Depthwise 3x3 convolution of one row of pixels, channels last, with bias and the residual of its block.

// A few pixels are done in one go, all their channels, so that memory is read in long pieces. What is far away, the row
// below and the result, is asked for two pieces before it is needed: into L2, because pixels are a power of two apart
// and would push each other out of L1.
constexpr std::int64_t kPixels = 8;

constexpr float kNoPixel[F32::kLanes] = {};

/// Channels [c, c + lanes) of the pixels [first, last): taps and columns of three pixels stay in registers while x
/// runs, so that each pixel is loaded once. Outside the image it is zero. kWhole: lanes fill a register.
template <bool kWhole>
inline void depthwise_channels(float* dst, const float* const rows[3], const float* weight, const float* bias,
                               std::int64_t width, std::int64_t channels, std::int64_t c, std::int64_t lanes,
                               std::int64_t first, std::int64_t last) {
  if constexpr (kWhole) lanes = F32::kLanes;
  F32 tap[9];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) tap[t] = load_lanes(weight + t * channels + c, lanes);
  const F32 offset = load_lanes(bias + c, lanes);

  const float* pixel[3];  // of the column that was loaded last
  std::int64_t step[3];
  F32 left[3], middle[3], right[3];
#pragma GCC unroll 3
  for (int dy = 0; dy < 3; ++dy) {
    const bool inside = rows[dy] != nullptr;
    pixel[dy] = inside ? rows[dy] + first * channels + c : kNoPixel;
    step[dy] = inside ? channels : 0;
    left[dy] = first > 0 ? load_lanes(pixel[dy] - step[dy], lanes) : set1(0.0f);
    middle[dy] = load_lanes(pixel[dy], lanes);
  }
  const std::int64_t ahead = 2 * kPixels * channels;
  float* result = dst + first * channels + c;
  for (std::int64_t x = first; x < last; ++x, result += channels) {
#pragma GCC unroll 3
    for (int dy = 0; dy < 3; ++dy) {
      pixel[dy] += step[dy];
      right[dy] = x + 1 < width ? load_lanes(pixel[dy], lanes) : set1(0.0f);
    }
    __builtin_prefetch(pixel[2] + ahead, 0, 2);
    __builtin_prefetch(result + ahead, 1, 2);
    F32 acc = offset;
#pragma GCC unroll 3
    for (int dy = 0; dy < 3; ++dy) {
      acc = fma(left[dy], tap[3 * dy], acc);
      acc = fma(middle[dy], tap[3 * dy + 1], acc);
      acc = fma(right[dy], tap[3 * dy + 2], acc);
    }
    store_lanes(result, acc + middle[1], lanes);
#pragma GCC unroll 3
    for (int dy = 0; dy < 3; ++dy) {
      left[dy] = middle[dy];
      middle[dy] = right[dy];
    }
  }
}

void depthwise3x3_row(float* dst, const float* const rows[3], const float* weight, const float* bias,
                      std::int64_t width, std::int64_t channels) {
  constexpr std::int64_t lanes = F32::kLanes;
  const std::int64_t whole = channels / lanes * lanes;
  for (std::int64_t x = 0; x < width; x += kPixels) {
    const std::int64_t end = width - x < kPixels ? width : x + kPixels;
    for (std::int64_t c = 0; c < whole; c += lanes) {
      depthwise_channels<true>(dst, rows, weight, bias, width, channels, c, lanes, x, end);
    }
    if (whole < channels) {
      depthwise_channels<false>(dst, rows, weight, bias, width, channels, whole, channels - whole, x, end);
    }
  }
}
