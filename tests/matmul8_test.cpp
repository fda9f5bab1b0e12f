// 8-bit products: quantised rows, the register tile on guarded memory, and matmul with 8-bit weights.
//
// The integer sums are exact, so tables must agree bit for bit. Against the oracle only the rounding of the activations
// differs: half a step of the row's scale for each, times the weights' magnitudes.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "kernels/matmul.hpp"
#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

using reference::Matrix;

std::int64_t padded_depth(const KernelTable& table, std::int64_t k) {
  return (k + table.depth_unit - 1) / table.depth_unit * table.depth_unit;
}

/// One row as the table quantises it, read back as integers with the zero point taken away.
struct QuantizedRow {
  float scale = -1;
  std::int32_t zero = -1;
  std::vector<int> centred;
  std::vector<float> left;  // with_rest: what quantising left of the values

  QuantizedRow(const KernelTable& table, const std::vector<float>& values, bool with_rest = false) {
    const auto k = static_cast<std::int64_t>(values.size());
    GuardedBuffer<float> src(k);
    std::copy(values.begin(), values.end(), src.data());
    GuardedBuffer<std::uint8_t> dst(padded_depth(table, k));
    GuardedBuffer<float> rest(k);
    float origin = -1;
    if (with_rest) {
      table.quantize_with_rest(dst.data(), &scale, &origin, rest.data(), src.data(), k);
    } else {
      table.quantize({dst.data(), 0, &scale, &origin, src.data(), nullptr, 0, 1, k});
    }
    zero = static_cast<std::int32_t>(origin);
    CHECK(static_cast<float>(zero) == origin);
    CHECK((dst.intact() && rest.intact()));
    for (std::int64_t i = 0; i < k; ++i) centred.push_back(dst[i] - zero);
    left.assign(rest.data(), rest.data() + k);
    for (std::int64_t i = k; i < dst.size(); ++i) CHECK(dst[i] == 0);
  }
};

TEST_CASE("a row is quantised to the nearest step of its own range", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  Random random(31);
  for (std::int64_t k = 1; k <= 70; ++k) {
    std::vector<float> x = random.floats(k);
    for (float& value : x) value = 3 * value + 1;
    const QuantizedRow q(table, x);
    const float low = std::min(0.0f, *std::min_element(x.begin(), x.end()));
    const float high = std::max(0.0f, *std::max_element(x.begin(), x.end()));
    CAPTURE(k, q.scale, q.zero);
    CHECK(q.scale == (high - low) / static_cast<float>(table.top_level));
    CHECK((q.zero >= 0 && q.zero <= table.top_level));
    // Half a step, twice at the ends of the range where the zero point was rounded too, and the f32 product x / scale.
    const double bound = (1.0 + 255 * 0x1p-22) * static_cast<double>(q.scale);
    for (std::size_t i = 0; i < x.size(); ++i) {
      CHECK(std::abs(static_cast<double>(q.centred[i]) * q.scale - x[i]) <= bound);
      CHECK((q.centred[i] + q.zero >= 0 && q.centred[i] + q.zero <= table.top_level));
    }
  }
}

TEST_CASE("a row that is quantised leaves the same rest on every table, at most a step", "[kernels]") {
  Random random(39);
  for (std::int64_t k = 1; k <= 70; ++k) {
    std::vector<float> x = random.floats(k);
    for (float& value : x) value = 3 * value + 1;
    std::map<int, std::vector<float>> first;  // by top_level
    for (const KernelTable* table : tables_8bit()) {
      const QuantizedRow plain(*table, x), q(*table, x, true);
      CAPTURE(table->name, k, q.scale);
      CHECK((q.scale >= plain.scale && q.scale <= plain.scale * (1 + 0x1p-15f)));
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double exact = x[i] - static_cast<double>(q.centred[i]) * q.scale;
        CHECK(q.left[i] == static_cast<float>(exact));
        CHECK(std::abs(exact) <= (1.0 + 255 * 0x1p-22) * static_cast<double>(q.scale));
      }
      CHECK(first.try_emplace(table->top_level, q.left).first->second == q.left);
    }
  }
}

