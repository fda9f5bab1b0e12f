// Matrix products: the register-tile kernels on guarded memory, matmul's blocking, its epilogue and the fused blocks.
//
// Exact tests use integers in [-8, 8], whose sums f32 holds whatever their order; there every element must be equal.
// Bounded tests take the oracle's worst case (reference.cpp): (K + 1) u |A| |B| and what the epilogue adds.
#include "kernels/matmul.hpp"

#include <catch2/catch.hpp>

#include "kernels/rowwise.hpp"
#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

using reference::Bounded;
using reference::Matrix;

Bounded expected_matmul(View<const float> a, const reference::Affine& affine, const MatmulOptions& options) {
  Bounded y = reference::affine(reference::matrix(a), affine);
  if (options.gelu) y = reference::gelu(y);
  return options.residual.data == nullptr ? y : reference::sum(y, reference::matrix(options.residual));
}

// --- the kernels of a table
// --------------------------------------------------------------------------------------------

using GemmEntry = void (*KernelTable::*)(const GemmBlock&);

/// A panel of `k` rows whose first n columns hold B, stored in guarded memory as `dtype`.
template <typename T>
void fill_panel(GuardedBuffer<T>& panel, const Matrix& b, int nr, DType dtype) {
  for (std::int64_t i = 0; i < panel.size(); ++i) {
    const float value = i % nr < b.cols() ? static_cast<float>(b(i / nr, i % nr)) : 0.0f;
    if constexpr (sizeof(T) == 4) {
      panel[i] = value;
    } else {
      panel[i] = half_bits(value, dtype);
    }
  }
}

template <typename T>
void check_gemm_block(const KernelTable& table, GemmEntry entry, DType dtype, std::int64_t m, std::int64_t n,
                      std::int64_t k) {
  Random random(static_cast<std::uint64_t>(m * 10007 + n * 101 + k));
  const auto next = [&] { return small_integer(random); };
  GuardedMatrix a(m, k, k + 2), b(k, n), c(m, n, n + 3), start(m, n, n + 4), bias(1, n), residual(m, n, n + 1);
  for (GuardedMatrix* input : {&a, &b, &start, &bias, &residual}) input->fill(next);
  GuardedBuffer<T> panel(k * table.nr);
  fill_panel(panel, reference::matrix(b), table.nr, dtype);
  GuardedBuffer<float> widened(k * table.nr);
  const GemmEpilogue epilogue = {bias.view().data, false, residual.view().data, residual.view().stride};
  GemmBlock block = {};
  block.c = c.view().data;
  block.c_stride = c.view().stride;
  block.a = a.view().data;
  block.a_stride = a.view().stride;
  block.panel = panel.data();
  block.widened = widened.data();
  block.m = m, block.n = n, block.k = k;
  Matrix expected = reference::matrix(a) * reference::matrix(b);
  CAPTURE(m, n, k, name_of(dtype));
  (table.*entry)(block);
  check_equal(c, expected);  // c was NaN before: the kernel must not read it

  block.start = start.view().data;
  block.start_stride = start.view().stride;
  expected += reference::matrix(start);
  (table.*entry)(block);
  check_equal(c, expected);

  block.start = c.view().data;  // sums may be added to in place
  block.start_stride = c.view().stride;
  block.epilogue = &epilogue;
  expected += reference::matrix(a) * reference::matrix(b) + reference::matrix(residual) +
              reference::matrix(bias).replicate(m, 1);
  (table.*entry)(block);
  check_equal(c, expected);
  CHECK(c.intact());
  CHECK(widened.intact());
}

TEST_CASE("gemm kernels compute every block size exactly and stay inside it", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  for (std::int64_t m = 1; m <= 2 * table.mr + 1; ++m) {
    for (std::int64_t n = 1; n <= table.nr; ++n) {
      const std::int64_t k = 1 + (m * 5 + n) % 9;
      check_gemm_block<float>(table, &KernelTable::gemm_f32_f32_f32p, DType::f32, m, n, k);
      check_gemm_block<std::uint16_t>(table, &KernelTable::gemm_f32_f32_f16p, DType::f16, m, n, k);
      check_gemm_block<std::uint16_t>(table, &KernelTable::gemm_f32_f32_bf16p, DType::bf16, m, n, k);
    }
  }
}

