// Row kernels: every length up to two registers and beyond, in place and not, flush against a guard page.
#include "kernels/rowwise.hpp"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

using reference::Bounded;
using reference::Matrix;
using reference::Row;

/// Every length up to 2 nr + 1 and some longer ones, none of which are multiples of much.
std::vector<std::int64_t> lengths(const KernelTable& table) {
  std::vector<std::int64_t> all;
  for (std::int64_t n = 1; n <= 2 * table.nr + 1; ++n) all.push_back(n);
  all.insert(all.end(), {127, 128, 129, 587, 768, 1024, 1031});
  return all;
}

/// One row of random numbers in `scale` * [-1, 1) + `shift`, `gap` elements before the guard page.
struct RandomRow : GuardedMatrix {
  RandomRow(Random& random, std::int64_t n, float scale = 1, float shift = 0, std::int64_t gap = 0)
      : GuardedMatrix(1, n, n, gap) {
    fill([&] { return random.uniform() * scale + shift; });
  }
  float* data() const { return view().data; }
};

template <typename Body>
void for_each_length(const Body& body) {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(1);
  for (const std::int64_t n : lengths(table)) {
    CAPTURE(n);
    body(table, random, n);
  }
}

TEST_CASE("layer_norm kernel", "[kernels]") {
  for_each_length([](const KernelTable& table, Random& random, std::int64_t n) {
    const TestNorm norm(random, n);
    const RandomRow gamma(random, n), beta(random, n), src(random, n, 1, 0.5f, n % 3);
    RandomRow dst(random, n);
    const reference::Norm expected = {reference::matrix(gamma), reference::matrix(beta), 1e-5f};
    table.layer_norm({dst.data(), n, src.data(), n, 1, n, gamma.data(), beta.data(), 1e-5f});
    check_close(dst, reference::layer_norm(reference::matrix(src), expected));
    table.layer_norm({src.data(), n, src.data(), n, 1, n, gamma.data(), beta.data(), 1e-5f});
    check_same_bits(src, dst);
    CHECK((dst.intact() && src.intact()));
  });
}

TEST_CASE("layer_norm of alternating ones is exact", "[kernels]") {
  // Mean 0, variance 1 and eps 0 leave nothing to round.
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  for (std::int64_t n = 2; n <= 4 * table.nr; n += 2) {
    Random random(2);
    GuardedMatrix x(1, n), gamma(1, n), beta(1, n);
    float sign = 1;
    x.fill([&] { return sign = -sign; });
    gamma.fill([&] { return small_integer(random); });
    beta.fill([&] { return small_integer(random); });
    const Matrix expected = reference::matrix(x).cwiseProduct(reference::matrix(gamma)) + reference::matrix(beta);
    table.layer_norm({x.view().data, n, x.view().data, n, 1, n, gamma.view().data, beta.view().data, 0.0f});
    check_equal(x, expected);
  }
}

TEST_CASE("layer_norm survives a mean much larger than the spread", "[kernels]") {
  // One pass over x and x^2 would lose everything here: the spread is 2^-10 of the mean.
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  const std::int64_t n = 512;
  GuardedMatrix x(1, n), gamma(1, n), beta(1, n);
  float sign = 1;
  x.fill([&] { return 1024 + (sign = -sign); });
  gamma.fill([] { return 1.0f; });
  beta.fill([] { return 0.0f; });
  const Matrix expected = reference::matrix(x).array() - 1024;
  table.layer_norm({x.view().data, n, x.view().data, n, 1, n, gamma.view().data, beta.view().data, 0.0f});
  check_equal(x, expected);  // sums of integers below 2^24
}

TEST_CASE("softmax kernel", "[kernels]") {
  const float scale = GENERATE(1.0f, 0.125f, 30.0f);
  for_each_length([&](const KernelTable& table, Random& random, std::int64_t n) {
    const RandomRow x(random, n, 5, -3, n % 3);
    const Bounded expected = reference::softmax(reference::matrix(x), scale);
    table.softmax(x.data(), n, scale);
    CAPTURE(scale);
    check_close(x, expected);
    CHECK(x.intact());
  });
}

TEST_CASE("softmax of extremes", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t n = GENERATE(1, 8, 64);
  CAPTURE(table.name, n);
  GuardedMatrix x(1, n);
  x.fill([] { return -3e4f; });
  table.softmax(x.view().data, n, 1.0f);
  check_equal(x, Matrix::Constant(1, n, 1.0 / static_cast<double>(n)));  // n is a power of two
  x.fill([] { return -1e30f; });
  x.view().data[n / 2] = 1e30f;
  table.softmax(x.view().data, n, 1.0f);
  for (std::int64_t i = 0; i < n; ++i) {
    if (i == n / 2) {
      CHECK(x.view().data[i] == 1.0f);
    } else {
      CHECK(std::abs(x.view().data[i]) < 2e-38f);
    }
  }
}

