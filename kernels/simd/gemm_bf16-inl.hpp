// The bf16 product by dot products: the register tile of gemm8-inl.hpp over pairs of k, with f32 sums. An element's sum
// takes one pair after the other, the second of the pair first.

inline F32 add_dot_bf16(F32 acc, Bytes a, Bytes b) {
  return {_mm512_dpbf16_ps(acc.v, __builtin_bit_cast(__m512bh, a.v), __builtin_bit_cast(__m512bh, b.v))};
}

/// Not inlined, like gemm_tile.
template <int kRows>
[[gnu::noinline]] void gemm_bf16_tile(const GemmBlockBf16& g, std::int64_t row0, NextLines& next) {
  F32 acc[kRows][kPanelRegisters];
  TileRows<kRows, std::uint16_t> a(g.a + row0 * g.a_stride, g.a_stride);
  prefetch_residual<kRows>(g, row0);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) acc[i][j] = set1(0.0f);
  }
  const auto* b = reinterpret_cast<const std::int8_t*>(g.panels);
  for (std::int64_t k = 0; k < g.k; k += 2, b += g.group_bytes, a.advance(2)) {
    add_groups(acc, a, b, g.strip_bytes, add_dot_bf16);
    if constexpr (kRows > 2) next.fetch_one();
  }
  finish_sums(g, row0, acc);
}

template <int kMaxRows>
void gemm_bf16(const GemmBlockBf16& whole) {
  for_each_panel(whole, [](const GemmBlockBf16& g, const void* next_panel) {
    NextLines next(next_panel, g.k * 2 * kPanelWidth);
    std::int64_t row = 0;
    for (; row + kMaxRows <= g.m; row += kMaxRows) gemm_bf16_tile<kMaxRows>(g, row, next);
    with_rows<kMaxRows - 1>(g.m - row, [&]<int kRows>() { gemm_bf16_tile<kRows>(g, row, next); });
  });
}

/// The table with bf16 products.
constexpr KernelTable with_bf16_dots(KernelTable t) {
  t = with_rounding(t);
  t.gemm_f32_bf16_bf16p = gemm_bf16<kTileRows8>;
  return t;
}
