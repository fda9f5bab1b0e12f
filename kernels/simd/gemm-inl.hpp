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
/// A panel of half precision that is left in f32 as well, for the tiles that follow.
template <typename Panel>
struct Widened : Panel {
  static constexpr bool kWidened = true;
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

inline const GemmEpilogue& epilogue_of(const GemmBlock& g) { return *g.epilogue; }
template <typename Block>
inline const GemmEpilogue& epilogue_of(const Block& g) {
  return g.epilogue;
}

/// GELU as exact as a block's sums are.
template <typename Value>
inline Value gelu_of(const GemmBlock&, const Value& x) {
  return gelu(x);
}
template <typename Block, typename Value>
inline Value gelu_of(const Block&, const Value& x) {
  return gelu_8bit(x);
}

#if defined(FL_SIMD_AMX)
/// A row of a whole panel rounded to bf16.
inline void store_bf16_row(std::uint16_t* dst, const F32s<kPanelRegisters>& x) {
  _mm512_storeu_si512(dst, __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(x.v[1].v, x.v[0].v)));
}
#endif

/// Whether row `row` of C was stored as bf16.
inline bool stored_in_bf16(const GemmBlock&, std::int64_t, const F32s<kPanelRegisters>&) { return false; }
template <typename Block>
inline bool stored_in_bf16(const Block& g, [[maybe_unused]] std::int64_t row,
                           [[maybe_unused]] const F32s<kPanelRegisters>& x) {
  if (g.c_bf16 == nullptr) return false;
#if defined(FL_SIMD_AMX)
  store_bf16_row(g.c_bf16 + row * g.c_stride, x);
#endif
  return true;
}

/// Bias, GELU and residual on the finished sums tile[rows][kPanelWidth] of rows [row0, row0 + rows), and the store to
/// C. Block: GemmBlock, GemmBlock8 or GemmBlockBf16.
template <typename Block>
[[gnu::noinline]] void finish_tile(const Block& g, std::int64_t row0, int rows, const float* tile) {
  using Row = F32s<kPanelRegisters>;
  const GemmEpilogue e = epilogue_of(g);
  const auto lanes = [&](int j) { return valid_lanes(g.n, j); };
  const auto load_row = [&](const float* p) {
    return for_each_register<kPanelRegisters>([&](int j) { return load_lanes(p + j * F32::kLanes, lanes(j)); });
  };
  const Row bias = e.bias != nullptr ? load_row(e.bias) : Row{};
  const float* residual = e.residual != nullptr ? e.residual + row0 * e.residual_stride : nullptr;
  for (int i = 0; i < rows; ++i, tile += kPanelWidth) {
    Row x = load_several<kPanelRegisters>(tile) + bias;
    if (e.gelu) x = gelu_of(g, x);
    if (residual != nullptr) {
      x = x + load_row(residual);
      residual += e.residual_stride;
    }
    if (stored_in_bf16(g, row0 + i, x)) continue;
    float* const c = g.c + (row0 + i) * g.c_stride;
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) store_lanes(c + j * F32::kLanes, x.v[j], lanes(j));
  }
}

/// Asks for the lines of the residual that finish_tile will add: they are far away, and waiting for them shows.
template <int kRows, typename Block>
inline void prefetch_residual(const Block& g, std::int64_t row0) {
  const GemmEpilogue& e = epilogue_of(g);
  if (e.residual == nullptr) return;
  const float* const residual = e.residual + row0 * e.residual_stride;
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) __builtin_prefetch(residual + i * e.residual_stride, 0, 3);
}

/// The elements of a tile's rows that are multiplied next. Every third row has a pointer; the two behind it lie one and
/// two strides further, which an address can say. A pointer a row would be more than there are registers.
template <int kRows, typename T>
class TileRows {
 public:
  TileRows(const T* first, std::int64_t stride) : stride_(stride) {
    for (int i = 0; i < kPointers; ++i) pointers_[i] = first + i * kRowsPerPointer * stride;
  }
  const T* operator[](int row) const { return pointers_[row / kRowsPerPointer] + row % kRowsPerPointer * stride_; }
  void advance(std::int64_t elements) {
#pragma GCC unroll 8
    for (int i = 0; i < kPointers; ++i) {
      pointers_[i] += elements;
      __asm__("" : "+r"(pointers_[i]));  // or the compiler makes a pointer a row of them
    }
  }

