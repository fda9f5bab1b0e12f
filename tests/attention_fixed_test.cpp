// 16-bit fixed point: rows converted, products of integers, and attention over them.
//
// The integer sums are exact. The oracle of attention gets queries, keys and values with the error of their rounding:
// half a step, and what f32 adds to x * (limit / magnitude) and magnitude / limit, three roundings of at most 32767
// steps: 3 * 32767 * 2^-24 < 0.006. What is left is the rounding of the softmax weights: half of 1 / 32767 each, and
// 0.004 for the rounding of the factor 32767 / sum and of the product, so 0.504 / 32767 * sum |v|.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "kernels/attention.hpp"
#include "kernels/paired.hpp"
#include "kernels/rowwise.hpp"
#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

using reference::Bounded;
using reference::Matrix;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST_CASE("a row's magnitude, and its fixed-point form", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  Random random(61);
  for (std::int64_t n = 1; n <= 70; ++n) {
    CAPTURE(n);
    GuardedBuffer<float> x(n);
    double most = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      x[i] = 5 * random.uniform() - 2;
      most = std::max(most, std::abs(static_cast<double>(x[i])));
    }
    CHECK(static_cast<double>(table.magnitude(x.data(), n)) == most);
    GuardedBuffer<std::int16_t> dst(paired_depth(table, n));
    const float factor = 32767.0f / static_cast<float>(most);
    table.fix_row(dst.data(), x.data(), n, factor);
    for (std::int64_t i = 0; i < n; ++i) CHECK(dst[i] == std::lrint(x[i] * factor));
    for (std::int64_t i = n; i < dst.size(); ++i) CHECK(dst[i] == 0);
    CHECK(dst.intact());
    for (const float bad : {kNaN, kInfinity, -kInfinity}) {
      const std::int64_t at = n * 7 % 11 % n;
      const float kept = x[at];
      x[at] = bad;
      CHECK(!std::isfinite(table.magnitude(x.data(), n)));
      x[at] = kept;
    }
  }
}

TEST_CASE("softmax in fixed point is the softmax rounded", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  Random random(62);
  for (const std::int64_t n : {1, 2, 7, 16, 33, 144, 587}) {
    CAPTURE(n);
    GuardedBuffer<float> x(n), same(n);
    for (std::int64_t i = 0; i < n; ++i) x[i] = same[i] = 8 * random.uniform();
    GuardedBuffer<std::int16_t> dst(paired_depth(table, n));
    CHECK(table.softmax_fixed(dst.data(), x.data(), n, 0.5f) == 1.0f / 32767);
    table.softmax(same.data(), n, 0.5f);
    // The two differ by half a step, and by the rounding of p and of 32767 / sum: 0.004 of a step.
    for (std::int64_t i = 0; i < n; ++i) CHECK(std::abs(dst[i] - 32767.0 * static_cast<double>(same[i])) <= 0.504);
    for (std::int64_t i = n; i < dst.size(); ++i) CHECK(dst[i] == 0);
    CHECK((dst.intact() && x.intact()));
    x[n / 2] = kNaN;
    CHECK(std::isnan(table.softmax_fixed(dst.data(), x.data(), n, 0.5f)));
  }
}

TEST_CASE("products of 16-bit integers are exact up to the limit of their sums", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  Random random(63);
  const auto integers = [&](std::int64_t rows, std::int64_t cols, std::int32_t limit) {
    Plain m(rows, cols);
    for (float& v : m.values) {
      v = static_cast<float>(static_cast<std::int32_t>(random.bits() % (2 * limit + 1ull)) - limit);
    }
    for (std::int64_t r = 0; r < rows; ++r) m.view().row(r)[r % cols] = static_cast<float>(limit);  // the scale is 1
    return m;
  };
  const auto check = [&](std::int64_t m, std::int64_t n, std::int64_t k, std::int32_t limit) {
    CAPTURE(m, n, k, limit);
    const Plain a = integers(m, k, limit), b = integers(n, k, limit);
    GuardedBuffer<std::int16_t> rows((m - 1) * paired_stride(table, k) + paired_depth(table, k));
    GuardedBuffer<std::int16_t> panels(paired_elements(table, n, k)), scratch(table.nr * paired_depth(table, k));
    GuardedBuffer<float> row_scales(m), column_scales((n + table.nr - 1) / table.nr * table.nr);
    fix_rows(table, rows.data(), row_scales.data(), a.view(), limit);
    pack_fixed(table, panels.data(), column_scales.data(), b.view(), limit, scratch.data());
    GuardedMatrix dst(m, n, n + 1);
    multiply_fixed(table, dst, rows.data(), row_scales.data(), k, {panels.data(), column_scales.data(), false});
    // Exact integers become floats once.
    Matrix expected = reference::matrix(a.view()) * reference::matrix(b.view()).transpose();
    for (double& v : expected.reshaped()) v = static_cast<double>(static_cast<float>(v));
    check_equal(dst, expected);
    CHECK((dst.intact() && rows.intact() && panels.intact() && scratch.intact() && column_scales.intact()));
  };
  for (std::int64_t m = 1; m <= 2 * table.mr + 1; ++m) {
    for (std::int64_t n = 1; n <= 2 * table.nr + 1; n += 1 + m % 5) check(m, n, 1 + (m * 5 + n) % 9, 1000);
  }
  for (const std::int64_t k : {1, 2, 32, 64, 100}) check(7, 33, k, fixed_limit(k));
}

