// bf16 operands made on the fly: rows rounded, right-hand sides in paired panels, and their product; for use inside
// parallel loops and with tables that multiply bf16 by bf16.
#pragma once

#include <cstdint>

#include "core/view.hpp"
#include "kernels/table.hpp"

namespace florence2 {

/// Elements of a row of k values after rounding, and the depth of the panels it meets.
std::int64_t paired_depth(const KernelTable& table, std::int64_t k);
/// Elements between rounded rows of k values.
std::int64_t paired_stride(const KernelTable& table, std::int64_t k);
/// Elements of the paired panels of B[k, n].
std::int64_t paired_elements(const KernelTable& table, std::int64_t n, std::int64_t k);

/// dst[r] = row r of src in bf16, paired_stride(src.cols) apart.
void round_rows(const KernelTable& table, std::uint16_t* dst, View<const float> src);

/// dst = paired panels of B from rows of the transpose, src[n, k]. `rows` holds nr * paired_depth(k) elements.
void pack_paired(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows);

/// dst = paired panels of B from src[k, n] itself. `rows` holds 2 * paired_depth(n) elements.
void pack_paired_transposed(const KernelTable& table, std::uint16_t* dst, View<const float> src, std::uint16_t* rows);

/// dst[m, n] = a[m, k] * B, n = dst.cols, for rows and panels made by the above, on the calling thread.
void multiply_paired(const KernelTable& table, View<float> dst, const std::uint16_t* a, std::int64_t k,
                     const std::uint16_t* panels);

}  // namespace florence2
