// Matrix products by AMX tiles, with bytes and with bf16. Counted in bytes the two are one kernel: a tile of A is 16
// rows of 64 bytes, a tile of B 16 groups of 4 bytes for each of 16 columns. docs/kernels.md draws it.
//
// Tiles 0 to 3 hold sums (two of 16 rows, two of 16 columns each), 4 and 5 rows of A, 6 and 7 columns of B.

constexpr int kTileRows = 16;
constexpr int kTileBytes = 64;  // of a row of a tile
constexpr int kTileFloats = kTileBytes / 4;
constexpr int kStepRows = 2 * kTileRows;
constexpr int kPieceSteps = 24 * 1024 / (2 * kTileRows * kTileBytes);  // a piece of a panel fills half of L1
constexpr int kStripRows = 4 * kStepRows;                              // rows that pass over a piece
constexpr int kRowsTogether = 4;  // in the epilogue: eight chains of instructions side by side
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
  static const std::int8_t* panel(const GemmBlock8& g) { return g.strips; }
  static int terms(const GemmBlock8& g) { return g.terms; }
  static void multiply_upper_left() { _tile_dpbusd(0, 4, 6); }
  static void multiply_upper_right() { _tile_dpbusd(1, 4, 7); }
  static void multiply_lower_left() { _tile_dpbusd(2, 5, 6); }
  static void multiply_lower_right() { _tile_dpbusd(3, 5, 7); }
  static bool sums_are_result(const GemmBlock8&) { return false; }
  /// Fewer rows would leave most of a tile idle; dot products in registers give the same integers.
  static constexpr int kFewest = kTileRows / 2;
  static bool multiply_few(const GemmBlock8& g, std::int64_t row0, std::int64_t rows) {
    if (rows >= kFewest) return false;
    NextLines none;
    with_rows<kFewest - 1>(rows, [&]<int kRows>() { gemm8_tile<kRows>(g, row0, none); });
    return true;
  }
  /// Sums in memory as floats.
  struct Values : Dequantizer {
    using Dequantizer::Dequantizer;
    F32 at(std::int64_t row, int j, const float* sums) const { return value(row, j, {_mm512_loadu_si512(sums)}); }
  };
};

/// bf16 pairs, f32 sums. Each step adds its products in a register of its own and then that to the sum, which vector
/// instructions could not repeat exactly, flushing of subnormals included: few rows go through tiles as well.
struct TilesBf16 {
  using Block = GemmBlockBf16;
  static constexpr int kElementBytes = 2;
  static std::int64_t group_bytes(const GemmBlockBf16& g) { return g.group_bytes; }
  static const std::uint16_t* panel(const GemmBlockBf16& g) { return g.panels; }
  static int terms(const GemmBlockBf16&) { return 1; }
  static void multiply_upper_left() { _tile_dpbf16ps(0, 4, 6); }
  static void multiply_upper_right() { _tile_dpbf16ps(1, 4, 7); }
  static void multiply_lower_left() { _tile_dpbf16ps(2, 5, 6); }
  static void multiply_lower_right() { _tile_dpbf16ps(3, 5, 7); }
  /// Then they lie in C from the start, if whole tiles fit there.
  static bool sums_are_result(const GemmBlockBf16& g) {
    const GemmEpilogue& e = g.epilogue;
    return g.c != nullptr && e.bias == nullptr && !e.gelu && e.residual == nullptr && g.n % kTileFloats == 0;
  }
  static constexpr int kFewest = 1;
  static bool multiply_few(const GemmBlockBf16&, std::int64_t, std::int64_t) { return false; }
  struct Values {
    explicit Values(const GemmBlockBf16&) {}
    static F32 at(std::int64_t, int, const float* sums) { return load(sums); }
  };
};

/// What becomes of a panel's sums: + bias, GELU, + residual or rounding to bf16.
struct Finish {
  bool gelu, residual, rounded;
};

/// The epilogue of kRows rows of a full panel, from their sums to C in registers.
template <typename Tiles, Finish kFinish, int kRows>
inline void finish_group(const typename Tiles::Block& g, const typename Tiles::Values& values,
                         const F32s<kPanelRegisters>& bias, std::int64_t row, const float* sums) {
  constexpr int registers = kRows * kPanelRegisters;
  const auto at = [](int i) { return i % kPanelRegisters * F32::kLanes; };
  auto x = for_each_register<registers>([&](int i) {
    const int j = i % kPanelRegisters;
    return values.at(row + i / kPanelRegisters, j, sums + i * F32::kLanes) + bias.v[j];
  });
  if constexpr (kFinish.gelu) x = gelu_of(g, x);
  if constexpr (kFinish.residual) {
    const float* const residual = g.epilogue.residual + row * g.epilogue.residual_stride;
    const std::int64_t stride = g.epilogue.residual_stride;
    x = x + for_each_register<registers>([&](int i) { return load(residual + i / kPanelRegisters * stride + at(i)); });
  }
  const std::int64_t stride = g.c_stride;
  if constexpr (kFinish.rounded) {
    std::uint16_t* const c = g.c_bf16 + row * stride;
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) store_bf16_row(c + i * stride, {x.v[2 * i], x.v[2 * i + 1]});
    return;
  }
  float* const c = g.c + row * stride;