TEST_CASE("rows too small for a finite factor become zeros", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  const std::int64_t k = 32;
  for (const float value : {0.0f, 1e-39f, -1e-36f}) {
    Plain row(1, k);
    std::fill(row.values.begin(), row.values.end(), value);
    std::vector<std::int16_t> fixed(static_cast<std::size_t>(paired_stride(table, k)), 1);
    float scale = -1;
    fix_rows(table, fixed.data(), &scale, row.view(), fixed_limit(k));
    CHECK((scale >= 0 && scale < 1e-36f));
    CHECK(std::all_of(fixed.begin(), fixed.begin() + k, [](std::int16_t v) { return v == 0; }));
  }
}

TEST_CASE("fixed_limit keeps every sum within 32 bits", "[kernels]") {
  CHECK(fixed_limit(1) == 32767);
  CHECK(fixed_limit(2) == 32767);
  for (const std::int64_t k : {3, 32, 64, 587, 4096}) {
    const std::int64_t limit = fixed_limit(k);
    CHECK(k * limit * limit <= INT32_MAX);
    CHECK(k * (limit + 1) * (limit + 1) > INT32_MAX);
  }
}

TEST_CASE("a right-hand side in fixed point is the same from both orders", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  Random random(64);
  for (const std::int64_t n : {1, 5, 16, 33, 64}) {
    for (const std::int64_t k : {1, 2, 31, 64}) {
      CAPTURE(n, k);
      Plain rows = random_matrix(random, n, k), columns(k, n);
      for (std::int64_t r = 0; r < n; ++r) rows.view().row(r)[0] = 2.0f;  // every row has the scale of all
      for (std::int64_t i = 0; i < n * k; ++i) columns.view().row(i % k)[i / k] = rows.view().row(i / k)[i % k];
      GuardedBuffer<std::int16_t> a(paired_elements(table, n, k)), b(paired_elements(table, n, k));
      GuardedBuffer<std::int16_t> scratch_a(table.nr * paired_depth(table, k)), scratch_b(2 * paired_depth(table, n));
      GuardedBuffer<float> scales((n + table.nr - 1) / table.nr * table.nr);
      pack_fixed(table, a.data(), scales.data(), rows.view(), 5000, scratch_a.data());
      const float scale = pack_fixed_transposed(table, b.data(), columns.view(), 5000, scratch_b.data());
      CHECK(scale == 2.0f / 5000);
      for (std::int64_t i = 0; i < n; ++i) CHECK(scales[i] == scale);
      for (std::int64_t i = n; i < scales.size(); ++i) CHECK(scales[i] == 0);
      CHECK(std::equal(a.data(), a.data() + a.size(), b.data()));
      CHECK((a.intact() && b.intact() && scratch_a.intact() && scratch_b.intact() && scales.intact()));
    }
  }
}

/// The error that fixed point gives each element of `m`: 0.506 steps (see above) of its row and head, or of its head.
Matrix rounding(const Matrix& m, std::int64_t heads, double limit, bool by_row) {
  constexpr double kSteps = 0.506;
  const std::int64_t d = m.cols() / heads;
  Matrix error(m.rows(), m.cols());
  for (std::int64_t h = 0; h < heads; ++h) {
    const Matrix head = m.middleCols(h * d, d).cwiseAbs();
    for (std::int64_t r = 0; r < m.rows(); ++r) {
      const double most = by_row ? head.row(r).maxCoeff() : head.maxCoeff();
      error.block(r, h * d, 1, d).setConstant(kSteps * most / limit);
    }
  }
  return error;
}

Bounded expected_attention(View<const float> q, View<const float> k, View<const float> v, int heads, double scale) {
  const Matrix queries = reference::matrix(q), keys = reference::matrix(k), values = reference::matrix(v);
  const double limit = fixed_limit(q.cols / heads);
  const double value_limit = std::min(32767.0, std::floor(2147483647.0 / (32768 + static_cast<double>(k.rows / 2))));
  const Bounded exact_values(values, rounding(values, heads, value_limit, false));
  Bounded expected = reference::attention({queries, rounding(queries, heads, limit, true)},
                                          {keys, rounding(keys, heads, limit, true)}, exact_values, heads, scale);
  const reference::Row all = (values.cwiseAbs() + exact_values.error).colwise().sum();
  expected.error.rowwise() += 0.504 / 32767 * all;
  return expected;
}

