// PackedMatrix: the right-hand side of a matrix product, cut into panels of the kernel table's width.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "core/buffer.hpp"
#include "core/dtype.hpp"
#include "kernels/table.hpp"

namespace florence2 {

/// How a matrix is kept in memory, and with that how it is multiplied.
struct WeightType {
  DType dtype = DType::f32;
  /// bf16 whose rows of B lie in pairs, for products with rows rounded to bf16; for tables that have them only. Other
  /// half-precision matrices are widened and multiplied in f32.
  bool paired = false;

  WeightType(DType dtype_, bool paired_ = false) : dtype(dtype_), paired(paired_) {}
};

/// The strips (kernels/table.hpp) of an 8-bit matrix [n, k], in memory and in a file: [strips][depth / 4][16][4].
/// Columns and k are padded with zeros up to what the widest panel and the largest depth_unit of any table need.
inline constexpr std::int64_t kStripPadding = 32;
inline constexpr std::int64_t kStripDepthUnit = 64;
constexpr std::int64_t stored_strips(std::int64_t n) {
  return (n + kStripPadding - 1) / kStripPadding * (kStripPadding / kStripColumns);
}
constexpr std::int64_t stored_depth(std::int64_t k) {
  return (k + kStripDepthUnit - 1) / kStripDepthUnit * kStripDepthUnit;
}

/// B[k, n] as ceil(n / nr) panels; columns beyond n are zero. A panel is [k][nr] floats, f32 or half precision: half
/// precision is widened (exactly) when it is used. 8-bit integers and paired bf16 form groups of 4 and 2 k, and strips
/// [groups][16][4 or 2]; a panel is several strips, or part of one. Each column of 8-bit integers has a scale:
/// B[k, n] = scale[n] * q[k, n], |q| <= 127. Tables with a quad_limit add four products in 16 bits: of each eight
/// values of k the first two of both halves, and the last two. There the scale is so large that q's of one sign in such
/// a quad add up to quad_limit at most. The layout of floats belongs to the table they were packed for.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// Undefined contents for a [k, n] matrix; fill it with pack_rows or pack_floats. Throws std::bad_alloc.
  /// Or, for an 8-bit matrix whose `strips` are there already (stored_strips(n) of stored_depth(k)): those are kept,
  /// not copied, and only adopt_strips is called.
  PackedMatrix(const KernelTable& table, WeightType type, std::int64_t n, std::int64_t k,
               std::shared_ptr<const std::byte> strips = nullptr);

  std::int64_t n() const { return n_; }
  std::int64_t k() const { return k_; }
  int nr() const { return nr_; }
  DType dtype() const { return dtype_; }
  /// Whether it is bf16 in pairs, see WeightType.
  bool paired() const { return dtype_ == DType::bf16 && group_ == 2; }
  std::int64_t panels() const { return (n_ + nr_ - 1) / nr_; }
  std::int64_t bytes() const { return element_bytes_ + (scales_.size() + sums_.size()) * 4; }
  bool empty() const { return n_ == 0; }
  /// Values of k that a product reads: k, or in strips k rounded up to the table's depth_unit.
  std::int64_t depth() const { return depth_; }
  /// Whether it lies in strips, and the bytes of one.
  bool in_strips() const { return group_ > 1; }
  std::int64_t strip_bytes() const { return strip_bytes_; }
  /// Columns that are packed together: ranges of columns begin at a multiple of it.
  std::int64_t pack_unit() const { return in_strips() ? std::max(nr_, kStripColumns) : nr_; }

  /// First element of panel p; of floats optionally from row k0 of it.
  const std::byte* panel(std::int64_t p, std::int64_t k0 = 0) const {
    if (in_strips()) return strip_column(p * nr_) + k0 / group_ * kStripGroupBytes;
    return elements() + (p * k_ + k0) * nr_ * static_cast<std::int64_t>(size_of(dtype_));
  }
  /// Of 8-bit matrices: the scale of column n, and the sum over k of its q; as far as the last panel reaches.
  const float* scales(std::int64_t n) const { return scales_.data() + n; }
  const std::int32_t* sums(std::int64_t n) const { return sums_.data() + n; }

  /// Bytes of the matrix from `position` (inside it, or its end) on.
  std::int64_t bytes_after(const void* position) const {
    return elements() + element_bytes_ - static_cast<const std::byte*>(position);
  }

  /// Packs columns [first_n, first_n + count) of B from `src`, which holds them as rows: src[count][k] of this
  /// matrix's dtype (the layout of a linear layer's weight, [out, in]). first_n must be a multiple of
  /// pack_unit(); a count that is not must end at n(). Disjoint ranges may be packed by different threads.
  /// Not for 8-bit matrices. Throws std::bad_alloc.
  void pack_rows(std::int64_t first_n, std::int64_t count, const void* src);

  /// The same from src[count][k] of the dtype `stored`, f32, f16 or bf16, converted where that is another than this
  /// matrix's: f32 exactly, bf16 to the nearest, 8-bit with the smallest scale that the limits allow. Nothing is
  /// converted to f16. Throws std::bad_alloc.
  void pack(std::int64_t first_n, std::int64_t count, DType stored, const void* src);
  void pack_floats(std::int64_t first_n, std::int64_t count, const float* src) {
    pack(first_n, count, DType::f32, src);
  }

  /// All strips of an 8-bit matrix that owns them, [stored_strips][stored_depth / 4][16][4], for those who have them
  /// quantised already, within the table's quad_limit.
  std::span<std::byte> strips() { return storage_.span(); }
  /// The scales of columns [first_n, first_n + count) of such a matrix, or of one whose strips were there already;
  /// their sums are taken from the strips. Ranges as in pack_rows.
  void adopt_strips(std::int64_t first_n, std::int64_t count, const float* scales);

  /// Column n of B (row n of the [out, in] weight) as f32: dst[k].
  void unpack_column(std::int64_t n, float* dst) const;

 private:
  void pack_converted(std::int64_t first_n, std::int64_t count, DType stored, const void* src);
  void pack_quantized(std::int64_t first_n, std::int64_t count, DType stored, const void* src);
  template <typename Body>
  void for_each_row(std::int64_t count, DType stored, const void* src, const Body& body) const;
  void pack_groups(std::int64_t first_n, std::int64_t count, const void* rows);
  void clear_missing_columns(std::int64_t end);
  std::int64_t row_depth() const { return strip_bytes_ / kStripGroupBytes * group_; }
  const std::byte* elements() const { return shared_ != nullptr ? shared_.get() : storage_.data(); }
  const std::byte* strip_column(std::int64_t n) const {
    return elements() + n / kStripColumns * strip_bytes_ + n % kStripColumns * (kStripGroupBytes / kStripColumns);
  }

  const KernelTable* table_ = nullptr;
  Buffer<std::byte> storage_;
  std::shared_ptr<const std::byte> shared_;  // in place of storage_
  std::int64_t element_bytes_ = 0;
  std::int64_t strip_bytes_ = 0;
  Buffer<float> scales_;       // [panels * nr], of 8-bit matrices
  Buffer<std::int32_t> sums_;  // [panels * nr], of 8-bit matrices
  std::int64_t n_ = 0;
  std::int64_t k_ = 0;
  std::int64_t depth_ = 0;
  int nr_ = 1;
  int group_ = 1;  // values of k side by side in a panel
  DType dtype_ = DType::f32;
};

}  // namespace florence2