TEST_CASE("zero is exact, and rows without a range are zero", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  const QuantizedRow mixed(table, {0.0f, -1.7f, 0.0f, 12.25f, 0.0f});
  for (const std::size_t i : {0, 2, 4}) CHECK(mixed.centred[i] == 0);
  const QuantizedRow zeros(table, std::vector<float>(37, 0.0f));
  CHECK(zeros.scale == 0);
  CHECK(std::all_of(zeros.centred.begin(), zeros.centred.begin() + 37, [](int v) { return v == 0; }));
}

TEST_CASE("rows and columns of tiny values are quantised like others, to steps of 2^-126 at least", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  for (const float value : {1e-36f, -1e-36f, 1e-39f, -1e-39f, 1e-42f}) {
    CAPTURE(value);
    const std::vector<float> x(37, value);
    const QuantizedRow q(table, x);
    CHECK((q.zero >= 0 && q.zero <= table.top_level));
    CHECK((q.scale >= 0x1p-126f && q.scale < 0x1p-120f));
    for (const int level : std::vector<int>(q.centred.begin(), q.centred.begin() + 37)) {
      CHECK(std::abs(static_cast<double>(level) * q.scale - value) <= 1.01 * static_cast<double>(q.scale));
    }
    PackedMatrix packed(table, DType::s8, 1, 37);
    packed.pack_floats(0, 1, x.data());
    std::vector<float> column(37);
    packed.unpack_column(0, column.data());
    for (const float unpacked : column) {
      CHECK(std::abs(static_cast<double>(unpacked) - value) <= 1.01 * static_cast<double>(*packed.scales(0)));
    }
  }
}

TEST_CASE("a row that is not finite has NaN as its scale", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const std::size_t at : {0, 20, 36}) {
      std::vector<float> x(37, 0.5f);
      x[at] = bad;
      CHECK(std::isnan(QuantizedRow(table, x).scale));
    }
  }
}

/// Rows of integers whose range is exactly top_level: their scale is 1 and they are quantised exactly.
Plain exact_rows(const KernelTable& table, Random& random, std::int64_t m, std::int64_t k) {
  constexpr int kLow = -75;
  const auto levels = static_cast<std::uint64_t>(table.top_level) + 1;
  Plain a(m, k);
  for (float& value : a.values) value = static_cast<float>(static_cast<int>(random.bits() % levels) + kLow);
  for (std::int64_t r = 0; r < m; ++r) {
    a.view().row(r)[r % k] = kLow;
    a.view().row(r)[(r + 1) % k] = static_cast<float>(table.top_level + kLow);
  }
  return a;
}

/// Integer weights that are quantised exactly, with scale 1: each column holds 127, the others are so small that any
/// four of one sign stay below every quad_limit.
Plain exact_weights(Random& random, std::int64_t n, std::int64_t k) {
  Plain w(n, k);
  for (float& value : w.values) value = static_cast<float>(static_cast<int>(random.bits() % 31) - 15);
  for (std::int64_t r = 0; r < n; ++r) w.view().row(r)[(3 * r) % k] = r % 2 == 0 ? 127.0f : -127.0f;
  return w;
}

TEST_CASE("8-bit matmul is exact for every small m and n, and around the blocks", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  Random random(32);
  const auto check = [&](std::int64_t m, std::int64_t n, std::int64_t k) {
    const Plain a = exact_rows(table, random, m, k), weight = exact_weights(random, n, k);
    const TestLinear layer(table, weight, {}, DType::s8);
    GuardedMatrix left(m, k, k + m % 3, m % 2), dst(m, n, n + 2);
    std::int64_t i = 0;
    left.fill([&] { return a.values[static_cast<std::size_t>(i++)]; });
    Context context(table, 2);
    matmul(context, dst, left, layer.linear);
    CAPTURE(m, n, k);
    check_equal(dst, reference::matrix(a.view()) * reference::matrix(weight.view()).transpose());
    CHECK(dst.intact());
  };
  for (std::int64_t m = 1; m <= 2 * table.mr + 1; ++m) {
    for (std::int64_t n = 1; n <= 2 * table.nr + 1; n += 1 + m % 3) check(m, n, 2 + (m * 5 + n) % 9);
  }
  // Sums below 2^24 stay exact as floats: 147 * 255 * 127 is.
  for (const std::int64_t m : {table.mr + 1, 144, 145, 291}) check(m, table.nr + 1, 147);
}