#pragma GCC unroll 8
  for (int i = 0; i < registers; ++i) store(c + i / kPanelRegisters * stride + at(i), x.v[i]);
}

template <typename Tiles, Finish kFinish>
void finish_rows(const typename Tiles::Block& g, std::int64_t row0, int rows, const float* sums) {
  const typename Tiles::Values values(g);
  const float* const bias_row = g.epilogue.bias;
  const auto bias = for_each_register<kPanelRegisters>(
      [&](int j) { return bias_row != nullptr ? load(bias_row + j * F32::kLanes) : set1(0.0f); });
  int i = 0;
  for (; i + kRowsTogether <= rows; i += kRowsTogether, sums += kRowsTogether * kPanelWidth) {
    finish_group<Tiles, kFinish, kRowsTogether>(g, values, bias, row0 + i, sums);
  }
  for (; i < rows; ++i, sums += kPanelWidth) {
    finish_group<Tiles, kFinish, 1>(g, values, bias, row0 + i, sums);
  }
}

inline void finish_values(const GemmBlockBf16& g, std::int64_t row0, int rows, const float* tile) {
  finish_tile(g, row0, rows, tile);
}

/// The same for a panel of fewer columns, and for rows of two terms.
template <typename Tiles>
void finish_rows_partly(const typename Tiles::Block& g, std::int64_t row0, int rows, const float* sums) {
  const typename Tiles::Values values(g);
  float tile[kStepRows * kPanelWidth];
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < kPanelRegisters; ++j) {
      const int at = i * kPanelWidth + j * F32::kLanes;
      store(tile + at, values.at(row0 + i, j, sums + at));
    }
  }
  finish_values(g, row0, rows, tile);
}

template <typename Tiles>
using FinishRows = void (*)(const typename Tiles::Block& g, std::int64_t row0, int rows, const float* sums);

template <typename Tiles>
FinishRows<Tiles> finish_rows_of(const typename Tiles::Block& g) {
  if (g.n < kPanelWidth || Tiles::terms(g) == 2) return finish_rows_partly<Tiles>;
  const bool residual = g.epilogue.residual != nullptr;
  if (g.epilogue.gelu) {
    if (g.c_bf16 != nullptr) return finish_rows<Tiles, Finish{.gelu = true, .residual = false, .rounded = true}>;
    return residual ? finish_rows<Tiles, Finish{.gelu = true, .residual = true, .rounded = false}>
                    : finish_rows<Tiles, Finish{.gelu = true, .residual = false, .rounded = false}>;
  }
  if (g.c_bf16 != nullptr) return finish_rows<Tiles, Finish{.gelu = false, .residual = false, .rounded = true}>;
  return residual ? finish_rows<Tiles, Finish{.gelu = false, .residual = true, .rounded = false}>
                  : finish_rows<Tiles, Finish{.gelu = false, .residual = false, .rounded = false}>;
}

/// What the vector units do while the tile unit multiplies, a share at each step: the epilogue of the rows before, be
/// they of this panel or of the one before it, and fetching the next panel into L2.
template <typename Tiles>
class Meanwhile {
 public:
  using Block = typename Tiles::Block;

  /// The panel is multiplied in about `steps` steps, and `next` (or nullptr) comes after it.
  void begin_panel(const void* next, std::int64_t bytes, std::int64_t steps) {
    constexpr std::int64_t line = 64;
    next_ = static_cast<const char*>(next);
    end_ = next != nullptr ? next_ + bytes : next_;
    share_ = (bytes + steps * line - 1) / (steps * line) * line;
  }

  /// Rows [row, row + rows) of g wait for their epilogue with their sums at `sums`.
  void leave(const Block& g, std::int64_t row, int rows, float* sums) {
    g_ = g;
    finish_rows_ = finish_rows_of<Tiles>(g);
    row_ = row;
    rows_ = rows;
    sums_ = sums;
  }

  int rows() const { return rows_; }

