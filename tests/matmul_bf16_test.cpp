// Products of bf16 by bf16: rounded rows, the tiles on guarded memory, and matmul with paired weights, for the tables
// that have them.
//
// Exact tests use integers in [-8, 8], which bf16 holds and whose sums f32 holds whatever their order. Bounded tests
// give the oracle the operands as bf16 rounds them: then nothing but f32 arithmetic, (K + 1) u |A| |B|, is between the
// two. Against the operands as they were each rounding moves a product by at most 2^-8 of itself.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string_view>

#include "kernels/matmul.hpp"
#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

using reference::Bounded;
using reference::Matrix;

const WeightType kPaired(DType::bf16, true);

std::int64_t padded_depth(const KernelTable& table, std::int64_t k) {
  const std::int64_t unit = table.depth_unit / 2;
  return (k + unit - 1) / unit * unit;
}

TEST_CASE("a table multiplies bf16 by bf16, here or emulated", "[kernels]") {
  if (tables_bf16().empty()) WARN("no AVX512-BF16, and no SIMDe or no AVX2 to emulate it: nothing is tested here");
  for (const KernelTable* table : tables_bf16()) {
    CHECK((table->round_row != nullptr && table->depth_unit % 4 == 0 && table->depth_unit > 0));
  }
}

// --- rows
// --------------------------------------------------------------------------------------------------------------

/// src as the table rounds it, from and to guarded memory.
std::vector<std::uint16_t> rounded(const KernelTable& table, const std::vector<float>& values) {
  const auto k = static_cast<std::int64_t>(values.size());
  GuardedBuffer<float> src(k);
  std::copy(values.begin(), values.end(), src.data());
  GuardedBuffer<std::uint16_t> dst(padded_depth(table, k));
  table.round_row(dst.data(), src.data(), k);
  CHECK(dst.intact());
  return {dst.data(), dst.data() + dst.size()};
}

