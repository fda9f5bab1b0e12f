// The 8-bit matrix product: rows are quantised as they come, weights were when they were packed. The register tile is
// that of gemm-inl.hpp with exact int32 sums, which become floats in the epilogue.

/// dst = quantised src[0, k), as the table's Activation; what is missing to a multiple of kDepthUnit is zero.
/// The range includes 0, so that 0 is exact: q = round(x / scale) + zero, scale = (max - min) / 255.
void quantize_row(void* dst, float* scale, std::int32_t* zero, const float* src, std::int64_t k) {
  const F32 none = set1(0.0f);
  F32 low = none, high = none, poison = none;  // poison: 0, or NaN when any element is not finite
  const auto include = [&](F32 x) {
    low = min(x, low);
    high = max(x, high);
    poison = fma(x, none, poison);
  };
  std::int64_t i = 0;
  for (; i + F32::kLanes <= k; i += F32::kLanes) include(load(src + i));
  if (i < k) include(load_partial(src + i, k - i));
  const float least = -reduce_max(none - low), most = reduce_max(high), bad = reduce_add(poison);
  const float step = (most - least) / 255.0f;
  const float inverse = step > 0 ? 1.0f / step : 0.0f;
  *scale = step + bad;
  // Between 0 and 255 for finite rows; a row that is not finite has NaN as its scale, whatever its q.
  const float origin = bad == 0 ? -least * inverse : 0.0f;
  *zero = static_cast<std::int32_t>(origin + 0.5f);
  const F32 factor = set1(bad == 0 ? inverse : 0.0f), offset = set1(static_cast<float>(*zero));
  const F32 top = set1(255.0f), shift = set1(sizeof(Activation) == 1 ? 0.0f : static_cast<float>(*zero));
  const auto quantized = [&](F32 x) {
    return to_integer(min(max(round_to_integer(x * factor) + offset, none), top) - shift);
  };
  auto* const q = static_cast<Activation*>(dst);
  for (i = 0; i + F32::kLanes <= k; i += F32::kLanes) store_activations(q + i, quantized(load(src + i)));
  if (i < k) {
    Activation tail[F32::kLanes];
    store_activations(tail, quantized(load_partial(src + i, k - i)));
    for (; i < k; ++i) q[i] = tail[i % F32::kLanes];
  }
  for (; i % kDepthUnit != 0; ++i) q[i] = 0;
}

/// The bits of a group of activations.
inline std::int32_t load_group(const Activation* p) {
  static_assert(sizeof(Activation) * kGroup == sizeof(std::int32_t));
  std::int32_t group;
  __builtin_memcpy(&group, p, sizeof(group));
  return group;
}

/// Register j of row `row` of C, before the epilogue, from the sums of its products.
inline F32 dequantize(const GemmBlock8& g, std::int64_t row, int j, I32 sums) {
#if defined(FL_SIMD_VNNI)
  sums = subtract_product(sums, g.row_zero[row], g.column_sum + j * F32::kLanes);
#endif
  return to_float(sums) * (set1(g.row_scale[row]) * load(g.column_scale + j * F32::kLanes));
}

template <int kRows>
inline void gemm8_tile(const GemmBlock8& g, std::int64_t row0) {
  I32 acc[kRows][kPanelRegisters];
  const Activation* a[kRows];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    a[i] = static_cast<const Activation*>(g.a) + (row0 + i) * g.a_stride;
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) acc[i][j] = zero_i32();
  }
  const std::int8_t* b = g.panel;
#pragma GCC unroll 2
  for (std::int64_t k = 0; k < g.k; k += kGroup, b += kPanelWidth * kGroup) {
    Weights8 column[kPanelRegisters];
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) column[j] = load_weights(b + j * F32::kLanes * kGroup);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const std::int32_t group = load_group(a[i] + k);
#pragma GCC unroll 2
      for (int j = 0; j < kPanelRegisters; ++j) acc[i][j] = add_dot(acc[i][j], group, column[j]);
    }
  }
  float tile[kRows * kPanelWidth];
#pragma GCC unroll 2
  for (int j = 0; j < kPanelRegisters; ++j) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      store(tile + i * kPanelWidth + j * F32::kLanes, dequantize(g, row0 + i, j, acc[i][j]));
    }
  }
  finish_tile(g, row0, kRows, tile);
}

/// The last rows % kMaxRows rows, by a tile of just that height.
template <int kRows>
inline void gemm8_remainder(const GemmBlock8& g, std::int64_t row0, std::int64_t rows) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      gemm8_tile<kRows>(g, row0);
    } else {
      gemm8_remainder<kRows - 1>(g, row0, rows);
    }
  }
}

template <int kMaxRows>
void gemm8(const GemmBlock8& g) {
  std::int64_t row = 0;
  for (; row + kMaxRows <= g.m; row += kMaxRows) {
    prefetch_next(g, row / kMaxRows, g.m / kMaxRows);
    gemm8_tile<kMaxRows>(g, row);
  }
  gemm8_remainder<kMaxRows - 1>(g, row, g.m - row);
}