  /// Rows to finish at each of `steps` steps.
  int share(std::int64_t steps) const {
    const auto rows = static_cast<int>((rows_ + steps - 1) / steps);
    return (rows + kRowsTogether - 1) / kRowsTogether * kRowsTogether;
  }

  void step(int rows) {
    if (rows_ > 0) finish(rows < rows_ ? rows : rows_);
    const char* const stop = share_ < end_ - next_ ? next_ + share_ : end_;
    for (; next_ < stop; next_ += 64) __builtin_prefetch(next_, 0, 2);
  }

  void finish(int rows) {
    finish_rows_(g_, row_, rows, sums_);
    row_ += rows;
    rows_ -= rows;
    sums_ += rows * kPanelWidth;
  }

 private:
  Block g_ = {};
  FinishRows<Tiles> finish_rows_ = nullptr;
  const char* next_ = nullptr;
  const char* end_ = nullptr;
  std::int64_t share_ = 0;
  std::int64_t row_ = 0;
  int rows_ = 0;
  float* sums_ = nullptr;
};

/// Where sums lie between two pieces of k and at the end: in scratch, [rows][kPanelWidth], or in C itself.
struct Sums {
  float* first;
  std::int64_t stride;  // floats
  Sums at(std::int64_t row) const { return {first + row * stride, stride}; }
};

/// Steps [first, last) of k for the rows from row0 on, added to `sums` or, from step 0 on, to zero.
/// Two tiles of rows stream A and keep the panel's piece in L1 for the rows that follow. One tile is all there is (or
/// all that is left): then it is the panel that streams past. A panel of one tile of columns has no right ones.
/// Rows that waited are finished by the end, so `sums` may be where theirs were.
template <typename Tiles, bool kTwo, bool kRight>
inline void multiply_tiles(const typename Tiles::Block& g, std::int64_t row0, std::int64_t first, std::int64_t last,
                           Sums sums, Meanwhile<Tiles>& meanwhile) {
  const std::int64_t stride = g.a_stride * Tiles::kElementBytes;
  const char* a = reinterpret_cast<const char*>(g.a) + row0 * stride + first * kTileBytes;
  const std::int64_t group = Tiles::group_bytes(g);
  const char* b = reinterpret_cast<const char*>(Tiles::panel(g)) + first * kTileRows * group;
  const std::int64_t sum_bytes = sums.stride * std::int64_t{sizeof(float)};
  float* const upper = sums.first;
  float* const lower = sums.at(kTileRows).first;
  if (first == 0) {
    _tile_zero(0);
    if constexpr (kRight) _tile_zero(1);
    if constexpr (kTwo) _tile_zero(2);
    if constexpr (kTwo && kRight) _tile_zero(3);
  } else {
    _tile_loadd(0, upper, sum_bytes);
    if constexpr (kRight) _tile_loadd(1, upper + kTileFloats, sum_bytes);
    if constexpr (kTwo) _tile_loadd(2, lower, sum_bytes);
    if constexpr (kTwo && kRight) _tile_loadd(3, lower + kTileFloats, sum_bytes);
  }
  const int share = meanwhile.share(last - first);
  for (std::int64_t step = first; step < last; ++step, a += kTileBytes, b += kTileRows * group) {
    if constexpr (kTwo) {
      _tile_loadd(6, b, group);
      _tile_stream_loadd(4, a, stride);
      if constexpr (kRight) _tile_loadd(7, b + g.strip_bytes, group);
    } else {
      _tile_stream_loadd(6, b, group);
      _tile_loadd(4, a, stride);
      if constexpr (kRight) _tile_stream_loadd(7, b + g.strip_bytes, group);
    }
    Tiles::multiply_upper_left();
    if constexpr (kRight) Tiles::multiply_upper_right();
    if constexpr (kTwo) {
      _tile_stream_loadd(5, a + kTileRows * stride, stride);
      Tiles::multiply_lower_left();
      if constexpr (kRight) Tiles::multiply_lower_right();
    }
    meanwhile.step(share);
  }
  _tile_stored(0, upper, sum_bytes);
  if constexpr (kRight) _tile_stored(1, upper + kTileFloats, sum_bytes);
  if constexpr (kTwo) _tile_stored(2, lower, sum_bytes);
  if constexpr (kTwo && kRight) _tile_stored(3, lower + kTileFloats, sum_bytes);
}

/// One panel of a block.
template <typename Tiles>
class PanelProduct {
 public:
  using Block = typename Tiles::Block;

