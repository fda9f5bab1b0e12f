#include "weights/stored_values.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace florence2 {
namespace {

template <typename T>
T load(const std::byte* values, std::int64_t i) {
  T value;
  std::memcpy(&value, values + i * static_cast<std::int64_t>(sizeof value), sizeof value);
  return value;
}

template <typename T>
void transpose(std::byte* dst, std::int64_t dst_stride, const std::byte* src, std::int64_t src_stride,
               std::int64_t rows, std::int64_t cols) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < cols; ++j) {
      const T value = load<T>(src, i * src_stride + j);
      std::memcpy(dst + (j * dst_stride + i) * static_cast<std::int64_t>(sizeof value), &value, sizeof value);
    }
  }
}

/// f16_to_f32 without branches, so that a loop of it becomes vector code.
inline float widen_f16(std::uint16_t half) {
  const std::uint32_t magnitude = half & 0x7FFFu;
  const std::uint32_t normal = (magnitude << 13) + (112u << 23);
  const std::uint32_t special = (magnitude << 13) | 0x7F800000u;
  const std::uint32_t tiny =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f);
  const std::uint32_t bits = magnitude >= 0x7C00u ? special : magnitude < 0x0400u ? tiny : normal;
  return std::bit_cast<float>(bits | static_cast<std::uint32_t>(half & 0x8000u) << 16);
}

/// NaN and infinity have all bits of the exponent set, NaN also some below them.
template <typename Bits>
std::optional<NotFinite> find_not_finite(std::uint32_t exponent, const std::byte* values, std::int64_t n) {
  const std::uint32_t mantissa = (exponent & (~exponent + 1)) - 1;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint32_t bits = load<Bits>(values, i);
    if ((bits & exponent) == exponent) return NotFinite{i, (bits & mantissa) != 0};
  }
  return std::nullopt;
}

}  // namespace

void widen_in_place(float* dst, DType dtype, std::int64_t n) {
  // Value i lies at or behind dst[i]; a block is taken away before anything is written to its place.
  constexpr std::int64_t kBlock = 64;
  const std::byte* values = reinterpret_cast<const std::byte*>(dst) + n * 2;
  std::uint16_t bits[kBlock];
  for (std::int64_t first = 0; first < n; first += kBlock) {
    const std::int64_t count = std::min(kBlock, n - first);
    std::memcpy(bits, values + first * 2, static_cast<std::size_t>(count) * 2);
    if (dtype == DType::f16) {
      for (std::int64_t i = 0; i < count; ++i) dst[first + i] = widen_f16(bits[i]);
    } else {
      for (std::int64_t i = 0; i < count; ++i) dst[first + i] = bf16_to_f32(bits[i]);
    }
  }
}

void transpose_values(DType dtype, std::byte* dst, std::int64_t dst_stride, const std::byte* src,
                      std::int64_t src_stride, std::int64_t rows, std::int64_t cols) {
  if (dtype == DType::f32) {
    transpose<std::uint32_t>(dst, dst_stride, src, src_stride, rows, cols);
  } else {
    transpose<std::uint16_t>(dst, dst_stride, src, src_stride, rows, cols);
  }
}

std::optional<NotFinite> find_not_finite(DType dtype, const std::byte* values, std::int64_t n) {
  switch (dtype) {
    case DType::f32:
      return find_not_finite<std::uint32_t>(0x7F800000u, values, n);
    case DType::f16:
      return find_not_finite<std::uint16_t>(0x7C00u, values, n);
    case DType::bf16:
      return find_not_finite<std::uint16_t>(0x7F80u, values, n);
    case DType::s8:
      break;  // integers
  }
  return std::nullopt;
}

}  // namespace florence2
