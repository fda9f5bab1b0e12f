// The matrix product's register tile: MR rows times NV registers of a packed panel, one template for every tile height
// and panel type.

struct PanelF32 {
  using Element = float;
  static F32 get(const float* p) { return load(p); }
};
struct PanelF16 {
  using Element = std::uint16_t;
  static F32 get(const std::uint16_t* p) { return load_f16(p); }
};
struct PanelBf16 {
  using Element = std::uint16_t;
  static F32 get(const std::uint16_t* p) { return load_bf16(p); }
};

constexpr int kPanelRegisters = 2;
constexpr int kPanelWidth = kPanelRegisters * F32::kLanes;

/// Lanes of register j that lie inside the panel's n valid columns.
inline std::int64_t valid_lanes(std::int64_t n, int j) {
  const std::int64_t left = n - static_cast<std::int64_t>(j) * F32::kLanes;
  return left < 0 ? 0 : (left > F32::kLanes ? F32::kLanes : left);
}

// Whole registers where the panel is full: masked stores are slow on some CPUs.
inline F32 load_lanes(const float* p, std::int64_t lanes) {
  return lanes == F32::kLanes ? load(p) : load_partial(p, lanes);
}
inline void store_lanes(float* p, F32 a, std::int64_t lanes) {
  if (lanes == F32::kLanes) {
    store(p, a);
  } else {
    store_partial(p, a, lanes);
  }
}

/// Bias, GELU and residual on the finished sums tile[rows][kPanelWidth] of rows [row0, row0 + rows), and the store to
/// C. Block: GemmBlock, GemmBlock8 or GemmBlockBf16.
template <typename Block>
[[gnu::noinline]] void finish_tile(const Block& g, std::int64_t row0, int rows, const float* tile) {
  const GemmEpilogue& e = *g.epilogue;
  for (int j = 0; j < kPanelRegisters; ++j) {
    const std::int64_t lanes = valid_lanes(g.n, j), col = j * F32::kLanes;
    const F32 bias = e.bias != nullptr ? load_lanes(e.bias + col, lanes) : set1(0.0f);
    for (int i = 0; i < rows; ++i) {
      const std::int64_t row = row0 + i;
      F32 x = load(tile + i * kPanelWidth + col) + bias;
      if (e.gelu) x = gelu(x);
      if (e.residual != nullptr) x = x + load_lanes(e.residual + row * e.residual_stride + col, lanes);
      store_lanes(g.c + row * g.c_stride + col, x, lanes);
    }
  }
}

/// Asks for the lines of the residual that finish_tile will add: they are far away, and waiting for them shows.
template <int kRows, typename Block>
inline void prefetch_residual(const Block& g, std::int64_t row0) {
  if (g.epilogue == nullptr || g.epilogue->residual == nullptr) return;
  const float* const residual = g.epilogue->residual + row0 * g.epilogue->residual_stride;
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) __builtin_prefetch(residual + i * g.epilogue->residual_stride, 0, 3);
}

template <int kRows, typename Panel>
inline void gemm_tile(const GemmBlock& g, std::int64_t row0) {
  F32 acc[kRows][kPanelRegisters];
  const float* a[kRows];
  prefetch_residual<kRows>(g, row0);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    a[i] = g.a + (row0 + i) * g.a_stride;
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) {
      acc[i][j] = set1(0.0f);
      if (g.start != nullptr) {
        acc[i][j] = load_lanes(g.start + (row0 + i) * g.start_stride + j * F32::kLanes, valid_lanes(g.n, j));
      }
    }
  }
  const auto* b = static_cast<const typename Panel::Element*>(g.panel);
  for (std::int64_t k = 0; k < g.k; ++k, b += kPanelWidth) {
    F32 column[kPanelRegisters];
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) column[j] = Panel::get(b + j * F32::kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const F32 x = set1(a[i][k]);
#pragma GCC unroll 2
      for (int j = 0; j < kPanelRegisters; ++j) acc[i][j] = fma(x, column[j], acc[i][j]);
    }
  }
  if (g.epilogue == nullptr) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < kPanelRegisters; ++j) {
        store_lanes(g.c + (row0 + i) * g.c_stride + j * F32::kLanes, acc[i][j], valid_lanes(g.n, j));
      }
    }
    return;
  }
  // The epilogue is one loop outside the template: unrolled here it would be most of the code of every tile.
  float tile[kRows * kPanelWidth];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) store(tile + i * kPanelWidth + j * F32::kLanes, acc[i][j]);
  }
  finish_tile(g, row0, kRows, tile);
}

/// The last rows of a block, fewer than a whole tile, by a tile of just that height: tile.operator()<rows>() for
/// 0 < rows <= kMost.
template <int kMost, typename Tile>
inline void with_rows(std::int64_t rows, const Tile& tile) {
  if constexpr (kMost > 0) {
    if (rows == kMost) {
      tile.template operator()<kMost>();
    } else {
      with_rows<kMost - 1>(rows, tile);
    }
  }
}

/// Asks for the lines of share `index` of `count` of the block's `next` memory.
template <typename Block>
inline void prefetch_next(const Block& g, std::int64_t index, std::int64_t count) {
  constexpr std::int64_t line = 64;
  const std::int64_t share = (g.next_bytes + count * line - 1) / (count * line) * line;
  const char* const next = static_cast<const char*>(g.next);
  const std::int64_t end = (index + 1) * share < g.next_bytes ? (index + 1) * share : g.next_bytes;
  for (std::int64_t i = index * share; i < end; i += line) __builtin_prefetch(next + i, 0, 2);
}

template <int kMaxRows, typename Panel>
void gemm(const GemmBlock& g) {
  std::int64_t row = 0;
  for (; row + kMaxRows <= g.m; row += kMaxRows) {
    prefetch_next(g, row / kMaxRows, g.m / kMaxRows);
    gemm_tile<kMaxRows, Panel>(g, row);
  }
  with_rows<kMaxRows - 1>(g.m - row, [&]<int kRows>() { gemm_tile<kRows, Panel>(g, row); });
}

template <typename Panel>
void widen(float* dst, const std::uint16_t* src, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + F32::kLanes <= n; i += F32::kLanes) store(dst + i, Panel::get(src + i));
  if (i < n) {
    std::uint16_t tail[F32::kLanes] = {};
    for (std::int64_t j = i; j < n; ++j) tail[j - i] = src[j];
    store_partial(dst + i, Panel::get(tail), n - i);
  }
}
