// What the kernel tests share: the tables they run for, weights in both forms (the kernels' and the oracle's),
// comparisons.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/dtype.hpp"
#include "kernels/attention.hpp"
#include "kernels/matmul.hpp"
#include "kernels/table.hpp"
#include "tests/reference.hpp"
#include "tests/support.hpp"

namespace florence2::test {

/// What kernels/simd/math-inl.hpp states for the GELU of 8-bit and bf16 products, for moderate arguments.
inline constexpr double kGelu8BitError = 5e-5;

/// The tables this CPU can run, and "avx512-emulated" where it can run AVX2.
const std::vector<const KernelTable*>& tested_tables();
/// These, and the emulated tables that differ from them in their 8-bit products alone.
const std::vector<const KernelTable*>& tables_8bit();
/// Those of them that multiply bf16 by bf16; may be empty.
const std::vector<const KernelTable*>& tables_bf16();

/// Thread counts that every operation must give identical bits for.
inline constexpr int kThreadCounts[] = {1, 2, 3, 5};

inline constexpr DType kDTypes[] = {DType::f32, DType::f16, DType::bf16};

// --- comparisons; `got` is a kernel's result
// ---------------------------------------------------------------------------
/// Each element within the oracle's bound. On failure: index, both values, error and bound.
void check_close(View<const float> got, const reference::Bounded& expected);
/// Each element equal to a value that f32 holds.
void check_equal(View<const float> got, const reference::Matrix& expected);
void check_same_bits(View<const float> a, View<const float> b);

// --- inputs
// ------------------------------------------------------------------------------------------------------------
/// A small integer in [-8, 8]; products of two of them add up exactly in f32 for up to 2^18 terms.
float small_integer(Random& random);

/// rows x cols values that own their memory.
struct Plain {
  std::vector<float> values;
  std::int64_t rows = 0, cols = 0;

  Plain(std::int64_t rows_, std::int64_t cols_)
      : values(static_cast<std::size_t>(rows_ * cols_)), rows(rows_), cols(cols_) {}
  /// One row.
  explicit Plain(std::vector<float> row)
      : values(std::move(row)), rows(1), cols(static_cast<std::int64_t>(values.size())) {}
  View<float> view() { return {values.data(), rows, cols}; }
  View<const float> view() const { return {values.data(), rows, cols}; }
};
Plain random_matrix(Random& random, std::int64_t rows, std::int64_t cols);
Plain integer_matrix(Random& random, std::int64_t rows, std::int64_t cols);

/// A linear layer packed for `table` from weight [out, in], rounded to its type first, and the oracle's view of it.
struct TestLinear {
  Linear linear;
  reference::Affine affine;

  TestLinear(const KernelTable& table, const Plain& weight, const std::vector<float>& bias, WeightType type);
  /// Uniform weights in [-1, 1) / sqrt(in), a bias in [-1, 1).
  TestLinear(const KernelTable& table, Random& random, std::int64_t in, std::int64_t out, WeightType type = DType::f32);
};

struct TestNorm {
  Norm norm;
  reference::Norm expected;

  /// gamma around 1, beta around 0.
  TestNorm(Random& random, std::int64_t channels);
};

/// Norm, qkv and proj of an attention block; movable into AttentionWeights once.
struct TestAttention {
  AttentionWeights weights;
  reference::AttentionWeights expected;

  TestAttention(const KernelTable& table, Random& random, std::int64_t channels, int heads,
                WeightType type = DType::f32);
};

/// Whether mlp_block and feed_forward_block over m rows of `dim` channels, and 4 * dim hidden ones, give the bits of
/// their operations. What lies between the two layers is rounded to bf16 where the table and both weights allow it.
void check_fused_blocks(const KernelTable& table, WeightType first, WeightType second, std::int64_t m,
                        std::int64_t dim);

/// The bits of `value` rounded to f16 or bf16 (nearest even).
std::uint16_t half_bits(float value, DType dtype);
/// f16 or bf16 bits as a float, by Eigen.
float half_value(std::uint16_t bits, DType dtype);

/// Each value rounded to bf16.
Plain rounded_matrix(Plain matrix);

Buffer<float> buffer_of(const std::vector<float>& values);

/// Cross-attention of a single request.
inline void cross_attend(Context& context, View<float> dst, View<const float> q, const CrossCache& cache, float scale) {
  const CrossAttention request{dst, q, &cache};
  cross_attention(context, {&request, 1}, scale);
}

/// Runs `operation(context)`, which writes to `dst`, on 1, 2, 3 and 5 threads and checks that dst's bits stay the same.
template <typename Operation>
void check_threads(const KernelTable& table, View<float> dst, const Operation& operation) {
  Plain first(dst.rows, dst.cols);
  for (const int threads : kThreadCounts) {
    Context context(table, threads);
    operation(context);
    if (threads == 1) {
      for (std::int64_t r = 0; r < dst.rows; ++r) std::copy_n(dst.row(r), dst.cols, first.view().row(r));
    } else {
      check_same_bits(dst, first.view());
    }
  }
}

}  // namespace florence2::test