TEST_CASE("rows are rounded to the nearest bf16, and end with zeros", "[kernels]") {
  Random random(41);
  for (const KernelTable* table : tables_bf16()) {
    for (std::int64_t k = 1; k <= 100; ++k) {
      const std::vector<float> x = random.floats(k);
      const std::vector<std::uint16_t> bits = rounded(*table, x);
      CAPTURE(table->name, k);
      std::int64_t wrong = 0;
      for (std::size_t i = 0; i < bits.size(); ++i) {
        wrong += bits[i] != (i < x.size() ? half_bits(x[i], DType::bf16) : 0);
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("softmax in bf16 is softmax within half a bf16 step and what its exponentials are off", "[kernels]") {
  // Relative: rounding, the exponential twice (in the sum as well), and what the f32 argument 20 / ln 2 is off.
  constexpr double kBound = 0x1p-8 + 2 * 8.6e-5 + 30 * 0x1p-23;
  Random random(45);
  for (const KernelTable* table : tables_bf16()) {
    for (std::int64_t n = 1; n <= 100; ++n) {
      const std::int64_t rows = 1 + n % 6, stride = padded_depth(*table, n) + 32, x_stride = n + 3;
      const double scale = 0.7f;
      const std::vector<float> values = random.floats(rows * x_stride);
      GuardedBuffer<float> x((rows - 1) * x_stride + n), inverse(rows);
      for (std::int64_t i = 0; i < x.size(); ++i) x[i] = 7 * values[static_cast<std::size_t>(i)];
      GuardedBuffer<std::uint16_t> dst((rows - 1) * stride + padded_depth(*table, n)), single(padded_depth(*table, n));
      table->softmax_bf16({dst.data(), stride, inverse.data(), x.data(), x_stride, rows, n, 0.7f});
      CHECK((dst.intact() && x.intact() && inverse.intact()));
      std::int64_t wrong = 0, different = 0;
      for (std::int64_t r = 0; r < rows; ++r) {
        const float* const row = x.data() + r * x_stride;
        const double most = *std::max_element(row, row + n);
        double sum = 0;
        for (std::int64_t i = 0; i < n; ++i) sum += std::exp(scale * (row[i] - most));
        float alone = 0;
        table->softmax_bf16({single.data(), stride, &alone, row, n, 1, n, 0.7f});
        different += alone != inverse[r];
        for (std::int64_t i = 0; i < single.size(); ++i) {
          const double expected = i < n ? std::exp(scale * (row[i] - most)) / sum : 0;
          const std::uint16_t bits = dst[r * stride + i];
          const double weight = static_cast<double>(half_value(bits, DType::bf16)) * inverse[r];
          wrong += !(std::abs(weight - expected) <= kBound * expected);
          different += bits != single[i];
        }
      }
      CAPTURE(table->name, n);
      CHECK((wrong == 0 && different == 0));
    }
  }
}

TEST_CASE("softmax in bf16 passes NaN on and bears what has no weight", "[kernels]") {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const KernelTable* table : tables_bf16()) {
    CAPTURE(table->name);
    std::vector<std::uint16_t> dst(static_cast<std::size_t>(padded_depth(*table, 20)));
    const auto softmax = [&](std::vector<float> x) {
      x.resize(20, -1e30f);
      float inverse = 0;
      table->softmax_bf16({dst.data(), 0, &inverse, x.data(), 0, 1, 20, 1.0f});
      return half_value(dst[0], DType::bf16) * inverse;
    };
    CHECK(softmax({1.0f, -infinity}) == 1);
    CHECK(half_value(dst[1], DType::bf16) <= 0x1p-119);
    CHECK(softmax({1e30f}) == 1);
    CHECK(std::isnan(softmax({nan, 1.0f})));
    CHECK(std::isnan(softmax({1.0f, nan})));
    CHECK(std::isnan(softmax({1.0f, infinity})));
  }
}

TEST_CASE("ties go to even, subnormal numbers to zero, NaN and infinity stay", "[kernels]") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const KernelTable* table : tables_bf16()) {
    const auto bits = rounded(*table, {1 + 0x1p-8f, 1 + 0x3p-8f, 1 + 0x1.01p-8f, -0x1p-127f, infinity, -infinity,
                                       std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::max()});
    const std::vector<std::uint16_t> expected = {0x3F80, 0x3F82, 0x3F81, 0x8000, 0x7F80, 0xFF80};
    CHECK(std::equal(expected.begin(), expected.end(), bits.begin()));
    CHECK(std::isnan(half_value(bits[6], DType::bf16)));
    CHECK(bits[7] == 0x7F80);
  }
}

// --- the kernel
// --------------------------------------------------------------------------------------------------------

/// Element (i, j) of B at [j / nr][i / 2][j % nr][i % 2]; columns from n on are zero, rows from k on too.
void fill_pairs(GuardedBuffer<std::uint16_t>& panels, const Matrix& b, int nr, std::int64_t panel_elements) {
  std::fill_n(panels.data(), panels.size(), std::uint16_t{0});
  for (std::int64_t i = 0; i < b.rows(); ++i) {
    for (std::int64_t j = 0; j < b.cols(); ++j) {
      panels[j / nr * panel_elements + (i / 2 * nr + j % nr) * 2 + i % 2] =
          half_bits(static_cast<float>(b(i, j)), DType::bf16);
    }
  }
}

void check_block(const KernelTable& table, std::int64_t m, std::int64_t n, std::int64_t k) {
  Random random(static_cast<std::uint64_t>(m * 10007 + n * 101 + k));
  const auto next = [&] { return small_integer(random); };
  GuardedMatrix a(m, k), b(k, n), c(m, n, n + 3), bias(1, n), residual(m, n, n + 1);
  for (GuardedMatrix* input : {&a, &b, &bias, &residual}) input->fill(next);
  const std::int64_t depth = padded_depth(table, k), stride = depth + 8;
  const std::int64_t panels = (n + table.nr - 1) / table.nr, panel_elements = depth * table.nr;
  GuardedBuffer<std::uint16_t> rows((m - 1) * stride + depth), packed(panels * panel_elements);
  for (std::int64_t r = 0; r < m; ++r) table.round_row(rows.data() + r * stride, a.view().row(r), k);
  fill_pairs(packed, reference::matrix(b), table.nr, panel_elements);
  GemmBlockBf16 block = {};
  block.c = c.view().data, block.c_stride = c.view().stride;
  block.a = rows.data(), block.a_stride = stride;
  block.panels = packed.data(), block.panel_bytes = panel_elements * 2;
  block.group_bytes = table.nr * 4, block.strip_bytes = 64;
  block.m = m, block.n = n, block.k = depth;
  block.epilogue = {bias.view().data, false, residual.view().data, residual.view().stride};
  table.gemm_f32_bf16_bf16p(block);
  CAPTURE(table.name, m, n, k);
  const Matrix product = reference::matrix(a) * reference::matrix(b);
  check_equal(c, product + reference::matrix(residual) + reference::matrix(bias).replicate(m, 1));
  CHECK(c.intact());
}

TEST_CASE("bf16 kernels compute every block size exactly and stay inside it", "[kernels]") {
  for (const KernelTable* table : tables_bf16()) {
    for (std::int64_t m = 1; m <= 70; ++m) {
      for (std::int64_t n = 1 + m % 3; n <= 2 * table->nr; n += 5) check_block(*table, m, n, 1 + (m * 5 + n) % 70);
    }
  }
}

TEST_CASE("bf16 kernels cut rows and k into pieces without a trace", "[kernels]") {
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t k : {383, 384, 385, 1057}) {
      for (const std::int64_t m : {32, 127, 128, 129, 144, 160, 161, 289}) check_block(*table, m, 3 * table->nr, k);
    }
  }
}

