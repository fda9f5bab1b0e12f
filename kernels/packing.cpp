#include "kernels/packing.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "core/check.hpp"
#include "kernels/panels.hpp"

namespace florence2 {
namespace {

/// The sums of the four values of each column of a strip, over its groups. With the sign bits flipped the values are 0
/// to 255, and a word of eight holds two columns; sums of an even and an odd byte fit 16 bits for 128 groups.
void sum_strip(std::int32_t (&sums)[kStripColumns], const std::byte* strip, std::int64_t groups) {
  constexpr std::uint64_t kSignBits = 0x8080808080808080u;
  constexpr std::uint64_t kEvenBytes = 0x00FF00FF00FF00FFu;
  constexpr std::int64_t kMostGroups = 128;
  constexpr int kWords = kStripGroupBytes / sizeof(std::uint64_t);
  std::fill(std::begin(sums), std::end(sums), 0);
  while (groups > 0) {
    const std::int64_t count = std::min(groups, kMostGroups);
    std::uint64_t lanes[kWords] = {};
    for (std::int64_t i = 0; i < count; ++i, strip += kStripGroupBytes) {
      std::uint64_t words[kWords];
      std::memcpy(words, strip, sizeof(words));
      for (int w = 0; w < kWords; ++w) {
        const std::uint64_t word = words[w] ^ kSignBits;
        lanes[w] += (word & kEvenBytes) + (word >> 8 & kEvenBytes);
      }
    }
    for (int column = 0; column < kStripColumns; ++column) {
      const std::uint64_t half = lanes[column / 2] >> (32 * (column % 2));
      sums[column] += static_cast<std::int32_t>((half & 0xFFFF) + (half >> 16 & 0xFFFF)) -
                      static_cast<std::int32_t>(4 * 128 * count);
    }
    groups -= count;
  }
}

}  // namespace

PackedMatrix::PackedMatrix(const KernelTable& table, WeightType type, std::int64_t n, std::int64_t k,
                           std::shared_ptr<const std::byte> strips)
    : table_(&table), shared_(std::move(strips)), n_(n), k_(k), depth_(k), nr_(table.nr), dtype_(type.dtype) {
  FL_DCHECK(shared_ == nullptr || dtype_ == DType::s8);
  FL_DCHECK(dtype_ != DType::s8 || k <= kMostDepth8);
  FL_DCHECK(!type.paired || (dtype_ == DType::bf16 && table.gemm_f32_bf16_bf16p != nullptr));
  const auto size = static_cast<std::int64_t>(size_of(dtype_));
  if (dtype_ == DType::s8 || type.paired) {
    group_ = type.paired ? 2 : 4;
    const std::int64_t unit = table.depth_unit / size;
    depth_ = (k + unit - 1) / unit * unit;
    strip_bytes_ = stored_depth(k * size) * kStripColumns;
    element_bytes_ = stored_strips(n) * strip_bytes_;
  } else {
    element_bytes_ = panels() * nr_ * k * size;
  }
  if (dtype_ == DType::s8) {
    scales_ = Buffer<float>(panels() * nr_);
    sums_ = Buffer<std::int32_t>(panels() * nr_);
  }
  if (shared_ == nullptr) storage_ = Buffer<std::byte>(element_bytes_);
}

void PackedMatrix::pack_rows(std::int64_t first_n, std::int64_t count, const void* src) {
  FL_DCHECK(first_n % pack_unit() == 0 && (count % pack_unit() == 0 || first_n + count == n_));
  FL_DCHECK(dtype_ != DType::s8);
  if (paired()) {
    if (row_depth() == k_) return pack_groups(first_n, count, src);
    std::vector<std::uint16_t> rows(static_cast<std::size_t>(count * row_depth()));
    const auto* const stored = static_cast<const std::uint16_t*>(src);
    for (std::int64_t r = 0; r < count; ++r) std::copy_n(stored + r * k_, k_, rows.begin() + r * row_depth());
    return pack_groups(first_n, count, rows.data());
  }
  std::byte* dst = storage_.data() + first_n * k_ * static_cast<std::int64_t>(size_of(dtype_));
  if (dtype_ == DType::f32) {
    pack_panels(reinterpret_cast<float*>(dst), {static_cast<const float*>(src), count, k_}, nr_);
  } else {
    pack_panels(reinterpret_cast<std::uint16_t*>(dst), {static_cast<const std::uint16_t*>(src), count, k_}, nr_);
  }
}

/// Packs rows[count][row_depth]. A group of k is 32 bits large, so that a strip is an ordinary panel of 32-bit
/// elements.
void PackedMatrix::pack_groups(std::int64_t first_n, std::int64_t count, const void* rows) {
  std::byte* const dst = storage_.data() + first_n / kStripColumns * strip_bytes_;
  pack_panels(reinterpret_cast<std::uint32_t*>(dst),
              {static_cast<const std::uint32_t*>(rows), count, row_depth() / group_}, kStripColumns);
  if (first_n + count == n_) {
    std::byte* const end = storage_.data() + (n_ + kStripColumns - 1) / kStripColumns * strip_bytes_;
    std::fill(end, storage_.data() + element_bytes_, std::byte{0});
  }
}

/// body(r, row) for rows r of src[count][k], as floats.
template <typename Body>
void PackedMatrix::for_each_row(std::int64_t count, DType stored, const void* src, const Body& body) const {
  if (stored == DType::f32) {
    for (std::int64_t r = 0; r < count; ++r) body(r, static_cast<const float*>(src) + r * k_);
    return;
  }
  const auto widen = stored == DType::f16 ? table_->widen_f16 : table_->widen_bf16;
  std::vector<float> row(static_cast<std::size_t>(k_));
  for (std::int64_t r = 0; r < count; ++r) {
    widen(row.data(), static_cast<const std::uint16_t*>(src) + r * k_, k_);
    body(r, row.data());
  }
}

void PackedMatrix::pack_quantized(std::int64_t first_n, std::int64_t count, DType stored, const void* src) {
  std::vector<std::int8_t> rows(static_cast<std::size_t>(count * row_depth()));
  for_each_row(count, stored, src, [&](std::int64_t r, const float* row) {
    const std::int64_t n = first_n + r;
    table_->quantize_column(rows.data() + r * row_depth(), &scales_[n], &sums_[n], row, k_);
  });
  pack_groups(first_n, count, rows.data());
  clear_missing_columns(first_n + count);
}

void PackedMatrix::adopt_strips(std::int64_t first_n, std::int64_t count, const float* scales) {
  FL_DCHECK(dtype_ == DType::s8 && first_n % pack_unit() == 0);
  std::copy_n(scales, count, scales_.data() + first_n);
  std::int32_t sums[kStripColumns];
  for (std::int64_t n = first_n; n < first_n + count; n += kStripColumns) {
    sum_strip(sums, strip_column(n), row_depth() / group_);
    std::copy_n(sums, std::min<std::int64_t>(kStripColumns, first_n + count - n), sums_.data() + n);
  }
  clear_missing_columns(first_n + count);
}

/// Scales and sums of the columns that the last panel lacks.
void PackedMatrix::clear_missing_columns(std::int64_t end) {
  if (end != n_) return;
  std::fill(scales_.data() + n_, scales_.data() + scales_.size(), 0.0f);
  std::fill(sums_.data() + n_, sums_.data() + sums_.size(), 0);
}

void PackedMatrix::pack_converted(std::int64_t first_n, std::int64_t count, DType stored, const void* src) {
  FL_DCHECK(stored != DType::s8 && dtype_ != DType::f16);
  if (dtype_ == DType::s8) return pack_quantized(first_n, count, stored, src);
  const auto pack = [&]<typename T>(T, const auto& convert) {
    std::vector<T> rows(static_cast<std::size_t>(count * k_));
    for_each_row(count, stored, src, [&](std::int64_t r, const float* row) {
      std::transform(row, row + k_, rows.begin() + r * k_, convert);
    });
    pack_rows(first_n, count, rows.data());
  };
  if (dtype_ == DType::f32) return pack(float{}, [](float value) { return value; });
  pack(std::uint16_t{}, [](float value) { return f32_to_bf16(value); });
}

void PackedMatrix::pack(std::int64_t first_n, std::int64_t count, DType stored, const void* src) {
  return stored == dtype_ ? pack_rows(first_n, count, src) : pack_converted(first_n, count, stored, src);
}

void PackedMatrix::unpack_column(std::int64_t n, float* dst) const {
  FL_DCHECK(n >= 0 && n < n_);
  const auto size = static_cast<std::int64_t>(size_of(dtype_));
  const std::byte* const first = in_strips() ? strip_column(n) : panel(n / nr_) + n % nr_ * size;
  const std::int64_t next_group = in_strips() ? kStripGroupBytes : nr_ * size;
  const auto unpack = [&]<typename T>(T, const auto& widen) {
    for (std::int64_t k = 0; k < k_; ++k) {
      T value;
      std::memcpy(&value, first + k / group_ * next_group + k % group_ * size, sizeof(T));
      dst[k] = widen(value);
    }
  };
  switch (dtype_) {
    case DType::f32:
      return unpack(float{}, [](float value) { return value; });
    case DType::f16:
      return unpack(std::uint16_t{}, f16_to_f32);
    case DType::bf16:
      return unpack(std::uint16_t{}, bf16_to_f32);
    case DType::s8:
      return unpack(std::int8_t{}, [&](std::int8_t q) { return scales_[n] * static_cast<float>(q); });
  }
}

}  // namespace florence2
