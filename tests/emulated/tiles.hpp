// AMX as arrays: eight tiles a thread, shaped by the configuration they were given. What a CPU would fault on ends the
// program: a configuration that is not allowed, a tile that has no shape, factors whose shapes do not fit.
//
// Written from the operation sections of Intel's manual. tdpbf16ps keeps two sums for each element, of the first and
// of the second of the pairs, adds their sum to the element at the end, treats subnormal numbers as zero everywhere and
// rounds to nearest even: here the CPU's own fused multiply-adds do that, with flush-to-zero switched on for the time.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace florence2::emulated {

constexpr int kTiles = 8, kMaxRows = 16, kMaxRowBytes = 64;

struct Tile {
  int rows, row_bytes;
  alignas(kMaxRowBytes) std::uint8_t data[kMaxRows][kMaxRowBytes];
};

static thread_local Tile tiles[kTiles];

inline void fault_unless(bool allowed) {
  if (!allowed) std::abort();
}

[[gnu::noinline]] static void release_tiles() { std::memset(tiles, 0, sizeof(tiles)); }

/// The operand of ldtilecfg: byte 0 is the palette, words from byte 16 and bytes from byte 48 are the tiles' shapes.
[[gnu::noinline]] static void load_config(const void* memory) {
  const auto* const bytes = static_cast<const std::uint8_t*>(memory);
  release_tiles();
  fault_unless(bytes[0] == 1 && bytes[1] == 0);
  for (int i = 2; i < 16; ++i) fault_unless(bytes[i] == 0);
  for (int i = 0; i < 16; ++i) {
    std::uint16_t row_bytes;
    std::memcpy(&row_bytes, bytes + 16 + 2 * i, sizeof(row_bytes));
    const int rows = bytes[48 + i];
    fault_unless(rows <= kMaxRows && row_bytes <= kMaxRowBytes && (rows == 0) == (row_bytes == 0));
    fault_unless(i < kTiles || rows == 0);
    if (i < kTiles) tiles[i].rows = rows, tiles[i].row_bytes = row_bytes;
  }
}

inline Tile& shaped(int tile) {
  fault_unless(tiles[tile].rows > 0);
  return tiles[tile];
}

[[gnu::noinline]] static void zero_tile(int tile) {
  Tile& t = shaped(tile);
  std::memset(t.data, 0, sizeof(t.data));
}

[[gnu::noinline]] static void load_tile(int tile, const void* memory, std::int64_t stride) {
  zero_tile(tile);
  Tile& t = shaped(tile);
  const auto* row = static_cast<const std::uint8_t*>(memory);
  for (int r = 0; r < t.rows; ++r, row += stride) std::memcpy(t.data[r], row, static_cast<std::size_t>(t.row_bytes));
}

[[gnu::noinline]] static void store_tile(int tile, void* memory, std::int64_t stride) {
  const Tile& t = shaped(tile);
  auto* row = static_cast<std::uint8_t*>(memory);
  for (int r = 0; r < t.rows; ++r, row += stride) std::memcpy(row, t.data[r], static_cast<std::size_t>(t.row_bytes));
}

inline void check_shapes(const Tile& c, const Tile& a, const Tile& b) {
  fault_unless(c.rows == a.rows && c.row_bytes == b.row_bytes && a.row_bytes == 4 * b.rows);
}

/// The sums of eight columns, from byte `n` of the rows of c and b on.
inline void add_fours(Tile& c, const Tile& a, const Tile& b, int m, int n) {
  const __m256i even = _mm256_set1_epi32(0x00FF00FF);
  auto* const row = reinterpret_cast<__m256i*>(c.data[m] + n);
  __m256i sums = _mm256_loadu_si256(row);
  for (int k = 0; k < a.row_bytes / 4; ++k) {
    std::int32_t four;
    std::memcpy(&four, a.data[m] + 4 * k, sizeof(four));
    const __m256i left = _mm256_set1_epi32(four);
    const __m256i right = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.data[k] + n));
    const __m256i right_even = _mm256_srai_epi16(_mm256_slli_epi16(right, 8), 8),
                  right_odd = _mm256_srai_epi16(right, 8);
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_and_si256(left, even), right_even));
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_srli_epi16(left, 8), right_odd));
  }
  _mm256_storeu_si256(row, sums);
}

