#include "kernels/panels.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace florence2 {
namespace {

/// Bytes of the vectors that the transposition works in: what every x86-64 and AArch64 processor has.
constexpr int kVectorBytes = 16;
constexpr int kCacheLine = 64;

template <typename T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

using HalfVector [[gnu::vector_size(kVectorBytes)]] = std::uint16_t;
using WordVector [[gnu::vector_size(kVectorBytes)]] = std::uint32_t;

inline HalfVector interleave_low(HalfVector a, HalfVector b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
inline HalfVector interleave_high(HalfVector a, HalfVector b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
inline WordVector interleave_low(WordVector a, WordVector b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
inline WordVector interleave_high(WordVector a, WordVector b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }

/// A block of lanes x lanes elements: dst[j][i] = src[i][j], rows `dst_stride` and `src_stride` elements apart.
/// Interleaving rows i and i + lanes / 2 for all i moves the highest bit of the row index to the lowest bit of the
/// column index; after log2(lanes) rounds the two indices have changed places.
template <typename T>
void transpose_block(T* dst, std::int64_t dst_stride, const T* src, std::int64_t src_stride) {
  constexpr int lanes = kLanes<T>;
  using Vector = std::conditional_t<sizeof(T) == 2, HalfVector, WordVector>;
  Vector rows[lanes];
  for (int i = 0; i < lanes; ++i) std::memcpy(&rows[i], src + i * src_stride, kVectorBytes);
  for (int round = 1; round < lanes; round *= 2) {
    Vector next[lanes];
    for (int i = 0; i < lanes / 2; ++i) {
      next[2 * i] = interleave_low(rows[i], rows[i + lanes / 2]);
      next[2 * i + 1] = interleave_high(rows[i], rows[i + lanes / 2]);
    }
    std::copy_n(next, lanes, rows);
  }
  for (int j = 0; j < lanes; ++j) std::memcpy(dst + j * dst_stride, &rows[j], kVectorBytes);
}

/// Columns [first, last) of a panel, element by element; those from `rows` on are zero. Elements are copied as bytes:
/// what is there may be of a smaller type.
template <typename T>
void pack_columns(T* panel, int nr, const T* src, std::int64_t stride, std::int64_t rows, int first, int last,
                  std::int64_t k0, std::int64_t k1) {
  for (std::int64_t k = k0; k < k1; ++k) {
    for (int r = first; r < last; ++r) {
      T element{0};
      if (r < rows) std::memcpy(&element, src + r * stride + k, sizeof(T));
      std::memcpy(panel + k * nr + r, &element, sizeof(T));
    }
  }
}

/// panel[k][nr] from src[rows][k], rows <= nr. One cache line of each source row at a time, and few rows at a time:
/// their distance is often a power of two, so that many would compete for the same cache set.
template <typename T>
void pack_panel(T* panel, int nr, const T* src, std::int64_t stride, std::int64_t rows, std::int64_t k) {
  constexpr int lanes = kLanes<T>;
  constexpr std::int64_t line = kCacheLine / static_cast<std::int64_t>(sizeof(T));
  const int whole_rows = static_cast<int>(rows / lanes * lanes);
  const std::int64_t whole_k = k / lanes * lanes;
  for (std::int64_t k0 = 0; k0 < whole_k; k0 += line) {
    const std::int64_t k1 = std::min(k0 + line, whole_k);
    for (int r = 0; r < whole_rows; r += lanes) {
      for (std::int64_t kk = k0; kk < k1; kk += lanes) {
        transpose_block(panel + kk * nr + r, nr, src + r * stride + kk, stride);
      }
    }
  }
  pack_columns(panel, nr, src, stride, rows, 0, whole_rows, whole_k, k);
  pack_columns(panel, nr, src, stride, rows, whole_rows, nr, 0, k);
}

template <typename T>
void pack_rows(T* dst, View<const T> src, int nr) {
  for (std::int64_t n = 0; n < src.rows; n += nr, dst += nr * src.cols) {
    pack_panel(dst, nr, src.row(n), src.stride, std::min<std::int64_t>(nr, src.rows - n), src.cols);
  }
}

}  // namespace

std::int64_t panel_floats(int nr, std::int64_t n, std::int64_t k) { return (n + nr - 1) / nr * nr * k; }

void pack_panels(float* dst, View<const float> src, int nr) { pack_rows(dst, src, nr); }
void pack_panels(std::uint16_t* dst, View<const std::uint16_t> src, int nr) { pack_rows(dst, src, nr); }
void pack_panels(std::uint32_t* dst, View<const std::uint32_t> src, int nr) { pack_rows(dst, src, nr); }

void pack_panels_transposed(float* dst, View<const float> src, int nr) {
  constexpr int kPiece = 8;  // divides every nr; a copy of fixed size is a few instructions
  for (std::int64_t first = 0; first < src.cols; first += nr) {
    const std::int64_t columns = std::min<std::int64_t>(nr, src.cols - first);
    for (std::int64_t k = 0; k < src.rows; ++k, dst += nr) {
      const float* row = src.row(k) + first;
      std::int64_t c = 0;
      for (; c + kPiece <= columns; c += kPiece) std::memcpy(dst + c, row + c, kPiece * sizeof(float));
      for (; c < columns; ++c) dst[c] = row[c];
      for (; c < nr; ++c) dst[c] = 0.0f;
    }
  }
}

void interleave_rows(std::uint16_t* dst, const std::uint16_t* low, const std::uint16_t* high, std::int64_t count,
                     int nr) {
  constexpr int lanes = kLanes<std::uint16_t>;
  std::int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    HalfVector a, b;
    std::memcpy(&a, low + j, kVectorBytes);
    std::memcpy(&b, high + j, kVectorBytes);
    const HalfVector pairs[] = {interleave_low(a, b), interleave_high(a, b)};
    std::memcpy(dst + 2 * j, pairs, sizeof(pairs));
  }
  for (; j < count; ++j) {
    dst[2 * j] = low[j];
    dst[2 * j + 1] = high[j];
  }
  std::fill(dst + 2 * count, dst + 2 * std::int64_t{nr}, std::uint16_t{0});
}

void multiply_panels(const KernelTable& table, View<float> dst, View<const float> a, const float* panels) {
  for (std::int64_t n = 0; n < dst.cols; n += table.nr, panels += table.nr * a.cols) {
    GemmBlock block = {};
    block.c = dst.data + n;
    block.c_stride = dst.stride;
    block.a = a.data;
    block.a_stride = a.stride;
    block.panel = panels;
    block.m = dst.rows;
    block.n = std::min<std::int64_t>(table.nr, dst.cols - n);
    block.k = a.cols;
    table.gemm_f32_f32_f32p(block);
  }
}

}  // namespace florence2
