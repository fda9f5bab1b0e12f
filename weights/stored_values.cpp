#include "weights/stored_values.hpp"

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
  // Value i lies at or behind dst[i], so it is read before anything is written to its place.
  const std::byte* values = reinterpret_cast<const std::byte*>(dst) + n * 2;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto bits = load<std::uint16_t>(values, i);
    dst[i] = dtype == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
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