TEST_CASE("one NaN in a row is not lost", "[kernels]") {
  for_each_length([](const KernelTable& table, Random& random, std::int64_t n) {
    const RandomRow x(random, n), gamma(random, n), beta(random, n);
    x.data()[n / 3] = std::numeric_limits<float>::quiet_NaN();
    RandomRow dst(random, n);
    const auto all_nan = [&](const float* row) {
      return std::all_of(row, row + n, [](float v) { return std::isnan(v); });
    };
    table.layer_norm({dst.data(), n, x.data(), n, 1, n, gamma.data(), beta.data(), 1e-5f});
    CHECK(all_nan(dst.data()));
    table.gelu(dst.data(), x.data(), n);
    CHECK(std::isnan(dst.data()[n / 3]));
    CHECK(std::isnan(table.sum_exp(x.data(), n, 1.0f)));
    table.softmax(x.data(), n, 1.0f);
    CHECK(all_nan(x.data()));
  });
}

TEST_CASE("max kernel", "[kernels]") {
  for_each_length([](const KernelTable& table, Random& random, std::int64_t n) {
    const RandomRow x(random, n, 1, -2);
    for (const std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
      const float before = x.data()[at];
      x.data()[at] = 0.25f;
      CHECK(table.max(x.data(), n) == 0.25f);
      x.data()[at] = before;
    }
    CHECK(table.max(x.data(), n) == *std::max_element(x.data(), x.data() + n));
  });
}

TEST_CASE("sum_exp kernel", "[kernels]") {
  for_each_length([](const KernelTable& table, Random& random, std::int64_t n) {
    const RandomRow x(random, n, 10);
    const float max = table.max(x.data(), n);
    double expected = 0, bound = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const double z = double{x.data()[i]} - max;
      expected += std::exp(z);
      // The difference rounds once, exp is 1.25 ulp = 2.5 u off, at most n additions.
      bound += std::exp(z) * (std::abs(z) + 2.5 + static_cast<double>(n)) * 0x1p-24;
    }
    CHECK(std::abs(table.sum_exp(x.data(), n, max) - expected) <= bound);
  });
}

TEST_CASE("exp is within 1.25 ulp over its whole range", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  double worst = 0;
  for (double x = -87.3; x < 88.3; x += 0.00137) {
    const auto v = static_cast<float>(x);
    const double expected = std::exp(double{v});
    const double ulp = std::ldexp(1.0, std::ilogb(expected) - 23);
    worst = std::max(worst, std::abs(table.sum_exp(&v, 1, 0.0f) - expected) / ulp);
  }
  CHECK(worst <= 1.25);
  for (const float below : {-88.0f, -1e4f, -std::numeric_limits<float>::infinity()}) {
    CHECK(table.sum_exp(&below, 1, 0.0f) <= 1.3e-38f);
  }
  const float above = 1e4f;
  CHECK(std::isfinite(table.sum_exp(&above, 1, 0.0f)));
}

TEST_CASE("gelu over the whole range of floats", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  // Every 1,021st float up to 2^40, of both signs.
  std::vector<float> x;
  const auto last = std::bit_cast<std::uint32_t>(0x1p40f);
  for (std::uint32_t bits = 0; bits < last; bits += 1021) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  std::vector<float> y(x.size());
  table.gelu(y.data(), x.data(), static_cast<std::int64_t>(x.size()));
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = std::abs(y[i] - reference::gelu(x[i]));
    worst = std::max(worst, error / (std::abs(double{x[i]}) * 0x1p-24 + 0x1p-149));
  }
  CAPTURE(worst);
  CHECK(worst <= 3.0);  // kGeluError of reference.cpp, where it is derived
}

TEST_CASE("gelu and add kernels", "[kernels]") {
  for_each_length([](const KernelTable& table, Random& random, std::int64_t n) {
    const RandomRow x(random, n, 6, 0, n % 3), y(random, n, 1, 0, n % 2);
    RandomRow dst(random, n);
    table.gelu(dst.data(), x.data(), n);
    check_close(dst, reference::gelu(reference::matrix(x)));

    const Bounded added = reference::sum(reference::matrix(x), reference::matrix(y));
    table.add(y.data(), x.data(), n);
    check_close(y, added);
    CHECK((x.intact() && y.intact() && dst.intact()));
  });
}

