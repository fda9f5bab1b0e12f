// Rows as products read them: RowConverter and multiply_rows against matmul, and results that stay in bf16.
//
// What a row is converted to, or a sum rounded to, depends on nothing else: all comparisons are bit for bit.
#include "kernels/rows.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/rowwise.hpp"
#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

const WeightType kPaired(DType::bf16, true);

/// A weight type, and in how many terms its rows are quantised.
struct Form {
  WeightType type;
  bool two_terms = false;
};

/// All that the table multiplies with.
std::vector<Form> forms(const KernelTable& table) {
  std::vector<Form> all = {{DType::f32}, {DType::f16}, {DType::s8}, {DType::s8, true}};
  if (table.gemm_f32_bf16_bf16p != nullptr) all.push_back({kPaired});
  return all;
}

/// A converter whose memory, and that of a thread's own row, is what it asks for and no more.
class GuardedRows {
 public:
  GuardedRows(const KernelTable& table, const PackedMatrix& weight, std::int64_t capacity, bool two_terms = false)
      : memory_(floats_of(table, weight, capacity, two_terms)),
        spare_(RowConverter::spare_floats(weight)),
        pieces_(memory_.data()),
        converter_(table, weight, capacity, two_terms, pieces_) {}

  const RowConverter* operator->() const { return &converter_; }
  float* spare() { return spare_.data(); }
  bool intact() const { return memory_.intact() && spare_.intact(); }
  /// Whether the other's rows, and what lies between and behind them, are the same byte for byte.
  bool holds_the_same_as(GuardedRows& other) {
    const auto bytes = static_cast<std::size_t>(memory_.size()) * sizeof(float);
    return memory_.size() == other.memory_.size() && std::memcmp(memory_.data(), other.memory_.data(), bytes) == 0;
  }

 private:
  static std::int64_t floats_of(const KernelTable& table, const PackedMatrix& weight, std::int64_t capacity,
                                bool two_terms) {
    Pieces needed;
    RowConverter(table, weight, capacity, two_terms, needed);
    return needed.floats();
  }

  GuardedBuffer<float> memory_, spare_;
  Pieces pieces_;
  RowConverter converter_;
};

TEST_CASE("multiply_rows gives the bits of matmul from rows put in any order", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  // Less than a tile; a block; more than a block in every form.
  const std::int64_t m = GENERATE(3, 170, 400);
  Random random(71);
  const std::int64_t n = 2 * table.nr + 5, k = 300;
  const Plain weight = random_matrix(random, n, k), a = random_matrix(random, m, k),
              residual = random_matrix(random, m, n);
  const std::vector<float> bias = random.floats(n);
  for (const Form& form : forms(table)) {
    const TestLinear layer(table, weight, bias, form.type);
    const MatmulOptions options = {.gelu = true, .residual = residual.view(), .two_terms = form.two_terms};
    GuardedMatrix by_matmul(m, n), by_rows(m, n, n + 3);
    Context context(table, 3);
    matmul(context, by_matmul, a.view(), layer.linear, options);
    GuardedRows rows(table, layer.linear.weight, m, form.two_terms);
    for (std::int64_t i = 0; i < m; ++i) {
      const std::int64_t r = (7 * i + 2) % m;  // every row once: no m is a multiple of 7
      rows->put(r, a.view().row_range(r, 1), rows.spare());
    }
    GuardedBuffer<float> scratch(multiply_rows_scratch(table));
    multiply_rows(table, scratch.data(), by_rows.view(), rows->rows(m), layer.linear, options);
    CAPTURE(table.name, m, name_of(form.type.dtype), form.two_terms);
    check_same_bits(by_rows, by_matmul);
    CHECK((rows.intact() && scratch.intact() && by_rows.intact()));
  }
}

