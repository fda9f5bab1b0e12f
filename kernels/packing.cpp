#include "kernels/packing.hpp"

#include "core/check.hpp"
#include "kernels/panels.hpp"

namespace florence2 {

PackedMatrix::PackedMatrix(const KernelTable& table, DType dtype, std::int64_t n, std::int64_t k)
    : n_(n), k_(k), nr_(table.nr), dtype_(dtype) {
  storage_ = Buffer<std::byte>(panels() * nr_ * k_ * static_cast<std::int64_t>(size_of(dtype)));
}

void PackedMatrix::pack_rows(std::int64_t first_n, std::int64_t count, const void* src) {
  FL_DCHECK(first_n % nr_ == 0 && (count % nr_ == 0 || first_n + count == n_));
  std::byte* dst = storage_.data() + first_n * k_ * static_cast<std::int64_t>(size_of(dtype_));
  if (dtype_ == DType::f32) {
    pack_panels(reinterpret_cast<float*>(dst), {static_cast<const float*>(src), count, k_}, nr_);
  } else {
    pack_panels(reinterpret_cast<std::uint16_t*>(dst), {static_cast<const std::uint16_t*>(src), count, k_}, nr_);
  }
}

void PackedMatrix::unpack_column(std::int64_t n, float* dst) const {
  FL_DCHECK(n >= 0 && n < n_);
  const std::byte* first = panel(n / nr_) + n % nr_ * static_cast<std::int64_t>(size_of(dtype_));
  const auto* wide = reinterpret_cast<const float*>(first);
  const auto* half = reinterpret_cast<const std::uint16_t*>(first);
  switch (dtype_) {
    case DType::f32:
      for (std::int64_t k = 0; k < k_; ++k) dst[k] = wide[k * nr_];
      return;
    case DType::f16:
      for (std::int64_t k = 0; k < k_; ++k) dst[k] = f16_to_f32(half[k * nr_]);
      return;
    case DType::bf16:
      for (std::int64_t k = 0; k < k_; ++k) dst[k] = bf16_to_f32(half[k * nr_]);
      return;
  }
}

}  // namespace florence2