// --- matmul
// ------------------------------------------------------------------------------------------------------------

TEST_CASE("matmul with paired weights is exact around the block sizes", "[kernels]") {
  Random random(42);
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t k : {1, 33, 384, 1031}) {
      for (const std::int64_t m : {1, 15, 16, 17, 144, 145, 291}) {
        const std::int64_t n = m % 2 == 0 ? 2 * table->nr + 1 : table->nr - 1;
        const TestLinear layer(*table, integer_matrix(random, n, k), integer_matrix(random, 1, n).values, kPaired);
        const Plain a = integer_matrix(random, m, k);
        GuardedMatrix dst(m, n, n + 2);
        dst.fill([&] { return small_integer(random); });
        const Matrix expected = reference::matrix(a.view()) * layer.affine.weight + layer.affine.bias.replicate(m, 1) +
                                reference::matrix(dst);
        Context context(*table, 2);
        matmul(context, dst, a.view(), layer.linear, {.gelu = false, .residual = dst.view()});
        CAPTURE(table->name, m, n, k);
        check_equal(dst, expected);
        CHECK(dst.intact());
      }
    }
  }
}

TEST_CASE("sums that lie in C itself are exact and stay inside it", "[kernels]") {
  // Without bias, GELU and residual, C of whole strips holds the sums between pieces of k; 13 columns do not.
  Random random(48);
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t n : {13, 16, 32, 48, 80, 144}) {
      for (const std::int64_t k : {64, 800, 1600}) {
        const TestLinear layer(*table, integer_matrix(random, n, k), {}, kPaired);
        for (const std::int64_t m : {1, 15, 16, 17, 31, 32, 33, 48, 129, 170, 400}) {
          const Plain a = integer_matrix(random, m, k);
          GuardedMatrix dst(m, n, n + 1 + m % 19);
          Context context(*table, 2);
          matmul(context, dst, a.view(), layer.linear);
          CAPTURE(table->name, m, n, k);
          check_equal(dst, reference::matrix(a.view()) * layer.affine.weight);
          CHECK(dst.intact());
        }
      }
    }
  }
}

TEST_CASE("sums that lie in C itself have the bits of those in scratch", "[kernels]") {
  Random random(49);
  const std::int64_t k = 1100;
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t n : {16, 48, 144}) {
      const Plain weight = random_matrix(random, n, k);
      const TestLinear plain(*table, weight, {}, kPaired),
          biased(*table, weight, std::vector<float>(static_cast<std::size_t>(n), 0.0f), kPaired);
      for (const std::int64_t m : {1, 20, 33, 170}) {
        const Plain a = random_matrix(random, m, k);
        GuardedMatrix in_place(m, n, n + 3), in_scratch(m, n);
        Context context(*table, 1);
        matmul(context, in_place, a.view(), plain.linear);
        matmul(context, in_scratch, a.view(), biased.linear);
        CAPTURE(table->name, m, n);
        check_same_bits(in_place, in_scratch);
      }
    }
  }
}

TEST_CASE("matmul with paired weights stays within the bounds of f32, and of bf16 operands", "[kernels]") {
  Random random(43);
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t k : {1, 37, 256, 1100}) {
      const std::int64_t n = 2 * table->nr + 5;
      const Plain weight = random_matrix(random, n, k);
      const TestLinear layer(*table, weight, random.floats(n), kPaired);
      const Matrix exact_weight = reference::matrix(weight.view()).transpose();
      for (const std::int64_t m : {1, 20, 150}) {
        const Plain a = random_matrix(random, m, k);
        GuardedMatrix dst(m, n, n + 1), plain(m, n);
        Context context(*table, 2);
        CAPTURE(table->name, m, k);
        matmul(context, dst, a.view(), layer.linear, {.gelu = true, .residual = {}});
        const Bounded sums = reference::affine(reference::matrix(rounded_matrix(a).view()), layer.affine);
        Bounded activated = reference::gelu(sums);
        activated.error.array() += kGelu8BitError;
        check_close(dst, activated);

        matmul(context, plain, a.view(), layer.linear);
        const Matrix x = reference::matrix(a.view());
        Bounded expected = reference::affine(x, {exact_weight, layer.affine.bias});
        expected.error +=
            (0x1p-7 + 0x1p-16) * (1 + static_cast<double>(k) * 0x1p-24) * x.cwiseAbs() * exact_weight.cwiseAbs();
        check_close(plain, expected);
      }
    }
  }
}