/// What 8-bit products compute, with the activations as they are: x times the weights' quantised values; and how far
/// rounding the activations, and f32, may move it.
reference::Bounded expected_8bit(const KernelTable& table, View<const float> a, const Linear& linear, bool two_terms) {
  const std::int64_t k = linear.in(), n = linear.out();
  Matrix weight(k, n);
  std::vector<float> column(static_cast<std::size_t>(k));
  for (std::int64_t j = 0; j < n; ++j) {
    linear.weight.unpack_column(j, column.data());
    for (std::int64_t i = 0; i < k; ++i) weight(i, j) = column[static_cast<std::size_t>(i)];
  }
  const Matrix x = reference::matrix(a), magnitudes = weight.cwiseAbs().colwise().sum();
  Matrix value = x * weight, error = Matrix::Zero(a.rows, n);
  for (std::int64_t r = 0; r < a.rows; ++r) {
    double step = (std::max(0.0, x.row(r).maxCoeff()) - std::min(0.0, x.row(r).minCoeff())) / table.top_level;
    // What one term leaves is at most a step either way: that is the range of the other.
    if (two_terms) step = 2 * step * (1 + 0x1p-15) * (1 + 255 * 0x1p-22) / table.top_level;
    // Scales, their product, the product with the sum; of two terms also what is left, and their sum.
    const double f32 = (two_terms ? 10 : 4) * 0x1p-24 * x.row(r).cwiseAbs().maxCoeff();
    error.row(r) = (step * (1 + 255 * 0x1p-22) + f32) * magnitudes;
  }
  return {value, error};
}

TEST_CASE("8-bit matmul stays within half a step of the activations, or of what their first term leaves", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  const std::int64_t k = GENERATE(1, 37, 256, 1031);
  const bool two_terms = GENERATE(false, true);
  CAPTURE(table.name, k, two_terms);
  Random random(33);
  const std::int64_t n = 2 * table.nr + 5;
  const TestLinear layer(table, random, k, n, DType::s8);
  for (const std::int64_t m : {std::int64_t{1}, std::int64_t{table.mr} + 3, std::int64_t{150}}) {
    const Plain a = random_matrix(random, m, k), residual = random_matrix(random, m, n);
    GuardedMatrix dst(m, n, n + 1);
    Context context(table, 2);
    matmul(context, dst, a.view(), layer.linear,
           {.residual = two_terms ? residual.view() : View<const float>(), .two_terms = two_terms});
    reference::Bounded expected = expected_8bit(table, a.view(), layer.linear, two_terms);
    expected.value.rowwise() += layer.affine.bias;
    if (two_terms) expected.value += reference::matrix(residual.view());
    const double additions = two_terms ? 3 : 2;  // of the last two or three terms
    expected.error.array() += additions * 0x1p-24 * (1 + expected.value.cwiseAbs().maxCoeff());
    CAPTURE(m);
    check_close(dst, expected);
  }
}

TEST_CASE("8-bit products have the same bits on tables of the same limits and for any threads or rows", "[kernels]") {
  const MatmulOptions options = GENERATE(MatmulOptions{}, MatmulOptions{.two_terms = true});
  Random random(34);
  const std::int64_t m = 150, n = 101, k = 147;
  const Plain a = random_matrix(random, m, k), weight = random_matrix(random, n, k);
  const std::vector<float> bias = random.floats(n);
  std::map<int, Plain> first;  // by quad_limit
  Plain dst(m, n);
  for (const KernelTable* table : tables_8bit()) {
    const TestLinear layer(*table, weight, bias, DType::s8);
    check_threads(*table, dst.view(),
                  [&](Context& context) { matmul(context, dst.view(), a.view(), layer.linear, options); });
    CAPTURE(table->name, options.two_terms);
    check_same_bits(dst.view(), first.try_emplace(table->quad_limit, dst).first->second.view());
    for (const std::int64_t r : {0, 77, 149}) {
      Plain one(1, n);
      Context context(*table, 2);
      matmul(context, one.view(), a.view().row_range(r, 1), layer.linear, options);
      check_same_bits(one.view(), dst.view().row_range(r, 1));
    }
  }
}