TEST_CASE("a converter gives its first rows as if there were no others", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  Random random(72);
  const std::int64_t capacity = 40, n = table.nr + 1, k = 70;
  const Plain weight = random_matrix(random, n, k), a = random_matrix(random, capacity, k);
  for (const Form& form : forms(table)) {
    const TestLinear layer(table, weight, {}, form.type);
    const MatmulOptions options = {.two_terms = form.two_terms};
    GuardedRows rows(table, layer.linear.weight, capacity, form.two_terms);
    for (std::int64_t r = 0; r < capacity; ++r) rows->put(r, a.view().row_range(r, 1), rows.spare());
    GuardedBuffer<float> scratch(multiply_rows_scratch(table));
    Context context(table, 1);
    for (const std::int64_t count : {1, 17, 39}) {
      GuardedMatrix by_matmul(count, n), by_rows(count, n);
      matmul(context, by_matmul, a.view().row_range(0, count), layer.linear, options);
      multiply_rows(table, scratch.data(), by_rows.view(), rows->rows(count), layer.linear, options);
      CAPTURE(table.name, count, name_of(form.type.dtype), form.two_terms);
      check_same_bits(by_rows, by_matmul);
    }
  }
}

TEST_CASE("rows are put normed and as zeros with the bits of layer_norm and of a row of zeros", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tables_8bit()));
  const std::int64_t m = 9, k = GENERATE(1, 31, 64, 77, 200);
  Random random(73);
  const Plain weight = random_matrix(random, 3, k), a = random_matrix(random, m, k);
  const TestNorm norm(random, k);
  Plain normed(m, k);
  Context context(table, 1);
  layer_norm(context, normed.view(), a.view(), norm.norm);
  std::fill_n(normed.view().row(4), k, 0.0f);
  for (const Form& form : forms(table)) {
    if (form.two_terms) continue;  // not for these
    const TestLinear layer(table, weight, {}, form.type);
    GuardedRows plain(table, layer.linear.weight, m), at_once(table, layer.linear.weight, m);
    for (std::int64_t r = m - 1; r >= 0; --r) {
      plain->put(r, normed.view().row_range(r, 1), plain.spare());
      if (r == 4) {
        at_once->put_zeros(r, at_once.spare());
      } else {
        at_once->put_normed(r, a.view().row_range(r, 1), norm.norm, at_once.spare());
      }
    }
    CAPTURE(table.name, k, name_of(form.type.dtype));
    CHECK(at_once.holds_the_same_as(plain));
    CHECK((plain.intact() && at_once.intact()));
  }
}

// --- results in bf16
// ------------------------------------------------------------------------------------------------------

/// The tables whose products give their results in bf16; may be empty.
std::vector<const KernelTable*> tables_with_bf16_results() {
  std::vector<const KernelTable*> some = tables_8bit();
  std::erase_if(some, [](const KernelTable* table) { return !table->results_in_bf16; });
  return some;
}

TEST_CASE("a table gives results in bf16 here or emulated", "[kernels]") {
  if (tables_with_bf16_results().empty()) WARN("no AMX, and no SIMDe or no AVX2 to emulate it: nothing is tested here");
  Random random(74);
  for (const KernelTable* table : tables_8bit()) {
    const bool given = table->results_in_bf16;
    const TestLinear panels(*table, random, 40, 2 * table->nr, DType::s8), columns(*table, random, 40, 17, DType::s8),
        floats(*table, random, 40, 2 * table->nr, DType::f16);
    CAPTURE(table->name);
    CHECK(gives_bf16(*table, panels.linear) == given);
    CHECK_FALSE(gives_bf16(*table, columns.linear));  // not whole panels
    CHECK_FALSE(gives_bf16(*table, floats.linear));
  }
}

