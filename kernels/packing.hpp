// PackedMatrix: the right-hand side of a matrix product, cut into panels of the kernel table's width.
#pragma once

#include <cstdint>

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

/// B[k, n] as ceil(n / nr) panels; columns beyond n are zero. A panel is [k][nr] floats, f32 or half precision: half
/// precision is widened (exactly) when it is used. A panel of 8-bit integers is [depth / 4][nr][4], where depth
/// is k rounded up to the table's depth_unit, and each column has a scale: B[k, n] = scale[n] * q[k, n], |q| <= 127.
/// Tables with a quad_limit add four products in 16 bits: of each eight values of k the first two of both halves, and
/// the last two. There the scale is so large that q's of one sign in such a quad add up to quad_limit at most.
/// A panel of paired bf16 is [depth / 2][nr][2], where 2 depth bytes are 2 k rounded up to the table's depth_unit; all
/// beyond k is zero.
/// The layout belongs to the table it was packed for.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// Undefined contents for a [k, n] matrix; fill it with pack_rows or pack_floats. Throws std::bad_alloc.
  PackedMatrix(const KernelTable& table, WeightType type, std::int64_t n, std::int64_t k);

  std::int64_t n() const { return n_; }
  std::int64_t k() const { return k_; }
  int nr() const { return nr_; }
  DType dtype() const { return dtype_; }
  /// Whether it is bf16 in pairs, see WeightType.
  bool paired() const { return dtype_ == DType::bf16 && group_ == 2; }
  std::int64_t panels() const { return (n_ + nr_ - 1) / nr_; }
  std::int64_t bytes() const { return storage_.size() + (scales_.size() + sums_.size()) * 4; }
  bool empty() const { return n_ == 0; }
  /// Rows of a panel: k, or more where rows lie in groups.
  std::int64_t depth() const { return depth_; }

  /// First element of panel p, optionally from row k0 of it (a multiple of 4 or 2 where rows lie in groups).
  const std::byte* panel(std::int64_t p, std::int64_t k0 = 0) const {
    return storage_.data() + (p * depth_ + k0) * nr_ * static_cast<std::int64_t>(size_of(dtype_));
  }
  /// Of 8-bit matrices: the scale of column n, and the sum over k of its q; as far as the last panel reaches.
  const float* scales(std::int64_t n) const { return scales_.data() + n; }
  const std::int32_t* sums(std::int64_t n) const { return sums_.data() + n; }

  /// Bytes of the matrix from `position` (inside it, or its end) on.
  std::int64_t bytes_after(const void* position) const {
    return storage_.data() + storage_.size() - static_cast<const std::byte*>(position);
  }

  /// Packs columns [first_n, first_n + count) of B from `src`, which holds them as rows: src[count][k] of this
  /// matrix's dtype (the layout of a linear layer's weight, [out, in]). first_n must be a multiple of nr();
  /// a count that is not must end at n(). Disjoint ranges may be packed by different threads.
  /// Not for 8-bit matrices.
  void pack_rows(std::int64_t first_n, std::int64_t count, const void* src);

  /// The same from f32, converted to this matrix's dtype: bf16 to the nearest, 8-bit with the smallest scale that the
  /// limits allow. Not for f16.
  void pack_floats(std::int64_t first_n, std::int64_t count, const float* src);

  /// The same for 8-bit matrices that are quantised already, within the table's quad_limit: rows[count][k], and a scale
  /// for each.
  void pack_bytes(std::int64_t first_n, std::int64_t count, const std::int8_t* rows, const float* scales);

  /// Column n of B (row n of the [out, in] weight) as f32: dst[k].
  void unpack_column(std::int64_t n, float* dst) const;

 private:
  void pack_quantized(std::int64_t first_n, std::int64_t count, const float* src);
  void pack_groups(std::int64_t first_n, std::int64_t count, const void* rows);
  void clear_missing_columns(std::int64_t end);

  Buffer<std::byte> storage_;
  Buffer<float> scales_;       // [panels * nr], of 8-bit matrices
  Buffer<std::int32_t> sums_;  // [panels * nr], of 8-bit matrices
  std::int64_t n_ = 0;
  std::int64_t k_ = 0;
  std::int64_t depth_ = 0;
  int nr_ = 1;
  int group_ = 1;  // values of k side by side in a panel
  decltype(KernelTable::quantize_column) quantize_column_ = nullptr;
  DType dtype_ = DType::f32;
};

}  // namespace florence2