TEST_CASE("8-bit products of long rows have the same bits on tables of the same limits", "[kernels]") {
  // 1,600 and 144 + 17 are several pieces of k and blocks of rows for every table.
  Random random(37);
  const std::int64_t m = 161, n = 33, k = 1600;
  const Plain a = random_matrix(random, m, k), weight = random_matrix(random, n, k);
  std::map<int, Plain> first;  // by quad_limit
  Plain dst(m, n);
  for (const KernelTable* table : tables_8bit()) {
    const TestLinear layer(*table, weight, {}, DType::s8);
    Context context(*table, 1);
    matmul(context, dst.view(), a.view(), layer.linear);
    CAPTURE(table->name);
    check_same_bits(dst.view(), first.try_emplace(table->quad_limit, dst).first->second.view());
  }
}

TEST_CASE("fused blocks with 8-bit weights give the bits of their operations", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  // Hidden rows of whole panels, which may stay in bf16, and others; 700 rows are two blocks a thread.
  for (const std::int64_t m : {1, 7, 130, 700}) {
    for (const std::int64_t dim : {48, 50}) check_fused_blocks(table, DType::s8, DType::s8, m, dim);
  }
  check_fused_blocks(table, DType::s8, DType::f16, 130, 48);
  check_fused_blocks(table, DType::f16, DType::s8, 130, 48);
}

TEST_CASE("the GELU of 8-bit and bf16 products stays within its stated error", "[kernels]") {
  // Rows of zeros leave the bias alone.
  std::vector<float> bias;
  for (int i = -3000; i <= 3000; ++i) bias.push_back(static_cast<float>(i) / 500.0f);
  for (const float far : {-1e30f, -1000.0f, -30.0f, 30.0f, 1000.0f, 1e30f}) bias.push_back(far);
  const auto n = static_cast<std::int64_t>(bias.size());
  Random random(38);
  const Plain zeros(17, 8), weight = random_matrix(random, n, 8);
  const auto check = [&](const KernelTable& table, const WeightType& type) {
    const TestLinear layer(table, weight, bias, type);
    Plain dst(zeros.rows, n);
    Context context(table, 1);
    matmul(context, dst.view(), zeros.view(), layer.linear, {.gelu = true, .residual = {}});
    const Matrix x = reference::matrix(Plain(bias).view()).replicate(zeros.rows, 1);
    reference::Bounded expected = reference::gelu({x, Matrix::Zero(x.rows(), x.cols())});
    expected.error.array() += kGelu8BitError + 2e-6 * x.array().abs();
    CAPTURE(table.name);
    check_close(dst.view(), expected);
  };
  for (const KernelTable* table : tables_8bit()) check(*table, DType::s8);
  for (const KernelTable* table : tables_bf16()) check(*table, {DType::bf16, true});
}

/// The scale that packing must choose: the smallest that keeps magnitudes at 127 and quads within the limit.
float expected_scale(const KernelTable& table, const float* row, std::int64_t k) {
  float largest = 0, quad_sum = 0;
  for (std::int64_t i = 0; i < k; ++i) largest = std::max(largest, std::abs(row[i]));
  for (std::int64_t i = 0; i < k; i += 8) {
    for (const auto& quad : {std::array{0, 1, 4, 5}, std::array{2, 3, 6, 7}}) {
      float above[4], below[4];
      for (std::size_t j = 0; j < 4; ++j) {
        const float value = i + quad[j] < k ? row[i + quad[j]] : 0.0f;
        above[j] = std::max(value, 0.0f);
        below[j] = std::max(-value, 0.0f);
      }
      const auto sum = [](const float(&x)[4]) { return (x[0] + x[1]) + (x[2] + x[3]); };
      quad_sum = std::max({quad_sum, sum(above), sum(below)});
    }
  }
  if (table.quad_limit == 0) return largest / 127;
  return std::max(largest / 127, quad_sum / static_cast<float>(table.quad_limit));
}