/// bf16 in guarded memory, rows `gap` elements apart. All of it starts as a NaN that no result has.
class GuardedBits {
 public:
  GuardedBits(std::int64_t rows, std::int64_t cols, std::int64_t gap)
      : buffer_((rows - 1) * (cols + gap) + cols), view_(buffer_.data(), rows, cols, cols + gap) {
    std::fill_n(buffer_.data(), buffer_.size(), kUntouched);
  }
  View<std::uint16_t> view() const { return view_; }
  bool intact() {
    for (std::int64_t i = 0; i < buffer_.size(); ++i) {
      if (i % view_.stride >= view_.cols && buffer_[i] != kUntouched) return false;
    }
    return buffer_.intact();
  }
  /// Elements that are not those of `floats` as the table rounds them.
  std::int64_t different_from(const KernelTable& table, View<const float> floats) const {
    std::vector<std::uint16_t> rounded(static_cast<std::size_t>(floats.cols + table.depth_unit));
    std::int64_t different = 0;
    for (std::int64_t r = 0; r < floats.rows; ++r) {
      table.round_row(rounded.data(), floats.row(r), floats.cols);
      for (std::int64_t c = 0; c < floats.cols; ++c) {
        different += view_.row(r)[c] != rounded[static_cast<std::size_t>(c)];
      }
    }
    return different;
  }

 private:
  static constexpr std::uint16_t kUntouched = 0x7FA5;
  GuardedBuffer<std::uint16_t> buffer_;
  View<std::uint16_t> view_;
};

TEST_CASE("matmul into bf16 gives the bits of matmul into floats after rounding", "[kernels]") {
  Random random(75);
  std::vector<std::int64_t> row_counts = {100, 170, 350};  // the last in two shares of whole rows
  for (std::int64_t m = 1; m <= 40; ++m) row_counts.push_back(m);
  for (const KernelTable* table : tables_with_bf16_results()) {
    for (const WeightType& type : {WeightType(DType::s8), kPaired}) {
      for (const bool with_bias : {false, true}) {
        const std::int64_t n = 3 * table->nr, k = 70;
        const TestLinear layer(*table, random_matrix(random, n, k), with_bias ? random.floats(n) : std::vector<float>(),
                               type);
        REQUIRE(gives_bf16(*table, layer.linear));
        Context context(*table, 2);
        for (const std::int64_t m : row_counts) {
          const Plain a = random_matrix(random, m, k);
          for (const bool gelu : {false, true}) {
            Plain floats(m, n);
            GuardedBits bits(m, n, 1 + m % 5);
            matmul(context, floats.view(), a.view(), layer.linear, {.gelu = gelu});
            matmul(context, bits.view(), a.view(), layer.linear, {.gelu = gelu});
            CAPTURE(table->name, name_of(type.dtype), m, with_bias, gelu);
            CHECK(bits.different_from(*table, floats.view()) == 0);
            CHECK(bits.intact());
          }
        }
      }
    }
  }
}

TEST_CASE("results in bf16 of many pieces of k are rounded once", "[kernels]") {
  Random random(76);
  for (const KernelTable* table : tables_with_bf16_results()) {
    for (const WeightType& type : {WeightType(DType::s8), kPaired}) {
      const std::int64_t n = 2 * table->nr, k = 1600;
      const TestLinear layer(*table, random, k, n, type);
      Context context(*table, 1);
      for (const std::int64_t m : {5, 33, 161}) {
        const Plain a = random_matrix(random, m, k);
        Plain floats(m, n);
        GuardedBits bits(m, n, 2);
        matmul(context, floats.view(), a.view(), layer.linear);
        matmul(context, bits.view(), a.view(), layer.linear);
        CAPTURE(table->name, name_of(type.dtype), m);
        CHECK(bits.different_from(*table, floats.view()) == 0);
        CHECK(bits.intact());
      }
    }
  }
}

