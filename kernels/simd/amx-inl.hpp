// Matrix products by AMX tiles, with bytes and with bf16. Counted in bytes the two are one kernel: a tile of A is 16
// rows of 64 bytes, a tile of B 16 groups of 4 bytes for each of 16 columns. docs/kernels.md draws it.
//
// Tiles 0 to 3 hold sums (two of 16 rows, two of 16 columns each), 4 and 5 rows of A, 6 and 7 columns of B.

constexpr int kTileRows = 16;
constexpr int kTileBytes = 64;  // of a row of a tile
constexpr int kTileFloats = kTileBytes / 4;
constexpr int kStepRows = 2 * kTileRows;
constexpr int kSumBytes = kPanelWidth * 4;                             // between the rows of a tile of sums
constexpr int kPieceSteps = 24 * 1024 / (2 * kTileRows * kTileBytes);  // a piece of a panel fills half of L1
constexpr int kStripRows = 4 * kStepRows;                              // rows that pass over a piece
constexpr int kStripSums = kStripRows * kPanelWidth;
static_assert(kPanelWidth == 2 * kTileFloats);

/// The operand of ldtilecfg.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

/// Makes the tiles of A and of the sums `upper` and `lower` rows high; those of no rows may not be used.
inline void configure_tiles(int upper, int lower) {
  TileConfig config;
  const int rows[] = {upper, upper, lower, lower, upper, lower, kTileRows, kTileRows};
  for (int i = 0; i < 8; ++i) {
    config.rows[i] = static_cast<std::uint8_t>(rows[i]);
    config.row_bytes[i] = rows[i] > 0 ? kTileBytes : 0;
  }
  // g++ 12's _tile_loadconfig claims to read 8 bytes only, so that the stores of the others would be dropped.
  __asm__ volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

/// 8-bit: unsigned rows by signed columns, int32 sums.
struct TilesS8 {
  using Block = GemmBlock8;
  static constexpr int kElementBytes = 1;
  static std::int64_t group_bytes(const GemmBlock8&) { return kTileBytes; }
  static void multiply_upper() {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
  }
  static void multiply_lower() {
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  /// Few rows would leave most of a tile idle; dot products in registers give the same integers.
  static bool multiply_few(const GemmBlock8& g, std::int64_t row0, std::int64_t rows) {
    if (rows >= kTileRows / 2) return false;
    with_rows<kTileRows / 2 - 1>(rows, [&]<int kRows>() { gemm8_tile<kRows>(g, row0); });
    return true;
  }
  static void to_floats(const GemmBlock8& g, std::int64_t row0, int rows, float* sums) {
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < kPanelRegisters; ++j, sums += F32::kLanes) {
        store(sums, dequantize(g, row0 + i, j, {_mm512_loadu_si512(sums)}));
      }
    }
  }
};

/// bf16 pairs, f32 sums. Each step adds its products in a register of its own and then that to the sum, which vector
/// instructions could not repeat exactly, flushing of subnormals included: few rows go through tiles as well.
struct TilesBf16 {
  using Block = GemmBlockBf16;
  static constexpr int kElementBytes = 2;
  static std::int64_t group_bytes(const GemmBlockBf16& g) { return g.group_bytes; }
  static void multiply_upper() {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
  }
  static void multiply_lower() {
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  static bool multiply_few(const GemmBlockBf16&, std::int64_t, std::int64_t) { return false; }
  static void to_floats(const GemmBlockBf16&, std::int64_t, int, float*) {}
};

/// What the vector units do while the tile unit multiplies, a share at each step: the epilogue of the rows before, and
/// fetching the next panel into L2.
template <typename Tiles>
class Meanwhile {
 public:
  Meanwhile(const typename Tiles::Block& g, std::int64_t steps) : g_(g), next_(static_cast<const char*>(g.next)) {
    constexpr std::int64_t line = 64;
    end_ = next_ + g.next_bytes;
    share_ = (g.next_bytes + steps * line - 1) / (steps * line) * line;
  }

  /// Rows [row, row + rows) wait for their epilogue with their sums at `sums`.
  void leave(std::int64_t row, int rows, float* sums) {
    row_ = row;
    rows_ = rows;
    sums_ = sums;
  }

  int rows() const { return rows_; }

  void step(int rows) {
    if (rows_ > 0) finish(rows < rows_ ? rows : rows_);
    const char* const stop = share_ < end_ - next_ ? next_ + share_ : end_;
    for (; next_ < stop; next_ += 64) __builtin_prefetch(next_, 0, 2);
  }

  void finish(int rows) {
    Tiles::to_floats(g_, row_, rows, sums_);
    finish_tile(g_, row_, rows, sums_);
    row_ += rows;
    rows_ -= rows;
    sums_ += rows * kPanelWidth;
  }