  PanelProduct(const Block& g, std::int64_t steps, float* scratch, Meanwhile<Tiles>& meanwhile)
      : g_(g), steps_(steps), scratch_(scratch), meanwhile_(meanwhile), in_place_(Tiles::sums_are_result(g)) {}

  /// Rows [row0, row0 + rows), whole pairs of tiles, piece of k by piece, so that the piece stays in L1.
  void multiply_strip(std::int64_t row0, std::int64_t rows) {
    const std::int64_t pieces = (steps_ + kPieceSteps - 1) / kPieceSteps;
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      const std::int64_t first = piece * steps_ / pieces, last = (piece + 1) * steps_ / pieces;
      for (std::int64_t row = 0; row < rows; row += kStepRows) {
        const Sums sums = sums_of(row0 + row, row);
        multiply<true>(row0 + row, first, last, sums);
        if (last == steps_) leave(row0 + row, kStepRows, sums);
      }
    }
  }

  /// The last rows, fewer than two tiles of them.
  void multiply_rest(std::int64_t row0, int rows) {
    const Sums sums = sums_of(row0, 0);
    if (rows > kTileRows) {
      multiply<true>(row0, 0, steps_, sums);
    } else {
      multiply<false>(row0, 0, steps_, sums);
    }
    leave(row0, rows, sums);
  }

 private:
  Sums sums_of(std::int64_t row, std::int64_t scratch_row) const {
    if (in_place_) return Sums{g_.c, g_.c_stride}.at(row);
    return Sums{scratch_, kPanelWidth}.at(scratch_row);
  }
  template <bool kTwo>
  void multiply(std::int64_t row, std::int64_t first, std::int64_t last, Sums sums) {
    if (in_place_ && g_.n < kPanelWidth) {
      multiply_tiles<Tiles, kTwo, false>(g_, row, first, last, sums, meanwhile_);
    } else {
      multiply_tiles<Tiles, kTwo, true>(g_, row, first, last, sums, meanwhile_);
    }
  }
  void leave(std::int64_t row, int rows, Sums sums) {
    if (!in_place_) meanwhile_.leave(g_, row, rows, sums.first);
  }

  const Block& g_;
  std::int64_t steps_;  // of k
  float* scratch_;
  Meanwhile<Tiles>& meanwhile_;
  bool in_place_;
};

/// The height of the tiles as it was last configured, so that it is only done where it changes.
class TileHeights {
 public:
  void set(int upper, int lower) {
    if (upper == upper_ && lower == lower_) return;
    configure_tiles(upper, lower);
    upper_ = upper;
    lower_ = lower;
  }

 private:
  int upper_ = 0, lower_ = 0;
};

/// The tiles are configured and released within one call: a block's products outlast that by far, and a thread that is
/// not here has no tile state for the system to save.
template <typename Tiles>
void gemm_tiles(const typename Tiles::Block& whole) {
  alignas(kTileBytes) float scratch[kStripSums];
  const std::int64_t steps = whole.k * Tiles::kElementBytes / kTileBytes;
  const std::int64_t strips = whole.m / kStepRows * kStepRows;
  const int rest = static_cast<int>(whole.m - strips);
  Meanwhile<Tiles> meanwhile;
  TileHeights heights;
  for_each_panel(whole, [&](const typename Tiles::Block& g, const void* next) {
    PanelProduct<Tiles> product(g, steps, scratch, meanwhile);
    meanwhile.begin_panel(next, g.k * Tiles::kElementBytes * kPanelWidth, steps * (g.m / kStepRows + 1));
    if (strips > 0) heights.set(kTileRows, kTileRows);
    for (std::int64_t row = 0; row < strips; row += kStripRows) {
      product.multiply_strip(row, strips - row < kStripRows ? strips - row : kStripRows);
    }
    if (rest == 0 || Tiles::multiply_few(g, strips, rest)) return;
    // A whole tile alone goes with the heights of two.
    const int upper = rest < kTileRows ? rest : kTileRows;
    heights.set(upper, rest == kTileRows ? kTileRows : rest - upper);
    product.multiply_rest(strips, rest);
  });
  if (strips > 0 || rest >= Tiles::kFewest) _tile_release();
  if (meanwhile.rows() > 0) meanwhile.finish(meanwhile.rows());
}

/// The table with its 8-bit and bf16 products by tiles.
constexpr KernelTable with_tiles(KernelTable t) {
  t.tile_rows = kTileRows;
  t.gemm_f32_u8_s8p = gemm_tiles<TilesS8>;
  t.bf16_beats_fixed = true;
  t.results_in_bf16 = true;
  t = with_rounding(t);
  t.gemm_f32_bf16_bf16p = gemm_tiles<TilesBf16>;
  return t;
}
