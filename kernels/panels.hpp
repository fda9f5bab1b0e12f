// Panels in plain memory: the packed layout itself, and products with activations that are packed on the fly, for use
// inside parallel loops.
#pragma once

#include <cstdint>

#include "core/view.hpp"
#include "kernels/table.hpp"

namespace florence2 {

/// Floats that the panels of B[k, n] take: ceil(n / nr) * nr * k.
std::int64_t panel_floats(int nr, std::int64_t n, std::int64_t k);

/// dst = panels of B from rows of the transpose, src[n, k]; columns beyond n become zero.
void pack_panels(float* dst, View<const float> src, int nr);
void pack_panels(std::uint16_t* dst, View<const std::uint16_t> src, int nr);
/// The same for groups of smaller elements, 32 bits each.
void pack_panels(std::uint32_t* dst, View<const std::uint32_t> src, int nr);

/// dst = panels of B from src[k, n] itself.
void pack_panels_transposed(float* dst, View<const float> src, int nr);

/// dst[2 j] = low[j], dst[2 j + 1] = high[j] for j < count; zeros up to j = nr. One row of a panel whose k lie in
/// pairs.
void interleave_rows(std::uint16_t* dst, const std::uint16_t* low, const std::uint16_t* high, std::int64_t count,
                     int nr);

/// dst[m, n] = a[m, k] * B, with n = dst.cols and k = a.cols, on the calling thread.
void multiply_panels(const KernelTable& table, View<float> dst, View<const float> a, const float* panels);

}  // namespace florence2