 private:
  const typename Tiles::Block& g_;
  const char* next_;
  const char* end_;
  std::int64_t share_;
  std::int64_t row_ = 0;
  int rows_ = 0;
  float* sums_ = nullptr;
};

/// Steps [first, last) of k for the rows from row0 on, added to `sums` [rows][kPanelWidth] or, from step 0 on, to zero.
/// Two tiles of rows stream A and keep the panel's piece in L1 for the rows that follow. One tile is all there is (or
/// all that is left): then it is the panel that streams past.
/// Rows that waited are finished by the end, so `sums` may be where theirs were.
template <typename Tiles, bool kTwo>
inline void multiply_tiles(const typename Tiles::Block& g, std::int64_t row0, std::int64_t first, std::int64_t last,
                           float* sums, Meanwhile<Tiles>& meanwhile) {
  const std::int64_t stride = g.a_stride * Tiles::kElementBytes;
  const char* a = reinterpret_cast<const char*>(g.a) + row0 * stride + first * kTileBytes;
  const std::int64_t group = Tiles::group_bytes(g);
  const char* b = reinterpret_cast<const char*>(g.panel) + first * kTileRows * group;
  float* const lower_sums = sums + kTileRows * kPanelWidth;
  if (first == 0) {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (kTwo) {
      _tile_zero(2);
      _tile_zero(3);
    }
  } else {
    _tile_loadd(0, sums, kSumBytes);
    _tile_loadd(1, sums + kTileFloats, kSumBytes);
    if constexpr (kTwo) {
      _tile_loadd(2, lower_sums, kSumBytes);
      _tile_loadd(3, lower_sums + kTileFloats, kSumBytes);
    }
  }
  const int share = static_cast<int>((meanwhile.rows() + last - first - 1) / (last - first));
  for (std::int64_t step = first; step < last; ++step, a += kTileBytes, b += kTileRows * group) {
    if constexpr (kTwo) {
      _tile_loadd(6, b, group);
      _tile_stream_loadd(4, a, stride);
      _tile_loadd(7, b + g.strip_bytes, group);
      Tiles::multiply_upper();
      _tile_stream_loadd(5, a + kTileRows * stride, stride);
      Tiles::multiply_lower();
    } else {
      _tile_stream_loadd(6, b, group);
      _tile_loadd(4, a, stride);
      _tile_stream_loadd(7, b + g.strip_bytes, group);
      Tiles::multiply_upper();
    }
    meanwhile.step(share);
  }
  _tile_stored(0, sums, kSumBytes);
  _tile_stored(1, sums + kTileFloats, kSumBytes);
  if constexpr (kTwo) {
    _tile_stored(2, lower_sums, kSumBytes);
    _tile_stored(3, lower_sums + kTileFloats, kSumBytes);
  }
}

/// Rows [row0, row0 + rows), whole pairs of tiles, piece of k by piece, so that the piece stays in L1.
template <typename Tiles>
void multiply_strip(const typename Tiles::Block& g, std::int64_t row0, std::int64_t rows, std::int64_t steps,
                    float* sums, Meanwhile<Tiles>& meanwhile) {
  const std::int64_t pieces = (steps + kPieceSteps - 1) / kPieceSteps;
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const std::int64_t first = piece * steps / pieces, last = (piece + 1) * steps / pieces;
    for (std::int64_t row = 0; row < rows; row += kStepRows) {
      float* const mine = sums + row * kPanelWidth;
      multiply_tiles<Tiles, true>(g, row0 + row, first, last, mine, meanwhile);
      if (last == steps) meanwhile.leave(row0 + row, kStepRows, mine);
    }
  }
}

/// The last rows, fewer than two tiles of them.
template <typename Tiles>
void multiply_rest(const typename Tiles::Block& g, std::int64_t row0, int rows, std::int64_t steps, float* sums,
                   Meanwhile<Tiles>& meanwhile) {
  if (rows > kTileRows) {
    configure_tiles(kTileRows, rows - kTileRows);
    multiply_tiles<Tiles, true>(g, row0, 0, steps, sums, meanwhile);
  } else {
    configure_tiles(rows, 0);
    multiply_tiles<Tiles, false>(g, row0, 0, steps, sums, meanwhile);
  }
  meanwhile.leave(row0, rows, sums);
}

/// The tiles are configured and released within one call: a panel's products outlast that by far, and a thread that is
/// not here has no tile state for the system to save.
template <typename Tiles>
void gemm_tiles(const typename Tiles::Block& g) {
  alignas(kTileBytes) float sums[kStripSums];
  const std::int64_t steps = g.k * Tiles::kElementBytes / kTileBytes;
  const std::int64_t whole = g.m / kStepRows * kStepRows;
  const int rest = static_cast<int>(g.m - whole);
  Meanwhile<Tiles> meanwhile(g, steps * (g.m / kStepRows + 1));
  if (whole > 0) configure_tiles(kTileRows, kTileRows);
  for (std::int64_t row = 0; row < whole; row += kStripRows) {
    const std::int64_t rows = whole - row < kStripRows ? whole - row : kStripRows;
    multiply_strip(g, row, rows, steps, sums, meanwhile);
  }
  if (rest > 0 && !Tiles::multiply_few(g, whole, rest)) {
    multiply_rest(g, whole, rest, steps, sums, meanwhile);
  }
  if (meanwhile.rows() > 0) {
    _tile_release();
    meanwhile.finish(meanwhile.rows());
  }
}

/// dst = src[0, k) in bf16, and zeros up to a whole row of a tile.
void round_row(std::uint16_t* dst, const float* src, std::int64_t k) {
  constexpr std::int64_t unit = kTileBytes / 2;
  const auto put = [&](std::int64_t i, F32 x) {
    const __m256i bits = __builtin_bit_cast(__m256i, _mm512_cvtneps_pbh(x.v));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + i), bits);
  };
  std::int64_t i = 0;
  for (; i + F32::kLanes <= k; i += F32::kLanes) put(i, load(src + i));
  if (i < k) {
    put(i, load_partial(src + i, k - i));
    i += F32::kLanes;
  }
  if (i % unit != 0) put(i, set1(0.0f));
}

/// The table with its 8-bit and bf16 products by tiles.
constexpr KernelTable with_tiles(KernelTable t) {
  t.tile_rows = kTileRows;
  t.gemm_f32_u8_s8p = gemm_tiles<TilesS8>;
  t.round_row = round_row;
  t.gemm_f32_bf16_bf16p = gemm_tiles<TilesBf16>;
  return t;
}
