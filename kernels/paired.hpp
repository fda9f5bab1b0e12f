// 16-bit operands made on the fly: rows converted, right-hand sides in panels whose k lie in pairs, and their product;
// for use inside parallel loops. bf16 is for tables that multiply bf16 by bf16. Fixed point is a float divided by a
// scale and rounded to an integer.
#pragma once

#include <cstdint>

#include "core/view.hpp"
#include "kernels/table.hpp"

namespace florence2 {

/// Elements of a row of k values after conversion, and the depth of the panels it meets.
std::int64_t paired_depth(const KernelTable& table, std::int64_t k);
/// Elements between converted rows of k values.
std::int64_t paired_stride(const KernelTable& table, std::int64_t k);
/// Elements of the paired panels of B[k, n].
std::int64_t paired_elements(const KernelTable& table, std::int64_t n, std::int64_t k);

// --- bf16 ---------------------------------------------------------------------------------------------------------

/// dst[r] = row r of src in bf16, paired_stride(src.cols) apart.
void round_rows(const KernelTable& table, std::uint16_t* dst, View<const float> src);

/// dst = paired panels of B from rows of the transpose, src[n, k], in bf16 already: k = paired_depth(k), and the stride
/// is even.
void pack_paired(const KernelTable& table, std::uint16_t* dst, View<const std::uint16_t> src);
/// The same from floats. `rows` holds nr * paired_depth(k) elements.
void pack_paired(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows);

/// dst = paired panels of B from src[k, n] itself, in bf16 already or from floats. `rows` holds 2 * paired_depth(n)
/// elements.
void pack_paired_transposed(const KernelTable& table, std::uint16_t* dst, View<const std::uint16_t> src,
                            std::uint16_t* rows);
void pack_paired_transposed(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows);

/// dst[c] = column c of src in bf16, for c < src.cols, paired_stride(src.rows) apart: rows of the transpose. `rows`
/// holds (src.rows / 2 + 2) * 2 * paired_depth(src.cols) elements. From bf16, or from floats.
void round_columns(const KernelTable& table, std::uint16_t* dst, View<const std::uint16_t> src, std::uint16_t* rows);
void round_columns(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows);

/// dst[m, n] = a[m, k] * B, n = dst.cols, for rows and panels made by the above, on the calling thread. Of `a` as many
/// columns as paired_depth(k) are read.
void multiply_paired(const KernelTable& table, View<float> dst, View<const std::uint16_t> a,
                     const std::uint16_t* panels);

// --- fixed point --------------------------------------------------------------------------------------------------

/// The largest integers that rows of k of them may hold on both sides of a product, so that its sums fit 32 bits.
std::int32_t fixed_limit(std::int64_t k);

/// As round_rows; each row gets the scale that makes its largest magnitude `limit`, or NaN if it is not finite.
void fix_rows(const KernelTable& table, std::int16_t* dst, float* scales, View<const float> src, std::int32_t limit);

/// As pack_paired, with a scale for each of B's columns: scales[n], and zeros up to a multiple of nr.
void pack_fixed(const KernelTable& table, std::int16_t* dst, float* scales, View<const float> src, std::int32_t limit,
                std::int16_t* rows);

/// As pack_paired_transposed, with one scale for all of B, which is returned.
float pack_fixed_transposed(const KernelTable& table, std::int16_t* dst, View<const float> src, std::int32_t limit,
                            std::int16_t* rows);

/// What a product needs besides its rows: scales[n, rounded up to panels], or one panel's for all of them.
struct FixedPanels {
  const std::int16_t* elements;
  const float* scales;
  bool one_scale;
};

/// dst[m, n] = a[m, k] * B with the scales of rows and columns, n = dst.cols.
void multiply_fixed(const KernelTable& table, View<float> dst, const std::int16_t* a, const float* row_scales,
                    std::int64_t k, const FixedPanels& panels);

}  // namespace florence2
