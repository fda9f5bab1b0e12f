// Tensor elements as a file stores them: moved, widened and checked by element type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/dtype.hpp"

namespace florence2 {

/// dst[i] = value i widened, for n values of a 16-bit dtype that fill the second half of dst's own memory.
void widen_in_place(float* dst, DType dtype, std::int64_t n);

/// dst[j][i] = src[i][j] for i < rows, j < cols; strides in elements.
void transpose_values(DType dtype, std::byte* dst, std::int64_t dst_stride, const std::byte* src,
                      std::int64_t src_stride, std::int64_t rows, std::int64_t cols);

struct NotFinite {
  std::int64_t index;
  bool nan;  ///< else an infinity
};

/// The first NaN or infinity among n values.
std::optional<NotFinite> find_not_finite(DType dtype, const std::byte* values, std::int64_t n);

}  // namespace florence2
