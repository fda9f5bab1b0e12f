// The 16-bit matrix product: the register tile of gemm-inl.hpp over pairs of k, with exact int32 sums.

// Rows of the tile: with two registers of B and one of A they fill the registers.
#if defined(FL_SIMD_AVX512)
constexpr int kTileRows16 = 12;
#else
constexpr int kTileRows16 = 6;
#endif

template <int kRows>
inline void gemm16_tile(const GemmBlock16& g, std::int64_t row0) {
  I32 acc[kRows][kPanelRegisters];
  TileRows<kRows, std::int16_t> a(g.a + row0 * g.a_stride, g.a_stride);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) acc[i][j] = zero_i32();
  }
  constexpr std::int64_t register_bytes = sizeof(Bytes);
  const auto* b = reinterpret_cast<const std::int8_t*>(g.panel);
  for (std::int64_t k = 0; k < g.k; k += 2, b += kPanelRegisters * register_bytes, a.advance(2)) {
    add_groups(acc, a, b, register_bytes, add_dot16);
  }
#pragma GCC unroll 2
  for (int j = 0; j < kPanelRegisters; ++j) {
    const F32 scale = load(g.column_scale + j * F32::kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const F32 x = to_float(acc[i][j]) * (set1(g.row_scale[row0 + i]) * scale);
      store_lanes(g.c + (row0 + i) * g.c_stride + j * F32::kLanes, x, valid_lanes(g.n, j));
    }
  }
}

void gemm16(const GemmBlock16& g) {
  std::int64_t row = 0;
  for (; row + kTileRows16 <= g.m; row += kTileRows16) gemm16_tile<kTileRows16>(g, row);
  with_rows<kTileRows16 - 1>(g.m - row, [&]<int kRows>() { gemm16_tile<kRows>(g, row); });
}