TEST_CASE("attention in fixed point stays within the bound, for any number of threads", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  Random random(65);
  for (const std::int64_t length : {1, 33, 100, 144, 587}) {
    const std::int64_t head_dim = length == 33 ? 21 : length == 587 ? 64 : 32, width = 2 * head_dim;
    const std::int64_t m = length == 587 ? 5 : length + 3;
    const Plain q = random_matrix(random, m, width), k = random_matrix(random, length, width),
                v = random_matrix(random, length, width);
    const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
    GuardedMatrix dst(m, width, width + 2);
    CAPTURE(table.name, length, head_dim);
    check_threads(table, dst, [&](Context& context) {
      attention(context, dst, q.view(), k.view(), v.view(), 2, scale, Arithmetic::fixed);
    });
    check_close(dst, expected_attention(q.view(), k.view(), v.view(), 2, static_cast<double>(scale)));
    CHECK(dst.intact());
  }
}

TEST_CASE("cross-attention in fixed point gives the bits of attention, query by query", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  Random random(66);
  const Plain q = random_matrix(random, 120, 32), k = random_matrix(random, 50, 32), v = random_matrix(random, 50, 32);
  Plain all(120, 32), some(5, 32), one(1, 32);
  Context context(table, 2);
  attention(context, all.view(), q.view(), k.view(), v.view(), 2, 0.25f, Arithmetic::fixed);
  CrossCache cache;
  pack_cross_cache(context, cache, k.view(), v.view(), 2, Arithmetic::fixed);
  cross_attend(context, some.view(), q.view().row_range(93, 5), cache, 0.25f);
  check_same_bits(some.view(), all.view().row_range(93, 5));
  cross_attend(context, one.view(), q.view().row_range(119, 1), cache, 0.25f);
  check_same_bits(one.view(), all.view().row_range(119, 1));
}

TEST_CASE("what is not finite does not vanish in fixed point", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  Random random(67);
  Context context(table, 1);
  for (const float bad : {kNaN, kInfinity, -kInfinity}) {
    for (const int which : {0, 1, 2}) {
      Plain inputs[] = {random_matrix(random, 9, 16), random_matrix(random, 11, 16), random_matrix(random, 11, 16)};
      inputs[which].view().row(4)[3] = bad;
      Plain dst(9, 16);
      attention(context, dst.view(), inputs[0].view(), inputs[1].view(), inputs[2].view(), 2, 0.3f, Arithmetic::fixed);
      CAPTURE(bad, which);
      for (std::int64_t r = 0; r < 9; ++r) {
        const bool touched = which != 0 || r == 4;
        for (std::int64_t c = 0; c < 8; ++c) CHECK(std::isfinite(dst.view().row(r)[c]) != touched);
        for (std::int64_t c = 8; c < 16; ++c) CHECK(std::isfinite(dst.view().row(r)[c]));
      }
    }
  }
}

TEST_CASE("window attention with 8-bit weights equals its parts", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  Random random(68);
  const std::int64_t c = 64, window = 7, tokens = window * window;
  const Grid grid = {5, window};  // the window's last two rows are padding
  const int heads = 2;
  const TestAttention layer(table, random, c, heads, DType::s8);
  const AttentionWeights& weights = layer.weights;
  const Plain input = random_matrix(random, grid.tokens(), c);
  Plain block = input, normed(tokens, c), qkv(tokens, 3 * c), attended(tokens, c), projected(tokens, c);
  Context context(table, 2);
  window_attention_block(context, block.view(), grid, static_cast<int>(window), weights);

  layer_norm(context, normed.view().row_range(0, grid.tokens()), input.view(), weights.norm);
  matmul(context, qkv.view(), normed.view(), weights.qkv);
  CHECK(arithmetic_of(table, weights.qkv) == (table.bf16_beats_fixed ? Arithmetic::bf16 : Arithmetic::fixed));
  attention(context, attended.view(), qkv.view().col_range(0, c), qkv.view().col_range(c, c),
            qkv.view().col_range(2 * c, c), heads, 1.0f / std::sqrt(static_cast<float>(c / heads)),
            arithmetic_of(table, weights.qkv));
  matmul(context, projected.view(), attended.view(), weights.proj);
  Plain expected = input;
  for (std::int64_t r = 0; r < grid.tokens(); ++r) table.add(expected.view().row(r), projected.view().row(r), c);
  check_same_bits(block.view(), expected.view());
}

}  // namespace
}  // namespace florence2::test