 private:
  static constexpr int kRowsPerPointer = 3;
  static constexpr int kPointers = (kRows + kRowsPerPointer - 1) / kRowsPerPointer;
  const T* pointers_[kPointers];
  std::int64_t stride_;
};

/// The lines that will be read next, asked for one at a time between products: many at once would hold these up.
class NextLines {
 public:
  NextLines() = default;
  NextLines(const void* begin, std::int64_t bytes)
      : next_(static_cast<const char*>(begin)), end_(begin != nullptr ? next_ + bytes : next_) {}
  void fetch_one() {
    if (next_ >= end_) return;
    __builtin_prefetch(next_, 0, 2);
    next_ += 64;
  }

 private:
  const char* next_ = nullptr;
  const char* end_ = nullptr;
};

/// The epilogue of a tile's finished sums. It is one loop outside the template: unrolled here it would be most of the
/// code of every tile.
template <int kRows, typename Block>
inline void finish_sums(const Block& g, std::int64_t row0, const F32 (&acc)[kRows][kPanelRegisters]) {
  float tile[kRows * kPanelWidth];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) store(tile + i * kPanelWidth + j * F32::kLanes, acc[i][j]);
  }
  finish_tile(g, row0, kRows, tile);
}

/// Not inlined: among other tiles the loop of a low one would not get the registers it needs.
template <int kRows, typename Panel>
[[gnu::noinline]] void gemm_tile(const GemmBlock& g, std::int64_t row0, NextLines& next) {
  F32 acc[kRows][kPanelRegisters];
  TileRows<kRows, float> a(g.a + row0 * g.a_stride, g.a_stride);
  if (g.epilogue != nullptr) prefetch_residual<kRows>(g, row0);
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) {
      acc[i][j] = set1(0.0f);
      if (g.start != nullptr) {
        acc[i][j] = load_lanes(g.start + (row0 + i) * g.start_stride + j * F32::kLanes, valid_lanes(g.n, j));
      }
    }
  }
  const auto* b = static_cast<const typename Panel::Element*>(g.panel);
  for (std::int64_t k = 0; k < g.k; ++k, b += kPanelWidth, a.advance(1)) {
    F32 column[kPanelRegisters];
#pragma GCC unroll 2
    for (int j = 0; j < kPanelRegisters; ++j) {
      column[j] = Panel::get(b + j * F32::kLanes);
      if constexpr (requires { Panel::kWidened; }) store(g.widened + k * kPanelWidth + j * F32::kLanes, column[j]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const F32 x = set1(*a[i]);
#pragma GCC unroll 2
      for (int j = 0; j < kPanelRegisters; ++j) acc[i][j] = fma(x, column[j], acc[i][j]);
    }
    if constexpr (kRows > 2) next.fetch_one();
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
  finish_sums(g, row0, acc);
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

/// Rows [row, m) of a block.
template <int kMaxRows, typename Panel>
inline void gemm_rows(const GemmBlock& g, std::int64_t row, NextLines& next) {
  for (; row + kMaxRows <= g.m; row += kMaxRows) gemm_tile<kMaxRows, Panel>(g, row, next);
  with_rows<kMaxRows - 1>(g.m - row, [&]<int kRows>() { gemm_tile<kRows, Panel>(g, row, next); });
}

template <int kMaxRows>
void gemm(const GemmBlock& g) {
  NextLines next(g.next, g.next_bytes);
  gemm_rows<kMaxRows, PanelF32>(g, 0, next);
}

/// The first tile widens the panel among its products, the others find it in f32.
template <int kMaxRows, typename Panel>
void gemm_half(const GemmBlock& g) {
  NextLines next(g.next, g.next_bytes);
  if (g.m <= kMaxRows) return gemm_rows<kMaxRows, Panel>(g, 0, next);
  gemm_tile<kMaxRows, Widened<Panel>>(g, 0, next);
  GemmBlock rest = g;
  rest.panel = g.widened;
  gemm_rows<kMaxRows, PanelF32>(rest, kMaxRows, next);
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