TEST_CASE("a row that is not finite reaches results in bf16 and leaves the others alone", "[kernels]") {
  Random random(77);
  for (const KernelTable* table : tables_with_bf16_results()) {
    for (const WeightType& type : {WeightType(DType::s8), kPaired}) {
      for (const std::int64_t m : {3, 40}) {
        const std::int64_t n = table->nr, k = 64;
        const TestLinear layer(*table, random, k, n, type);
        Plain a = random_matrix(random, m, k);
        a.view().row(1)[5] = std::numeric_limits<float>::quiet_NaN();
        GuardedBits bits(m, n, 0);
        Context context(*table, 1);
        matmul(context, bits.view(), a.view(), layer.linear, {.gelu = true});
        std::int64_t wrong = 0;
        for (std::int64_t i = 0; i < m * n; ++i) {
          wrong += std::isnan(half_value(bits.view().row(i / n)[i % n], DType::bf16)) != (i / n == 1);
        }
        CAPTURE(table->name, name_of(type.dtype), m);
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("a row of bf16 is quantised as its floats are", "[kernels]") {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  Random random(78);
  for (const KernelTable* table : tables_with_bf16_results()) {
    const auto check = [&](std::vector<float> values) {
      const auto k = static_cast<std::int64_t>(values.size());
      const std::int64_t depth = (k + table->depth_unit - 1) / table->depth_unit * table->depth_unit;
      GuardedBuffer<std::uint16_t> bits(k);
      for (std::int64_t i = 0; i < k; ++i) {
        bits[i] = half_bits(values[static_cast<std::size_t>(i)], DType::bf16);
        values[static_cast<std::size_t>(i)] = half_value(bits[i], DType::bf16);
      }
      GuardedBuffer<std::uint8_t> from_floats(depth), from_bits(depth);
      float scale = -1, zero = -1, bits_scale = -2, bits_zero = -2;
      table->quantize({from_floats.data(), 0, &scale, &zero, values.data(), nullptr, 0, 1, k});
      table->quantize({from_bits.data(), 0, &bits_scale, &bits_zero, nullptr, bits.data(), 0, 1, k});
      CHECK(std::equal(from_bits.data(), from_bits.data() + depth, from_floats.data()));
      CHECK((bits_scale == scale || (std::isnan(bits_scale) && std::isnan(scale))));
      CHECK(bits_zero == zero);
      CHECK(from_bits.intact());
    };
    for (std::int64_t k = table->nr; k <= 10 * table->nr; k += table->nr) {
      CAPTURE(table->name, k);
      std::vector<float> x = random.floats(k);
      for (const float shift : {-2.0f, 0.0f, 0.5f, 3.0f}) {  // of one sign and of both
        std::vector<float> shifted = x;
        for (float& v : shifted) v = 3 * v + shift;
        check(shifted);
      }
      check(std::vector<float>(x.size(), 0.0f));
      for (const float odd : {kNaN, kInfinity, -kInfinity, 3e38f, 1e-37f, -1e-39f}) {
        for (const std::size_t at : {std::size_t{0}, x.size() / 2 + 1, x.size() - 1}) {
          std::vector<float> with = x, alone(x.size(), 0.0f);
          with[at] = alone[at] = odd;
          check(with);
          check(alone);
        }
      }
    }
  }
}

TEST_CASE("rows put from bf16 are those put from their floats", "[kernels]") {
  Random random(79);
  for (const KernelTable* table : tables_with_bf16_results()) {
    for (const WeightType& type : {WeightType(DType::s8), kPaired}) {
      for (const std::int64_t k : {32, 64, 96, 288}) {
        const std::int64_t m = 5;
        const TestLinear layer(*table, random, k, 3, type);
        GuardedRows from_floats(*table, layer.linear.weight, m), from_bits(*table, layer.linear.weight, m);
        Plain a = random_matrix(random, m, k);
        std::vector<std::uint16_t> bits(static_cast<std::size_t>(k));
        for (std::int64_t r = 0; r < m; ++r) {
          for (std::int64_t i = 0; i < k; ++i) {
            bits[static_cast<std::size_t>(i)] = half_bits(a.view().row(r)[i], DType::bf16);
            a.view().row(r)[i] = half_value(bits[static_cast<std::size_t>(i)], DType::bf16);
          }
          from_floats->put(r, a.view().row_range(r, 1), from_floats.spare());
          from_bits->put(r, View<const std::uint16_t>(bits.data(), 1, bits.size()), from_bits.spare());
        }
        CAPTURE(table->name, name_of(type.dtype), k);
        CHECK(from_bits.holds_the_same_as(from_floats));
        CHECK(from_bits.intact());
      }
    }
  }
}

}  // namespace
}  // namespace florence2::test
