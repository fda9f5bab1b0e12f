// Depthwise 3x3 convolution of one row of pixels, channels last, with bias and the residual of its block.

// With wide registers waiting for memory is most of the time: a few pixels are done in one go, so that it is read in
// long pieces, and what is far away, the row below and the result, is asked for two pieces before it is needed. The
// CPUs with AVX2 alone that were measured are slower that way, and do a whole row.
#if defined(FL_SIMD_AVX512)
constexpr bool kAskAhead = true;
constexpr std::int64_t kPixels = 8;
#else
constexpr bool kAskAhead = false;
constexpr std::int64_t kPixels = std::int64_t{1} << 31;
#endif

/// Channels [c, c + lanes) of the pixels [first, last): the nine taps stay in registers while x runs.
inline void depthwise_channels(float* dst, const float* const rows[3], const float* weight, const float* bias,
                               std::int64_t width, std::int64_t channels, std::int64_t c, std::int64_t lanes,
                               std::int64_t first, std::int64_t last) {
  F32 tap[9];
  for (int t = 0; t < 9; ++t) tap[t] = load_partial(weight + t * channels + c, lanes);
  const F32 offset = load_partial(bias + c, lanes);
  for (std::int64_t x = first; x < last; ++x) {
    if constexpr (kAskAhead) {
      const std::int64_t ahead = (x + 2 * kPixels) * channels + c;
      if (rows[2] != nullptr) __builtin_prefetch(rows[2] + ahead, 0, 3);
      __builtin_prefetch(dst + ahead, 1, 3);
    }
    F32 acc = offset;
#pragma GCC unroll 3
    for (int dy = 0; dy < 3; ++dy) {
      const float* row = rows[dy];
      if (row == nullptr) continue;
      const float* pixel = row + x * channels + c;
      if (x > 0) acc = fma(load_lanes(pixel - channels, lanes), tap[3 * dy], acc);
      acc = fma(load_lanes(pixel, lanes), tap[3 * dy + 1], acc);
      if (x + 1 < width) acc = fma(load_lanes(pixel + channels, lanes), tap[3 * dy + 2], acc);
    }
    store_lanes(dst + x * channels + c, acc + load_lanes(rows[1] + x * channels + c, lanes), lanes);
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
