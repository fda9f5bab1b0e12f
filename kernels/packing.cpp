#include "kernels/packing.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/check.hpp"
#include "kernels/panels.hpp"

namespace florence2 {
namespace {

/// The sum of n values, eight at a time: with the sign bit flipped they are 0 to 255, and four 16-bit lanes of a word
/// hold the sums of two bytes of each of 128 words.
std::int32_t sum_of(const std::int8_t* values, std::int64_t n) {
  constexpr std::uint64_t kSignBits = 0x8080808080808080u;
  constexpr std::uint64_t kLowBytes = 0x00FF00FF00FF00FFu;
  constexpr std::int64_t kMostWords = 128;
  std::int32_t sum = 0;
  std::int64_t i = 0;
  while (n - i >= 8) {
    const std::int64_t words = std::min((n - i) / 8, kMostWords);
    std::uint64_t lanes = 0;
    for (const std::int64_t end = i + 8 * words; i < end; i += 8) {
      std::uint64_t word;
      std::memcpy(&word, values + i, sizeof word);
      word ^= kSignBits;
      lanes += (word & kLowBytes) + (word >> 8 & kLowBytes);
    }
    for (int lane = 0; lane < 4; ++lane) sum += static_cast<std::int32_t>(lanes >> (16 * lane) & 0xFFFF);
    sum -= static_cast<std::int32_t>(8 * words * 128);
  }
  for (; i < n; ++i) sum += values[i];
  return sum;
}

}  // namespace

PackedMatrix::PackedMatrix(const KernelTable& table, WeightType type, std::int64_t n, std::int64_t k)
    : n_(n), k_(k), depth_(k), nr_(table.nr), dtype_(type.dtype) {
  FL_DCHECK(!type.paired || (dtype_ == DType::bf16 && table.gemm_f32_bf16_bf16p != nullptr));
  if (dtype_ == DType::s8 || type.paired) {
    group_ = type.paired ? 2 : 4;
    const std::int64_t unit = table.depth_unit / static_cast<std::int64_t>(size_of(dtype_));
    depth_ = (k + unit - 1) / unit * unit;
  }
  if (dtype_ == DType::s8) {
    quantize_column_ = table.quantize_column;
    scales_ = Buffer<float>(panels() * nr_);
    sums_ = Buffer<std::int32_t>(panels() * nr_);
  }
  storage_ = Buffer<std::byte>(panels() * nr_ * depth_ * static_cast<std::int64_t>(size_of(dtype_)));
}

void PackedMatrix::pack_rows(std::int64_t first_n, std::int64_t count, const void* src) {
  FL_DCHECK(first_n % nr_ == 0 && (count % nr_ == 0 || first_n + count == n_));
  FL_DCHECK(dtype_ != DType::s8);
  if (paired()) {
    std::vector<std::uint16_t> rows(static_cast<std::size_t>(count * depth_));
    const auto* const stored = static_cast<const std::uint16_t*>(src);
    for (std::int64_t r = 0; r < count; ++r) std::copy_n(stored + r * k_, k_, rows.begin() + r * depth_);
    return pack_groups(first_n, count, rows.data());
  }
  std::byte* dst = storage_.data() + first_n * k_ * static_cast<std::int64_t>(size_of(dtype_));
  if (dtype_ == DType::f32) {
    pack_panels(reinterpret_cast<float*>(dst), {static_cast<const float*>(src), count, k_}, nr_);
  } else {
    pack_panels(reinterpret_cast<std::uint16_t*>(dst), {static_cast<const std::uint16_t*>(src), count, k_}, nr_);
  }
}

/// Packs rows[count][depth]. Groups of k lie together and are 32 bits large, so a panel of groups is an ordinary panel
/// of 32-bit elements.
void PackedMatrix::pack_groups(std::int64_t first_n, std::int64_t count, const void* rows) {
  std::byte* dst = storage_.data() + first_n * depth_ * static_cast<std::int64_t>(size_of(dtype_));
  pack_panels(reinterpret_cast<float*>(dst), {static_cast<const float*>(rows), count, depth_ / group_}, nr_);
}

void PackedMatrix::pack_quantized(std::int64_t first_n, std::int64_t count, const float* src) {
  std::vector<std::int8_t> rows(static_cast<std::size_t>(count * depth_));
  for (std::int64_t r = 0; r < count; ++r) {
    const std::int64_t n = first_n + r;
    quantize_column_(rows.data() + r * depth_, &scales_[n], &sums_[n], src + r * k_, k_);
  }
  pack_groups(first_n, count, rows.data());
  clear_missing_columns(first_n + count);
}

void PackedMatrix::pack_bytes(std::int64_t first_n, std::int64_t count, const std::int8_t* rows, const float* scales) {
  FL_DCHECK(dtype_ == DType::s8);
  for (std::int64_t r = 0; r < count; ++r) {
    scales_[first_n + r] = scales[r];
    sums_[first_n + r] = sum_of(rows + r * k_, k_);
  }
  clear_missing_columns(first_n + count);
  if (depth_ == k_) return pack_groups(first_n, count, rows);
  std::vector<std::int8_t> padded(static_cast<std::size_t>(count * depth_), 0);
  for (std::int64_t r = 0; r < count; ++r) std::copy_n(rows + r * k_, k_, padded.data() + r * depth_);
  pack_groups(first_n, count, padded.data());
}

/// Scales and sums of the columns that the last panel lacks.
void PackedMatrix::clear_missing_columns(std::int64_t end) {
  if (end != n_) return;
  std::fill(scales_.data() + n_, scales_.data() + scales_.size(), 0.0f);
  std::fill(sums_.data() + n_, sums_.data() + sums_.size(), 0);
}

void PackedMatrix::pack_floats(std::int64_t first_n, std::int64_t count, const float* src) {
  FL_DCHECK(dtype_ != DType::f16);
  if (dtype_ == DType::f32) return pack_rows(first_n, count, src);
  if (dtype_ == DType::bf16) {
    std::vector<std::uint16_t> bits(static_cast<std::size_t>(count * k_));
    std::transform(src, src + count * k_, bits.begin(), f32_to_bf16);
    return pack_rows(first_n, count, bits.data());
  }
  pack_quantized(first_n, count, src);
}

void PackedMatrix::unpack_column(std::int64_t n, float* dst) const {
  FL_DCHECK(n >= 0 && n < n_);
  const std::byte* first = panel(n / nr_) + n % nr_ * group_ * static_cast<std::int64_t>(size_of(dtype_));
  const auto position = [&](std::int64_t k) { return k / group_ * group_ * nr_ + k % group_; };
  const auto* wide = reinterpret_cast<const float*>(first);
  const auto* half = reinterpret_cast<const std::uint16_t*>(first);
  const auto* q = reinterpret_cast<const std::int8_t*>(first);
  switch (dtype_) {
    case DType::f32:
      for (std::int64_t k = 0; k < k_; ++k) dst[k] = wide[position(k)];
      return;
    case DType::f16:
      for (std::int64_t k = 0; k < k_; ++k) dst[k] = f16_to_f32(half[position(k)]);
      return;
    case DType::bf16:
      for (std::int64_t k = 0; k < k_; ++k) dst[k] = bf16_to_f32(half[position(k)]);
      return;
    case DType::s8:
      for (std::int64_t k = 0; k < k_; ++k) dst[k] = scales_[n] * static_cast<float>(q[position(k)]);
      return;
  }
}

}  // namespace florence2
