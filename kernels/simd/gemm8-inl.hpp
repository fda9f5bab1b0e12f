// The 8-bit matrix product: a register tile like that of gemm-inl.hpp with exact int32 sums, which become floats in the
// epilogue.

/// The bits of a group of activations: four bytes, or two 16-bit integers.
inline std::int32_t load_group(const void* p) {
  std::int32_t group;
  __builtin_memcpy(&group, p, sizeof(group));
  return group;
}

/// Where register j of a group of B begins: in the panel's strip, or in its j-th one where a register fills a strip.
inline std::int64_t register_offset(int j, std::int64_t strip_bytes) {
  if constexpr (F32::kLanes * kGroup == kStripGroupBytes) return j * strip_bytes;
  return j * F32::kLanes * kGroup;
}

/// One step of a tile of dot products: a group of k of each row of A times that of each column of B, whose registers
/// lie register_bytes apart. add(sum, group of A in all lanes, groups of B).
template <int kRows, typename Sum, typename Element, typename Add>
inline void add_groups(Sum (&acc)[kRows][kPanelRegisters], const TileRows<kRows, Element>& a, const std::int8_t* b,
                       std::int64_t register_bytes, const Add& add) {
  Bytes column[kPanelRegisters];
#pragma GCC unroll 2
  for (int j = 0; j < kPanelRegisters; ++j) column[j] = load_bytes(b + j * register_bytes);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    const Bytes row = broadcast_group(load_group(a[i]));
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) acc[i][j] = add(acc[i][j], row, column[j]);
  }
}

#if defined(FL_SIMD_VNNI) || defined(FL_SIMD_SCALAR)
constexpr int kStep = kGroup;
template <int kRows>
inline void gemm8_step(I32 (&acc)[kRows][kPanelRegisters], const TileRows<kRows, std::uint8_t>& a, const std::int8_t* b,
                       std::int64_t strip_bytes) {
  add_groups(acc, a, b, register_offset(1, strip_bytes), add_dot);
}
#else
constexpr int kStep = 2 * kGroup;
template <int kRows>
inline void gemm8_step(I32 (&acc)[kRows][kPanelRegisters], const TileRows<kRows, std::uint8_t>& a, const std::int8_t* b,
                       std::int64_t strip_bytes) {
  Bytes first[kPanelRegisters], second[kPanelRegisters];
#pragma GCC unroll 2
  for (int j = 0; j < kPanelRegisters; ++j) {
    first[j] = load_bytes(b + register_offset(j, strip_bytes));
    second[j] = load_bytes(b + kStripGroupBytes + register_offset(j, strip_bytes));
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    const Bytes row = broadcast_group(load_group(a[i])), next = broadcast_group(load_group(a[i] + kGroup));
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) acc[i][j] = add_dots(acc[i][j], row, first[j], next, second[j]);
  }
}
#endif

/// What turns sums of products into floats, the panel's share of it in registers.
struct Dequantizer {
  const float* row_scale;
  const float* row_zero;
  F32 column_scale[kPanelRegisters];
  F32 minus_column_sum[kPanelRegisters];

  explicit Dequantizer(const GemmBlock8& g) : row_scale(g.row_scale), row_zero(g.row_zero) {
    for (int j = 0; j < kPanelRegisters; ++j) {
      column_scale[j] = load(g.column_scale + j * F32::kLanes);
      minus_column_sum[j] = set1(0.0f) - to_float(load_i32(g.column_sum + j * F32::kLanes));
    }
  }
  /// Register j of row `row` of C, before the epilogue.
  F32 value(std::int64_t row, int j, I32 sums) const {
    const F32 centred = fused(set1(row_zero[row]), minus_column_sum[j], to_float(sums));
    return centred * (set1(row_scale[row]) * column_scale[j]);
  }
};

/// The epilogue of `rows` rows of q from row0 on, an even number where there are two terms: those are added in place.
[[gnu::noinline]] void finish_values(const GemmBlock8& g, std::int64_t row0, int rows, float* tile) {
  if (g.terms == 1) return finish_tile(g, row0, rows, tile);
  for (int i = 0; i < rows / 2; ++i) {
    for (int j = 0; j < kPanelWidth; j += F32::kLanes) {
      const float* const term = tile + 2 * i * kPanelWidth + j;
      store(tile + i * kPanelWidth + j, load(term) + load(term + kPanelWidth));
    }
  }
  finish_tile(g, row0 / 2, rows / 2, tile);
}

/// Not inlined, like gemm_tile.
template <int kRows>
[[gnu::noinline]] void gemm8_tile(const GemmBlock8& g, std::int64_t row0, NextLines& next) {
  I32 acc[kRows][kPanelRegisters];
  TileRows<kRows, std::uint8_t> a(g.a + row0 * g.a_stride, g.a_stride);
  if (g.terms == 1) prefetch_residual<kRows>(g, row0);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) acc[i][j] = zero_i32();
  }
  const std::int8_t* b = g.strips;
  for (std::int64_t k = 0; k < g.k; k += kStep, b += kStep / kGroup * kStripGroupBytes, a.advance(kStep)) {
    gemm8_step(acc, a, b, g.strip_bytes);
    if constexpr (kRows > 2) next.fetch_one();
  }
  const Dequantizer dequantizer(g);
  float tile[kRows * kPanelWidth];
#pragma GCC unroll 2
  for (int j = 0; j < kPanelRegisters; ++j) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      store(tile + i * kPanelWidth + j * F32::kLanes, dequantizer.value(row0 + i, j, acc[i][j]));
    }
  }
  finish_values(g, row0, kRows, tile);
}

void gemm8(const GemmBlock8& whole) {
  constexpr int kMaxRows = kTileRows8;
  static_assert(kMaxRows % 2 == 0);  // both terms of a row
  for_each_panel(whole, [](const GemmBlock8& g, const void* next_panel) {
    NextLines next(next_panel, g.k * kPanelWidth);
    std::int64_t row = 0;
    for (; row + kMaxRows <= g.m; row += kMaxRows) gemm8_tile<kMaxRows>(g, row, next);
    with_rows<kMaxRows - 1>(g.m - row, [&]<int kRows>() { gemm8_tile<kRows>(g, row, next); });
  });
}
