#include "kernels/panels.hpp"

#include <algorithm>
#include <cstring>

namespace florence2 {
namespace {

/// One panel: dst[k][nr] = transpose of src[count][k], 4 x 4 at a time so that both sides move in whole cache lines.
void transpose_panel(float* dst, View<const float> src, int nr) {
  const std::int64_t count = src.rows, k = src.cols;
  std::int64_t n = 0;
  for (; n + 4 <= count; n += 4) {
    const float* r0 = src.row(n);
    const float* r1 = src.row(n + 1);
    const float* r2 = src.row(n + 2);
    const float* r3 = src.row(n + 3);
    float* out = dst + n;
    for (std::int64_t i = 0; i < k; ++i, out += nr) {
      out[0] = r0[i];
      out[1] = r1[i];
      out[2] = r2[i];
      out[3] = r3[i];
    }
  }
  for (; n < nr; ++n) {
    float* out = dst + n;
    const float* row = n < count ? src.row(n) : nullptr;
    for (std::int64_t i = 0; i < k; ++i, out += nr) *out = row != nullptr ? row[i] : 0.0f;
  }
}

}  // namespace

std::int64_t panel_floats(int nr, std::int64_t n, std::int64_t k) { return (n + nr - 1) / nr * nr * k; }

void pack_panels(float* dst, View<const float> src, int nr) {
  for (std::int64_t n = 0; n < src.rows; n += nr, dst += nr * src.cols) {
    transpose_panel(dst, src.row_range(n, std::min<std::int64_t>(nr, src.rows - n)), nr);
  }
}

void pack_panels_transposed(float* dst, View<const float> src, int nr) {
  for (std::int64_t n = 0; n < src.cols; n += nr) {
    const std::int64_t count = std::min<std::int64_t>(nr, src.cols - n);
    for (std::int64_t k = 0; k < src.rows; ++k, dst += nr) {
      std::memcpy(dst, src.row(k) + n, static_cast<std::size_t>(count) * sizeof(float));
      std::fill(dst + count, dst + nr, 0.0f);
    }
  }
}

void multiply_panels(const KernelTable& table, View<float> dst, View<const float> a, const float* panels) {
  for (std::int64_t n = 0; n < dst.cols; n += table.nr, panels += table.nr * a.cols) {
    GemmBlock block = {};
    block.c = dst.data + n;
    block.c_stride = dst.stride;
    block.a = a.data;
    block.a_stride = a.stride;
    block.panel = panels;
    block.m = dst.rows;
    block.n = std::min<std::int64_t>(table.nr, dst.cols - n);
    block.k = a.cols;
    table.gemm_f32_f32_f32p(block);
  }
}

}  // namespace florence2
