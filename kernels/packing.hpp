// PackedMatrix: the right-hand side of a matrix product, cut into panels of the kernel table's width.
#pragma once

#include <cstdint>

#include "core/buffer.hpp"
#include "core/dtype.hpp"
#include "kernels/table.hpp"

namespace florence2 {

/// B[k, n] as ceil(n / nr) panels of [k][nr] elements; columns beyond n are zero. The element type is the one the
/// weights are stored in: half-precision weights stay half-precision and are widened (exactly) when they are used.
/// The layout belongs to the table it was packed for.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// Undefined contents for a [k, n] matrix; fill it with pack_rows. Throws std::bad_alloc.
  PackedMatrix(const KernelTable& table, DType dtype, std::int64_t n, std::int64_t k);

  std::int64_t n() const { return n_; }
  std::int64_t k() const { return k_; }
  int nr() const { return nr_; }
  DType dtype() const { return dtype_; }
  std::int64_t panels() const { return (n_ + nr_ - 1) / nr_; }
  std::int64_t bytes() const { return storage_.size(); }
  bool empty() const { return n_ == 0; }

  /// First element of panel p, optionally from row k0 of it.
  const std::byte* panel(std::int64_t p, std::int64_t k0 = 0) const {
    return storage_.data() + (p * k_ + k0) * nr_ * static_cast<std::int64_t>(size_of(dtype_));
  }

  /// Bytes of the matrix from `position` (inside it, or its end) on.
  std::int64_t bytes_after(const void* position) const {
    return storage_.data() + storage_.size() - static_cast<const std::byte*>(position);
  }

  /// Packs columns [first_n, first_n + count) of B from `src`, which holds them as rows: src[count][k] of this
  /// matrix's dtype (the layout of a linear layer's weight, [out, in]). first_n must be a multiple of nr();
  /// a count that is not must end at n(). Disjoint ranges may be packed by different threads.
  void pack_rows(std::int64_t first_n, std::int64_t count, const void* src);

  /// Column n of B (row n of the [out, in] weight) as f32: dst[k].
  void unpack_column(std::int64_t n, float* dst) const;

 private:
  Buffer<std::byte> storage_;
  std::int64_t n_ = 0;
  std::int64_t k_ = 0;
  int nr_ = 1;
  DType dtype_ = DType::f32;
};

}  // namespace florence2
