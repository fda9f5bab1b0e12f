#include "kernels/packing.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/check.hpp"
#include "kernels/panels.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kGroup = 4;  // values of k side by side in an 8-bit panel

/// The values of k whose products are added in 16 bits where a table has a quad_limit: of each eight, these.
constexpr int kQuads[2][4] = {{0, 1, 4, 5}, {2, 3, 6, 7}};

/// Largest magnitude, and largest sum of the positive or of the negative values of a quad; NaN where src is not finite.
struct Extent {
  float magnitude = 0;
  float quad_sum = 0;
};

Extent extent_of(const float* src, std::int64_t k) {
  Extent extent;
  float poison = 0;
  for (std::int64_t i = 0; i < k; ++i) {
    extent.magnitude = std::max(extent.magnitude, std::abs(src[i]));
    poison += src[i] * 0.0f;
  }
  for (std::int64_t i = 0; i + 8 <= k; i += 8) {
    for (const auto& quad : kQuads) {
      float above = 0, below = 0;
      for (const int j : quad) {
        above += std::max(src[i + j], 0.0f);
        below -= std::min(src[i + j], 0.0f);
      }
      extent.quad_sum = std::max({extent.quad_sum, above, below});
    }
  }
  extent.magnitude += poison;
  return extent;
}

/// Takes from the quad's values of one sign, where rounding made them too large together, those that it rounded up
/// most.
void bound_quad(std::int8_t* q, const float* src, float inverse, const int (&quad)[4], int sign, int limit) {
  for (;;) {
    int sum = 0, worst = -1;
    float overshoot = -std::numeric_limits<float>::infinity();
    for (const int j : quad) {
      const int value = sign * q[j];
      if (value <= 0) continue;
      sum += value;
      const float over = static_cast<float>(value) - static_cast<float>(sign) * src[j] * inverse;
      if (over > overshoot) {
        overshoot = over;
        worst = j;
      }
    }
    if (sum <= limit) return;
    q[worst] = static_cast<std::int8_t>(q[worst] - sign);
  }
}

/// Applies the limit to every quad of q[k].
void bound_quads(std::int8_t* q, const float* src, float inverse, std::int64_t k, int limit) {
  for (std::int64_t i = 0; i + 8 <= k; i += 8) {
    for (const auto& quad : kQuads) {
      int above = 0, below = 0;
      for (const int j : quad) {
        above += std::max<int>(q[i + j], 0);
        below -= std::min<int>(q[i + j], 0);
      }
      if (above > limit) bound_quad(q + i, src + i, inverse, quad, 1, limit);
      if (below > limit) bound_quad(q + i, src + i, inverse, quad, -1, limit);
    }
  }
}

/// q[k] = src[k] / scale to the nearest, |q| <= 127 and quads within `limit` (0: none); returns the scale, NaN where
/// src is not finite. k is a multiple of 8.
float quantize(std::int8_t* q, const float* src, std::int64_t k, int limit) {
  // Added to a float of magnitude below 2^22 it leaves the nearest integer in the low bits of the sum.
  constexpr float kRounding = 0x1.8p23f;
  const Extent extent = extent_of(src, k);
  float scale = extent.magnitude / 127.0f;
  if (limit > 0) scale = std::max(scale, extent.quad_sum / static_cast<float>(limit));
  const bool finite = std::isfinite(extent.magnitude);
  const float inverse = finite && scale > 0 ? 1.0f / scale : 0.0f;
  for (std::int64_t i = 0; i < k; ++i) {
    const float shifted = (finite ? src[i] : 0.0f) * inverse + kRounding;
    q[i] = static_cast<std::int8_t>(std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRounding));
  }
  if (limit > 0 && finite) bound_quads(q, src, inverse, k, limit);
  return finite ? scale : std::numeric_limits<float>::quiet_NaN();
}

}  // namespace

PackedMatrix::PackedMatrix(const KernelTable& table, DType dtype, std::int64_t n, std::int64_t k)
    : n_(n), k_(k), depth_(k), nr_(table.nr), dtype_(dtype) {
  if (dtype == DType::s8) {
    quad_limit_ = table.quad_limit;
    depth_ = (k + table.depth_unit - 1) / table.depth_unit * table.depth_unit;
    scales_ = Buffer<float>(panels() * nr_);
    sums_ = Buffer<std::int32_t>(panels() * nr_);
  }
  storage_ = Buffer<std::byte>(panels() * nr_ * depth_ * static_cast<std::int64_t>(size_of(dtype)));
}

void PackedMatrix::pack_rows(std::int64_t first_n, std::int64_t count, const void* src) {
  FL_DCHECK(first_n % nr_ == 0 && (count % nr_ == 0 || first_n + count == n_));
  FL_DCHECK(dtype_ != DType::s8);
  std::byte* dst = storage_.data() + first_n * k_ * static_cast<std::int64_t>(size_of(dtype_));
  if (dtype_ == DType::f32) {
    pack_panels(reinterpret_cast<float*>(dst), {static_cast<const float*>(src), count, k_}, nr_);
  } else {
    pack_panels(reinterpret_cast<std::uint16_t*>(dst), {static_cast<const std::uint16_t*>(src), count, k_}, nr_);
  }
}

/// Groups of k lie together, so a panel of groups is an ordinary panel of 32-bit elements.
void PackedMatrix::pack_quantized(std::int64_t first_n, std::int64_t count, const float* src) {
  std::vector<std::int8_t> rows(static_cast<std::size_t>(count * depth_));
  std::vector<float> padded(static_cast<std::size_t>(depth_), 0.0f);
  for (std::int64_t r = 0; r < count; ++r) {
    std::copy_n(src + r * k_, k_, padded.data());
    std::int8_t* const q = rows.data() + r * depth_;
    scales_[first_n + r] = quantize(q, padded.data(), depth_, quad_limit_);
    sums_[first_n + r] = std::accumulate(q, q + depth_, std::int32_t{0});
  }
  std::byte* dst = storage_.data() + first_n * depth_;
  const std::int64_t groups = depth_ / kGroup;
  static_assert(kGroup == sizeof(float));
  pack_panels(reinterpret_cast<float*>(dst), {reinterpret_cast<const float*>(rows.data()), count, groups}, nr_);
  if (first_n + count == n_) {
    std::fill(scales_.data() + n_, scales_.data() + scales_.size(), 0.0f);
    std::fill(sums_.data() + n_, sums_.data() + sums_.size(), 0);
  }
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
    case DType::s8: {
      const auto* q = reinterpret_cast<const std::int8_t*>(panel(n / nr_)) + n % nr_ * kGroup;
      for (std::int64_t k = 0; k < k_; ++k) {
        dst[k] = scales_[n] * static_cast<float>(q[k / kGroup * kGroup * nr_ + k % kGroup]);
      }
      return;
    }
  }
}

}  // namespace florence2
