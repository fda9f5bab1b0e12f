// Depthwise 3x3 convolution of one row of pixels, channels last, with bias and the residual of its block.

// A few pixels are done in one go, all their channels, so that memory is read in long pieces. What is far away, the row
// below and the result, is asked for two pieces before it is needed: into L2, because pixels are a power of two apart
// and would push each other out of L1.
constexpr std::int64_t kPixels = 8;

/// Three pixels above each other.
struct Column {
  F32 v[3];
};

/// Channels [c, c + lanes) of the pixels [first, last): taps and columns stay in registers while x runs, so that each
/// pixel is loaded once. Outside the image it is zero.
inline void depthwise_channels(float* dst, const float* const rows[3], const float* weight, const float* bias,
                               std::int64_t width, std::int64_t channels, std::int64_t c, std::int64_t lanes,
                               std::int64_t first, std::int64_t last) {
  F32 tap[9];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) tap[t] = load_lanes(weight + t * channels + c, lanes);
  const F32 offset = load_lanes(bias + c, lanes);
  const auto column = [&](std::int64_t x) {
    Column r;
#pragma GCC unroll 3
    for (int dy = 0; dy < 3; ++dy) {
      const bool inside = x >= 0 && x < width && rows[dy] != nullptr;
      r.v[dy] = inside ? load_lanes(rows[dy] + x * channels + c, lanes) : set1(0.0f);
    }
    return r;
  };
  Column left = column(first - 1), middle = column(first);
  for (std::int64_t x = first; x < last; ++x) {
    const std::int64_t ahead = (x + 2 * kPixels) * channels + c;
    if (rows[2] != nullptr) __builtin_prefetch(rows[2] + ahead, 0, 2);
    __builtin_prefetch(dst + ahead, 1, 2);
    const Column right = column(x + 1);
    F32 acc = offset;
#pragma GCC unroll 3
    for (int dy = 0; dy < 3; ++dy) {
      acc = fma(left.v[dy], tap[3 * dy], acc);
      acc = fma(middle.v[dy], tap[3 * dy + 1], acc);
      acc = fma(right.v[dy], tap[3 * dy + 2], acc);
    }
    store_lanes(dst + x * channels + c, acc + middle.v[1], lanes);
    left = middle;
    middle = right;
  }
}

void depthwise3x3_row(float* dst, const float* const rows[3], const float* weight, const float* bias,
                      std::int64_t width, std::int64_t channels) {
  for (std::int64_t x = 0; x < width; x += kPixels) {
    const std::int64_t end = width - x < kPixels ? width : x + kPixels;
    for (std::int64_t c = 0; c < channels; c += F32::kLanes) {
      const std::int64_t lanes = channels - c < F32::kLanes ? channels - c : F32::kLanes;
      depthwise_channels(dst, rows, weight, bias, width, channels, c, lanes, x, end);
    }
  }
}