/// c += a * b, unsigned bytes by signed bytes in groups of four.
[[gnu::noinline]] static void dpbusd(int dst, int left, int right) {
  Tile& c = shaped(dst);
  const Tile &a = shaped(left), &b = shaped(right);
  check_shapes(c, a, b);
  for (int m = 0; m < c.rows; ++m) {
    for (int n = 0; n < c.row_bytes; n += 32) add_fours(c, a, b, m, n);
  }
}

constexpr unsigned kFlushAndMask = 0x9FC0;  // flush-to-zero, denormals-are-zero, no exceptions, nearest even

/// Element k of each pair (0 or 1) of eight pairs, as floats.
inline __m256 widen_pairs(const std::uint8_t* pairs, int k) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs));
  return _mm256_castsi256_ps(k == 0 ? _mm256_slli_epi32(bits, 16)
                                    : _mm256_and_si256(bits, _mm256_set1_epi32(static_cast<int>(0xFFFF0000u))));
}

/// Both sums of eight columns from byte `n` of the rows of c and b on.
inline void add_pairs(Tile& c, const Tile& a, const Tile& b, int m, int n) {
  __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  for (int k = 0; k < a.row_bytes / 4; ++k) {
    std::int32_t pair;
    std::memcpy(&pair, a.data[m] + 4 * k, sizeof(pair));
    const __m256 low = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(static_cast<std::uint32_t>(pair) << 16)));
    const __m256 high = _mm256_castsi256_ps(_mm256_set1_epi32(pair & static_cast<int>(0xFFFF0000u)));
    sums[0] = _mm256_fmadd_ps(low, widen_pairs(b.data[k] + n, 0), sums[0]);
    sums[1] = _mm256_fmadd_ps(high, widen_pairs(b.data[k] + n, 1), sums[1]);
  }
  auto* const row = reinterpret_cast<float*>(c.data[m] + n);
  _mm256_storeu_ps(row, _mm256_add_ps(_mm256_loadu_ps(row), _mm256_add_ps(sums[0], sums[1])));
}

[[gnu::noinline]] static void add_all_pairs(Tile& c, const Tile& a, const Tile& b) {
  for (int m = 0; m < c.rows; ++m) {
    for (int n = 0; n < c.row_bytes; n += 32) add_pairs(c, a, b, m, n);
  }
}

/// c += a * b in bf16 pairs.
[[gnu::noinline]] static void dpbf16ps(int dst, int left, int right) {
  Tile& c = shaped(dst);
  const Tile &a = shaped(left), &b = shaped(right);
  check_shapes(c, a, b);
  const unsigned before = _mm_getcsr();
  _mm_setcsr(kFlushAndMask);
  add_all_pairs(c, a, b);
  _mm_setcsr(before);
}

}  // namespace florence2::emulated

#undef _tile_loadd
#undef _tile_stream_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbusd
#undef _tile_dpbf16ps
#define _tile_loadconfig(memory) ::florence2::emulated::load_config(memory)
#define _tile_release() ::florence2::emulated::release_tiles()
#define _tile_loadd(tile, memory, stride) ::florence2::emulated::load_tile(tile, memory, stride)
#define _tile_stream_loadd(tile, memory, stride) ::florence2::emulated::load_tile(tile, memory, stride)
#define _tile_stored(tile, memory, stride) ::florence2::emulated::store_tile(tile, memory, stride)
#define _tile_zero(tile) ::florence2::emulated::zero_tile(tile)
#define _tile_dpbusd(dst, a, b) ::florence2::emulated::dpbusd(dst, a, b)
#define _tile_dpbf16ps(dst, a, b) ::florence2::emulated::dpbf16ps(dst, a, b)