TEST_CASE("kernels over cached rows", "[kernels]") {
  for_each_length([](const KernelTable& table, Random& random, std::int64_t n) {
    const std::int64_t cached = 9, steps = 1 + n % 11;  // groups of four and what is left of them
    GuardedMatrix cache(cached, n, n + n % 2, n % 3);
    cache.fill([&] { return random.uniform(); });
    std::vector<std::int32_t> row(static_cast<std::size_t>(steps));
    Matrix chosen(steps, n);
    for (std::int64_t t = 0; t < steps; ++t) {
      row[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(random.bits() % cached);
      for (std::int64_t i = 0; i < n; ++i) chosen(t, i) = cache.view().row(row[static_cast<std::size_t>(t)])[i];
    }
    const CachedRows rows = {cache.view().data, n + n % 2, row.data(), steps};
    const RandomRow x(random, n), weights(random, steps);
    RandomRow scores(random, steps), sums(random, n);
    table.dot_rows(scores.data(), x.data(), rows, n);
    check_close(scores, reference::product(reference::matrix(x), Matrix(chosen.transpose())));
    table.sum_rows(sums.data(), weights.data(), rows, n);
    check_close(sums, reference::product(reference::matrix(weights), chosen));
    CHECK((scores.intact() && sums.intact()));
    x.data()[n / 2] = 3;
    cache.fill([] { return 0.0f; });
    for (std::int64_t r = 0; r < cached; ++r) cache.view().row(r)[n / 2] = 5;
    table.dot_rows(scores.data(), x.data(), rows, n);
    CHECK(std::all_of(scores.data(), scores.data() + steps, [](float score) { return score == 15.0f; }));
  });
}

// --- operations on matrices
// --------------------------------------------------------------------------------------------

TEST_CASE("layer_norm of matrices", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t rows = GENERATE(1, 31, 32, 33, 150);
  CAPTURE(table.name, rows);
  const std::int64_t cols = 43;
  Random random(3);
  const TestNorm norm(random, cols);
  const Plain x = random_matrix(random, rows, cols);
  GuardedMatrix dst(rows, cols, cols + 2);
  check_threads(table, dst, [&](Context& context) { layer_norm(context, dst, x.view(), norm.norm); });
  check_close(dst, reference::layer_norm(reference::matrix(x.view()), norm.expected));
  CHECK(dst.intact());
}

TEST_CASE("log_sum_exp", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t cols = GENERATE(1, 17, 8191, 8192, 8193, 20000);
  CAPTURE(table.name, cols);
  const std::int64_t rows = 3;
  Random random(4);
  GuardedMatrix x(rows, cols, cols + 1);
  x.fill([&] { return random.uniform() * 20; });
  std::vector<LogSumExp> got(static_cast<std::size_t>(rows));
  std::vector<float> first;
  for (const int threads : kThreadCounts) {
    Context context(table, threads);
    log_sum_exp(context, got, x);
    std::vector<float> parts;
    for (const LogSumExp& g : got) parts.insert(parts.end(), {g.max, g.log_sum});
    if (first.empty()) first = parts;
    CHECK(parts == first);
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const Row row = reference::matrix(x).row(r);
    const LogSumExp& g = got[static_cast<std::size_t>(r)];
    CHECK(g.max == row.maxCoeff());
    const double expected = std::log((row.array() - row.maxCoeff()).exp().sum());
    // Relative error of the sum: 40 u from differences of up to 40, 3 u from exp, one u for each addition of a chunk;
    // the logarithm makes it absolute, and its result is rounded once.
    const double bound = (43 + static_cast<double>(std::min<std::int64_t>(cols, 8192)) + std::abs(expected)) * 0x1p-24;
    CHECK(std::abs(g.log_sum - expected) <= bound);
    CHECK(g.log_softmax(g.max) == -g.log_sum);
  }
}

TEST_CASE("log_sum_exp ignores banned tokens", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Plain x(1, 30000);  // four chunks, two of them without a token
  const auto ban_all = [&] { std::fill(x.values.begin(), x.values.end(), -std::numeric_limits<float>::infinity()); };
  ban_all();
  x.values[10] = x.values[29999] = 2.0f;
  LogSumExp got;
  Context context(table, 2);
  const auto compute = [&] { log_sum_exp(context, {&got, 1}, std::as_const(x).view()); };
  compute();
  CHECK(got.max == 2.0f);
  CHECK(got.log_sum == Approx(std::log(2.0)).epsilon(1e-6));
  x.values[9000] = std::numeric_limits<float>::quiet_NaN();  // shows, also among banned ones
  compute();
  CHECK(!std::isfinite(got.log_sum));
  ban_all();
  compute();
  CHECK(!std::isfinite(got.log_sum));  // nothing is left
}

}  // namespace
}  // namespace florence2::test