TEST_CASE("widening f16 is exact for all 65,536 values", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const DType dtype = GENERATE(DType::f16, DType::bf16);
  CAPTURE(table.name, name_of(dtype));
  GuardedBuffer<std::uint16_t> bits(65536);
  for (std::int64_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
  GuardedMatrix got(1, bits.size());
  (dtype == DType::f16 ? table.widen_f16 : table.widen_bf16)(got.view().data, bits.data(), bits.size());
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < bits.size(); ++i) {
    const float value = got.view().data[i], expected = half_value(bits[i], dtype);
    const bool same = std::isnan(expected)
                          ? std::isnan(value)
                          : std::bit_cast<std::uint32_t>(value) == std::bit_cast<std::uint32_t>(expected);
    wrong += same ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("f32 is rounded to f16 and bf16 as Eigen does, and all 65,536 values come back", "[kernels]") {
  const auto same = [](std::uint16_t a, std::uint16_t b, DType dtype) {
    return a == b || (std::isnan(half_value(a, dtype)) && std::isnan(half_value(b, dtype)));
  };
  std::int64_t wrong = 0;
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    wrong += same(f32_to_f16(f16_to_f32(bits)), bits, DType::f16) ? 0 : 1;
    wrong += same(f32_to_bf16(bf16_to_f32(bits)), bits, DType::bf16) ? 0 : 1;
  }
  // Every exponent and sign, with mantissas below, at and above each tie.
  for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += 0x7FF) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    wrong += same(f32_to_f16(value), half_bits(value, DType::f16), DType::f16) ? 0 : 1;
    wrong += same(f32_to_bf16(value), half_bits(value, DType::bf16), DType::bf16) ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("widening stops at the last element", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  for (std::int64_t n = 1; n <= 2 * table.nr + 1; ++n) {
    GuardedBuffer<std::uint16_t> ones(n);
    std::fill_n(ones.data(), n, half_bits(1.0f, DType::f16));
    GuardedMatrix got(1, n);
    table.widen_f16(got.view().data, ones.data(), n);
    check_equal(got, Matrix::Ones(1, n));
    std::fill_n(ones.data(), n, half_bits(1.0f, DType::bf16));
    table.widen_bf16(got.view().data, ones.data(), n);
    check_equal(got, Matrix::Ones(1, n));
    CHECK(got.intact());
  }
}

// --- matmul
// ------------------------------------------------------------------------------------------------------------

/// Inputs and expected results for all products up to [max_m, k] * [k, max_n]; smaller ones are corners of them.
struct ExactProducts {
  Plain a, weight, residual;
  std::vector<float> bias;
  Matrix expected;

  ExactProducts(std::int64_t max_m, std::int64_t max_n, std::int64_t k)
      : a(max_m, k), weight(max_n, k), residual(max_m, max_n) {
    Random random(static_cast<std::uint64_t>(k));
    a = integer_matrix(random, max_m, k);
    weight = integer_matrix(random, max_n, k);
    residual = integer_matrix(random, max_m, max_n);
    bias = integer_matrix(random, 1, max_n).values;
    expected = reference::matrix(a.view()) * reference::matrix(weight.view()).transpose() +
               reference::row(bias).replicate(max_m, 1) + reference::matrix(residual.view());
  }

  void check(const KernelTable& table, DType dtype, std::int64_t m, std::int64_t n, std::int64_t gap) const {
    Plain some_rows(n, weight.cols);
    std::copy_n(weight.values.begin(), some_rows.values.size(), some_rows.values.begin());
    const TestLinear layer(table, some_rows, {bias.begin(), bias.begin() + n}, dtype);
    GuardedMatrix left(m, a.cols, a.cols + gap, gap), dst(m, n, n + 2 * gap, gap);
    std::int64_t i = 0;
    left.fill([&] { return a.values[static_cast<std::size_t>(i++)]; });
    Context context(table, 2);
    matmul(context, dst, left, layer.linear,
           {.gelu = false, .residual = residual.view().row_range(0, m).col_range(0, n)});
    CAPTURE(m, n, weight.cols, name_of(dtype), gap);
    check_equal(dst, expected.topLeftCorner(m, n));
    CHECK(dst.intact());
  }
};

TEST_CASE("matmul is exact for every small m and n", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  const std::int64_t max_m = 2 * table.mr + 1, max_n = 2 * table.nr + 1;
  const ExactProducts products(max_m, max_n, 7);
  for (std::int64_t m = 1; m <= max_m; ++m) {
    for (std::int64_t n = 1; n <= max_n; ++n) {
      products.check(table, kDTypes[static_cast<std::size_t>((m + n) % 3)], m, n, (m + 2 * n) % 4);
    }
  }
}

TEST_CASE("matmul is exact around the block sizes", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t k = GENERATE(1, 2, 255, 256, 257, 511, 512, 513, 1031);
  CAPTURE(table.name);
  const std::int64_t mr = table.mr, nr = table.nr;
  const ExactProducts products(291, 2 * nr + 1, k);
  for (const DType dtype : kDTypes) {
    for (const std::int64_t m :
         {std::int64_t{1}, mr, mr + 1, std::int64_t{144}, std::int64_t{145}, std::int64_t{291}}) {
      for (const std::int64_t n : {std::int64_t{1}, nr - 1, nr, 2 * nr + 1}) products.check(table, dtype, m, n, m % 3);
    }
  }
}

TEST_CASE("matmul with bias, GELU and residual stays within the bound", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  const std::int64_t k = GENERATE(1, 37, 256, 700);
  CAPTURE(table.name, name_of(dtype), k);
  Random random(7);
  const std::int64_t n = 3 * table.nr - 5;
  const TestLinear layer(table, random, k, n, dtype);
  for (const std::int64_t m : {std::int64_t{1}, std::int64_t{table.mr} + 3, std::int64_t{150}}) {
    const Plain a = random_matrix(random, m, k), residual = random_matrix(random, m, n);
    for (const bool gelu : {false, true}) {
      for (const bool add : {false, true}) {
        const MatmulOptions options = {gelu, add ? residual.view() : View<const float>()};
        GuardedMatrix dst(m, n, n + 1);
        Context context(table, 2);
        matmul(context, dst, a.view(), layer.linear, options);
        CAPTURE(m, gelu, add);
        check_close(dst, expected_matmul(a.view(), layer.affine, options));
      }
    }
  }
}

TEST_CASE("matmul without bias, and with a residual that is its destination", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t m = GENERATE(1, 5, 200);
  CAPTURE(table.name, m);
  Random random(8);
  const std::int64_t n = table.nr + 3, k = 300;
  const TestLinear layer(table, integer_matrix(random, n, k), {}, DType::f32);
  const Plain a = integer_matrix(random, m, k);
  GuardedMatrix dst(m, n, n + 4);
  dst.fill([&] { return small_integer(random); });
  const Matrix expected = reference::matrix(a.view()) * layer.affine.weight + reference::matrix(dst);
  Context context(table, 2);
  matmul(context, dst, a.view(), layer.linear, {.gelu = false, .residual = dst.view()});
  check_equal(dst, expected);
}

TEST_CASE("half-precision weights act exactly as their widened values", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const DType dtype = GENERATE(DType::f16, DType::bf16);
  const std::int64_t m = GENERATE(1, 40);
  CAPTURE(table.name, name_of(dtype), m);
  Random random(10);
  const std::int64_t n = table.nr + 1, k = 270;
  Plain weight = random_matrix(random, n, k);
  for (std::size_t i = 0; i < weight.values.size(); i += 3) weight.values[i] *= 0x1p-16f;  // f16 subnormals
  const TestLinear half(table, weight, {}, dtype);
  Plain widened(n, k);
  for (std::int64_t i = 0; i < n * k; ++i) {
    widened.values[static_cast<std::size_t>(i)] = static_cast<float>(half.affine.weight(i % k, i / k));
  }
  const TestLinear wide(table, widened, {}, DType::f32);
  const Plain a = random_matrix(random, m, k);
  GuardedMatrix from_half(m, n), from_wide(m, n);
  Context context(table, 1);
  matmul(context, from_half, a.view(), half.linear);
  matmul(context, from_wide, a.view(), wide.linear);
  check_same_bits(from_half, from_wide);
}

TEST_CASE("infinite weights give infinite results", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  const std::int64_t m = GENERATE(1, 30);
  CAPTURE(table.name, name_of(dtype), m);
  Plain weight(2, 9), a(m, 9);
  std::fill(weight.values.begin(), weight.values.end(), 1.0f);
  std::fill(a.values.begin(), a.values.end(), 1.0f);
  weight.values[4] = -std::numeric_limits<float>::infinity();
  const TestLinear layer(table, weight, {}, dtype);
  GuardedMatrix dst(m, 2);
  Context context(table, 1);
  matmul(context, dst, a.view(), layer.linear);
  for (std::int64_t r = 0; r < m; ++r) {
    CHECK(dst.view().row(r)[0] == -std::numeric_limits<float>::infinity());
    CHECK(dst.view().row(r)[1] == 9.0f);
  }
}

// --- what results may not depend on
// ------------------------------------------------------------------------------------

TEST_CASE("matmul does not depend on the number of threads", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const DType dtype = GENERATE(DType::f32, DType::f16);
  const std::int64_t m = GENERATE(1, 3, 31, 150, 500);
  CAPTURE(table.name, name_of(dtype), m);
  Random random(11);
  const std::int64_t n = 5 * table.nr + 3, k = 260;
  const TestLinear layer(table, random, k, n, dtype);
  const Plain a = random_matrix(random, m, k);
  GuardedMatrix dst(m, n, n + 1);
  check_threads(table, dst, [&](Context& context) {
    matmul(context, dst, a.view(), layer.linear, {.gelu = true, .residual = {}});
  });
}

TEST_CASE("one row alone gives what it gives among others", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  CAPTURE(table.name, name_of(dtype));
  Random random(12);
  const std::int64_t m = 160, n = 2 * table.nr + 3, k = 520;
  const TestLinear layer(table, random, k, n, dtype);
  const Plain a = random_matrix(random, m, k);
  const MatmulOptions options = {.gelu = true, .residual = {}};
  GuardedMatrix all(m, n), one(1, n), few(table.mr, n);
  Context context(table, 2);
  matmul(context, all, a.view(), layer.linear, options);
  for (const std::int64_t r : {0, 1, 77, 159}) {
    matmul(context, one, a.view().row_range(r, 1), layer.linear, options);
    check_same_bits(one, all.view().row_range(r, 1));
  }
  matmul(context, few, a.view().row_range(100, table.mr), layer.linear, options);
  check_same_bits(few, all.view().row_range(100, table.mr));
}

TEST_CASE("all tables with fused multiply-add give the same bits", "[kernels]") {
  // Each element is one chain of fused multiply-adds in the order of k, and the epilogue works lane by lane.
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  const std::int64_t m = GENERATE(1, 7, 150);
  CAPTURE(name_of(dtype), m);
  const std::int64_t n = 75, k = 515;
  std::vector<Plain> results;
  for (const KernelTable* table : tested_tables()) {
    if (std::string(table->name) == "scalar") continue;  // rounds products too
    Random random(13);
    const TestLinear layer(*table, random, k, n, dtype);
    const Plain a = random_matrix(random, m, k), residual = random_matrix(random, m, n);
    Plain& dst = results.emplace_back(m, n);
    Context context(*table, 1);
    matmul(context, dst.view(), a.view(), layer.linear, {.gelu = true, .residual = residual.view()});
    check_same_bits(dst.view(), results.front().view());
  }
  if (results.size() < 2) WARN("fewer than two tables with fused multiply-add: nothing compared");
}

// --- fused blocks
// ------------------------------------------------------------------------------------------------------

TEST_CASE("mlp_block", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t m = GENERATE(1, 9, 49, 333);
  const DType dtype = GENERATE(DType::f32, DType::f16);
  const std::int64_t dim = GENERATE(40, 72);  // fc2 in one block of K, and in two
  CAPTURE(table.name, m, dim, name_of(dtype));
  Random random(14);
  const TestNorm norm(random, dim);
  const TestLinear fc1(table, random, dim, 4 * dim, dtype), fc2(table, random, 4 * dim, dim, dtype);
  const Plain input = random_matrix(random, m, dim);
  GuardedMatrix x(m, dim, dim + 3);
  check_threads(table, x, [&](Context& context) {
    std::size_t i = 0;
    x.fill([&] { return input.values[i++]; });
    mlp_block(context, x, norm.norm, fc1.linear, fc2.linear);
  });
  check_close(x, reference::mlp_block(reference::matrix(input.view()), norm.expected, fc1.affine, fc2.affine));
  CHECK(x.intact());
}

TEST_CASE("feed_forward_block", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t m = GENERATE(1, 3, 70, 333);
  const DType dtype = GENERATE(DType::f32, DType::f16);
  const std::int64_t dim = GENERATE(40, 72);  // fc2 in one block of K, and in two
  CAPTURE(table.name, m, dim, name_of(dtype));
  Random random(15);
  const TestNorm norm(random, dim);
  const TestLinear fc1(table, random, dim, 4 * dim, dtype), fc2(table, random, 4 * dim, dim, dtype);
  const Plain input = random_matrix(random, m, dim);
  GuardedMatrix x(m, dim, dim + 3);
  check_threads(table, x, [&](Context& context) {
    std::size_t i = 0;
    x.fill([&] { return input.values[i++]; });
    feed_forward_block(context, x, fc1.linear, fc2.linear, norm.norm);
  });
  check_close(x, reference::feed_forward_block(reference::matrix(input.view()), fc1.affine, fc2.affine, norm.expected));
  CHECK(x.intact());
}

TEST_CASE("fused blocks give the bits of their operations", "[kernels]") {
  // Far sharper than a bound over a whole block, and sound because the bits of a row depend on nothing else.
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t m = GENERATE(1, 49, 333);
  const DType dtype = GENERATE(DType::f32, DType::bf16);
  check_fused_blocks(table, dtype, dtype, m, 72);
}

TEST_CASE("fused blocks: one row alone gives what it gives among others", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(16);
  const std::int64_t m = 130, dim = 48;
  const TestNorm norm(random, dim);
  const TestLinear fc1(table, random, dim, 4 * dim), fc2(table, random, 4 * dim, dim);
  const Plain input = random_matrix(random, m, dim);
  Context context(table, 2);
  Plain pre = input, post = input;
  mlp_block(context, pre.view(), norm.norm, fc1.linear, fc2.linear);
  feed_forward_block(context, post.view(), fc1.linear, fc2.linear, norm.norm);
  for (const std::int64_t r : {0, 64, 129}) {
    Plain one_pre = input, one_post = input;
    mlp_block(context, one_pre.view().row_range(r, 1), norm.norm, fc1.linear, fc2.linear);
    feed_forward_block(context, one_post.view().row_range(r, 1), fc1.linear, fc2.linear, norm.norm);
    check_same_bits(one_pre.view().row_range(r, 1), pre.view().row_range(r, 1));
    check_same_bits(one_post.view().row_range(r, 1), post.view().row_range(r, 1));
  }
}

}  // namespace
}  // namespace florence2::test