/// Largest sum over the positive or the negative integers of a quad.
int largest_quad(const std::vector<int>& q) {
  int largest = 0;
  for (std::size_t i = 0; i < q.size(); i += 8) {
    for (const auto& quad : {std::array<std::size_t, 4>{0, 1, 4, 5}, std::array<std::size_t, 4>{2, 3, 6, 7}}) {
      int above = 0, below = 0;
      for (const std::size_t j : quad) {
        const int value = i + j < q.size() ? q[i + j] : 0;
        (value > 0 ? above : below) += std::abs(value);
      }
      largest = std::max({largest, above, below});
    }
  }
  return largest;
}

TEST_CASE("8-bit packing keeps each weight within a step and each quad within its limit", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  Random random(36);
  for (const std::int64_t k : {1, 2, 3, 33, 64, 200}) {
    const std::int64_t n = table.nr + 3;
    Plain weight = random_matrix(random, n, k);
    std::fill_n(weight.view().row(1), k, 0.0f);
    std::fill_n(weight.view().row(2), k, 0.7f);  // every quad is at its limit
    PackedMatrix packed(table, DType::s8, n, k);
    packed.pack_floats(0, n, weight.values.data());
    std::vector<float> column(static_cast<std::size_t>(k));
    for (std::int64_t j = 0; j < n; ++j) {
      const float* const row = weight.view().row(j);
      const float scale = expected_scale(table, row, k);
      CHECK(*packed.scales(j) == scale);
      packed.unpack_column(j, column.data());
      std::vector<int> q;
      for (std::int64_t i = 0; i < k; ++i) {
        const float value = column[static_cast<std::size_t>(i)];
        q.push_back(scale > 0 ? static_cast<int>(std::lround(value / scale)) : 0);
        // Half a step of rounding, where no quad had to give way; then at most one, and that is taken where it was up.
        const double steps = table.quad_limit == 0 ? 0.5 : 1.0;
        CHECK(std::abs(value - row[i]) <= (steps + 127 * 0x1p-22) * static_cast<double>(scale));
      }
      CHECK(*packed.sums(j) == std::accumulate(q.begin(), q.end(), 0));
      if (table.quad_limit > 0) CHECK(largest_quad(q) <= table.quad_limit);
    }
  }
}

TEST_CASE("sums of products reach the edges of 16 and of 32 bits and stay exact", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  CAPTURE(table.name);
  const std::int64_t n = table.nr, k = GENERATE(std::int64_t{64}, kMostDepth8);
  Plain weight(n, k), a(1, k);
  // All weights of a column alike and all activations at the top: every quad is as large as it may be, of either sign.
  for (std::int64_t j = 0; j < n; ++j) std::fill_n(weight.view().row(j), k, j % 2 == 0 ? 1.0f : -1.0f);
  std::fill(a.values.begin(), a.values.end(), 1.0f);
  PackedMatrix packed(table, DType::s8, n, k);
  packed.pack_floats(0, n, weight.values.data());
  const Linear linear{std::move(packed), {}};
  Plain dst(1, n);
  Context context(table, 1);
  matmul(context, dst.view(), a.view(), linear);
  std::vector<float> column(static_cast<std::size_t>(k));
  for (std::int64_t j = 0; j < n; ++j) {
    linear.weight.unpack_column(j, column.data());
    const double sum = std::accumulate(column.begin(), column.end(), 0.0);
    CHECK(dst.values[static_cast<std::size_t>(j)] == Approx(sum).epsilon(4 * 0x1p-24));
  }
}

TEST_CASE("weights that are not finite make their channel NaN", "[kernels]") {
  const KernelTable& table = *tables_8bit().front();
  Plain weight(2, 4);
  std::fill(weight.values.begin(), weight.values.end(), 1.0f);
  weight.values[2] = std::numeric_limits<float>::infinity();
  PackedMatrix packed(table, DType::s8, 2, 4);
  packed.pack_floats(0, 2, weight.values.data());
  CHECK(std::isnan(*packed.scales(0)));
  CHECK(*packed.scales(1) == 1.0f / 127);
}

}  // namespace
}  // namespace florence2::test