TEST_CASE("infinite and NaN operands of bf16 products stay", "[kernels]") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t m : {1, 30, 64}) {
      Plain weight(2, 9), a(m, 9);
      std::fill(weight.values.begin(), weight.values.end(), 1.0f);
      std::fill(a.values.begin(), a.values.end(), 1.0f);
      weight.values[4] = -infinity;
      a.view().row(m - 1)[3] = std::numeric_limits<float>::quiet_NaN();
      const TestLinear layer(*table, weight, {}, kPaired);
      Plain dst(m, 2);
      Context context(*table, 1);
      matmul(context, dst.view(), a.view(), layer.linear);
      CAPTURE(table->name, m);
      for (std::int64_t r = 0; r + 1 < m; ++r) CHECK((dst.view().row(r)[0] == -infinity && dst.view().row(r)[1] == 9));
      for (const std::int64_t c : {0, 1}) CHECK(std::isnan(dst.view().row(m - 1)[c]));
    }
  }
}

// --- what results may not depend on
// ------------------------------------------------------------------------------------

TEST_CASE("bf16 products do not depend on threads, nor a row on the others", "[kernels]") {
  Random random(44);
  for (const KernelTable* table : tables_bf16()) {
    const std::int64_t m = 160, n = 2 * table->nr + 3, k = 520;
    const TestLinear layer(*table, random, k, n, kPaired);
    const Plain a = random_matrix(random, m, k);
    const MatmulOptions options = {.gelu = true, .residual = {}};
    GuardedMatrix all(m, n, n + 1);
    CAPTURE(table->name);
    check_threads(*table, all, [&](Context& context) { matmul(context, all, a.view(), layer.linear, options); });
    for (const std::int64_t rows : {1, 3, 7, 8, 16, 31}) {
      for (const std::int64_t first : {std::int64_t{0}, std::int64_t{77}, m - rows}) {
        Plain some(rows, n);
        Context context(*table, 3);
        matmul(context, some.view(), a.view().row_range(first, rows), layer.linear, options);
        check_same_bits(some.view(), all.view().row_range(first, rows));
      }
    }
  }
}

const KernelTable* bf16_table(std::string_view name) {
  const auto& tables = tables_bf16();
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const KernelTable* t) { return t->name == name; });
  return found == tables.end() ? nullptr : *found;
}

TEST_CASE("the CPU's dot products of bf16 give the bits of the manual's operation", "[kernels]") {
  const KernelTable *const hardware = bf16_table("avx512_bf16"), *const emulated = bf16_table("avx512_bf16-emulated");
  if (hardware == nullptr || emulated == nullptr) return;
  Random random(47);
  const std::int64_t m = 50, n = 70, k = 330;
  // Rows of magnitudes down to 2^-80: products and sums of the smallest are subnormal, and count as zero.
  const auto spread = [&](std::int64_t rows, std::int64_t cols) {
    Plain matrix = random_matrix(random, rows, cols);
    for (std::int64_t r = 0; r < rows; ++r) {
      float* const row = matrix.view().row(r);
      for (std::int64_t c = 0; c < cols; ++c) row[c] = std::ldexp(row[c], static_cast<int>(-80 * r / (rows - 1)));
    }
    return matrix;
  };
  const Plain a = spread(m, k), weight = spread(n, k);
  Plain result[2] = {Plain(m, n), Plain(m, n)};
  for (const int i : {0, 1}) {
    const KernelTable& table = i == 0 ? *hardware : *emulated;
    const TestLinear layer(table, weight, {}, kPaired);
    Context context(table, 1);
    matmul(context, result[i].view(), a.view(), layer.linear);
  }
  check_same_bits(result[0].view(), result[1].view());
}

TEST_CASE("fused blocks with paired weights give the bits of their operations", "[kernels]") {
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t m : {1, 7, 130, 700}) {
      for (const std::int64_t dim : {48, 50}) check_fused_blocks(*table, kPaired, kPaired, m, dim);
    }
    // The second layer quantises what the first gave in bf16, or takes it as it is from 8-bit weights.
    for (const std::int64_t m : {5, 130}) {
      check_fused_blocks(*table, kPaired, DType::s8, m, 48);
      check_fused_blocks(*table, DType::s8, kPaired, m, 48);
    }
    check_fused_blocks(*table, kPaired, DType::f16, 130, 48);
  }
}

}  // namespace
}  // namespace florence2::test
