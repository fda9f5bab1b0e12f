#include "tests/kernel_support.hpp"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>

#include "kernels/isa.hpp"
#include "kernels/rows.hpp"
#include "kernels/rowwise.hpp"

namespace florence2 {

#ifdef FLORENCE2_EMULATED
namespace avx2_vnni_emulated {
extern const KernelTable table;
}
namespace avx512_emulated {
extern const KernelTable table;
}
namespace avx512_vnni_emulated {
extern const KernelTable table;
}
namespace avx512_bf16_emulated {
extern const KernelTable table;
}
namespace amx_emulated {
extern const KernelTable table;
}
#endif

namespace test {
namespace {

#ifdef FLORENCE2_EMULATED
/// A table built over tests/emulated, which needs AVX2 whatever the instructions it emulates need.
KernelTable emulation_of(KernelTable table, const char* name) {
  table.name = name;
  table.features = cpu_feature::kAvx2;
  return table;
}
#endif

/// Checks ok(r, c) for all elements; one assertion for all, and a message about the first that fails.
template <typename Ok, typename Describe>
void check_elements(View<const float> got, const Ok& ok, const Describe& describe) {
  for (std::int64_t r = 0; r < got.rows; ++r) {
    for (std::int64_t c = 0; c < got.cols; ++c) {
      if (ok(r, c)) continue;
      INFO("element [" << r << ", " << c << "] of [" << got.rows << ", " << got.cols << "]: " << describe(r, c));
      FAIL_CHECK();
      return;
    }
  }
  SUCCEED();
}

std::vector<std::uint16_t> half_bits(const Plain& matrix, DType dtype) {
  std::vector<std::uint16_t> bits(matrix.values.size());
  std::transform(matrix.values.begin(), matrix.values.end(), bits.begin(),
                 [&](float v) { return test::half_bits(v, dtype); });
  return bits;
}

Plain scaled(Plain matrix, float factor) {
  for (float& v : matrix.values) v *= factor;
  return matrix;
}

}  // namespace

const std::vector<const KernelTable*>& tested_tables() {
  static const std::vector<const KernelTable*> tables = [] {
    const auto available = available_tables();
    std::vector<const KernelTable*> all(available.begin(), available.end());
#ifdef FLORENCE2_EMULATED
    static const KernelTable emulated = emulation_of(avx512_emulated::table, "avx512-emulated");
    if ((cpu_features() & cpu_feature::kAvx2) != 0) all.push_back(&emulated);
#endif
    return all;
  }();
  return tables;
}

const std::vector<const KernelTable*>& tables_8bit() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> all = tested_tables();
#ifdef FLORENCE2_EMULATED
    static const KernelTable avx2_vnni = emulation_of(avx2_vnni_emulated::table, "avx2_vnni-emulated");
    static const KernelTable avx512_vnni = emulation_of(avx512_vnni_emulated::table, "avx512_vnni-emulated");
    static const KernelTable avx512_bf16 = emulation_of(avx512_bf16_emulated::table, "avx512_bf16-emulated");
    static const KernelTable amx = emulation_of(amx_emulated::table, "amx-emulated");
    if ((cpu_features() & cpu_feature::kAvx2) != 0)
      all.insert(all.end(), {&avx2_vnni, &avx512_vnni, &avx512_bf16, &amx});
#endif
    return all;
  }();
  return tables;
}

const std::vector<const KernelTable*>& tables_bf16() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> some = tables_8bit();
    std::erase_if(some, [](const KernelTable* table) { return table->gemm_f32_bf16_bf16p == nullptr; });
    return some;
  }();
  return tables;
}

void check_close(View<const float> got, const reference::Bounded& expected) {
  REQUIRE((got.rows == expected.rows() && got.cols == expected.cols()));
  const auto distance = [&](auto r, auto c) { return std::abs(got.row(r)[c] - expected.value(r, c)); };
  check_elements(
      got, [&](auto r, auto c) { return distance(r, c) <= expected.error(r, c); },  // false for NaN
      [&](auto r, auto c) {
        return Catch::StringMaker<double>::convert(got.row(r)[c]) + " for " +
               Catch::StringMaker<double>::convert(expected.value(r, c)) + ", off by " +
               std::to_string(distance(r, c) / expected.error(r, c)) + " times the bound";
      });
}

void check_equal(View<const float> got, const reference::Matrix& expected) {
  REQUIRE((got.rows == expected.rows() && got.cols == expected.cols()));
  check_elements(
      got, [&](auto r, auto c) { return got.row(r)[c] == expected(r, c); },
      [&](auto r, auto c) { return std::to_string(got.row(r)[c]) + " for " + std::to_string(expected(r, c)); });
}

void check_same_bits(View<const float> a, View<const float> b) {
  REQUIRE((a.rows == b.rows && a.cols == b.cols));
  const auto bits = [](View<const float> v, auto r, auto c) { return std::bit_cast<std::uint32_t>(v.row(r)[c]); };
  check_elements(
      a, [&](auto r, auto c) { return bits(a, r, c) == bits(b, r, c); },
      [&](auto r, auto c) { return std::to_string(bits(a, r, c)) + " against " + std::to_string(bits(b, r, c)); });
}

float small_integer(Random& random) { return static_cast<float>(static_cast<int>(random.bits() % 17) - 8); }

Plain random_matrix(Random& random, std::int64_t rows, std::int64_t cols) {
  Plain m(rows, cols);
  m.values = random.floats(rows * cols);
  return m;
}

Plain integer_matrix(Random& random, std::int64_t rows, std::int64_t cols) {
  Plain m(rows, cols);
  for (float& v : m.values) v = small_integer(random);
  return m;
}

TestLinear::TestLinear(const KernelTable& table, const Plain& weight, const std::vector<float>& bias, WeightType type)
    : linear{PackedMatrix(table, type, weight.rows, weight.cols), buffer_of(bias)} {
  const DType dtype = type.dtype;
  Plain stored = weight;
  if (dtype == DType::f32) {
    linear.weight.pack_rows(0, weight.rows, weight.values.data());
  } else if (dtype == DType::s8) {
    linear.weight.pack_floats(0, weight.rows, weight.values.data());
  } else {
    const std::vector<std::uint16_t> bits = half_bits(weight, dtype);
    linear.weight.pack_rows(0, weight.rows, bits.data());
    std::transform(bits.begin(), bits.end(), stored.values.begin(),
                   [&](std::uint16_t b) { return half_value(b, dtype); });
  }
  affine = {reference::matrix(stored.view()).transpose(), reference::row(bias)};
}

TestLinear::TestLinear(const KernelTable& table, Random& random, std::int64_t in, std::int64_t out, WeightType type)
    : TestLinear(table, scaled(random_matrix(random, out, in), 1 / std::sqrt(static_cast<float>(in))),
                 random.floats(out), type) {}

TestNorm::TestNorm(Random& random, std::int64_t channels) {
  std::vector<float> gamma = random.floats(channels), beta = random.floats(channels);
  for (float& g : gamma) g = 1 + 0.25f * g;
  expected = {reference::row(gamma), reference::row(beta), norm.eps};
  norm.gamma = buffer_of(gamma);
  norm.beta = buffer_of(beta);
}

TestAttention::TestAttention(const KernelTable& table, Random& random, std::int64_t channels, int heads,
                             WeightType type) {
  TestNorm norm(random, channels);
  TestLinear qkv(table, random, channels, 3 * channels, type), proj(table, random, channels, channels, type);
  weights = {std::move(norm.norm), std::move(qkv.linear), std::move(proj.linear), heads};
  expected = {norm.expected, qkv.affine, proj.affine, heads};
}

void check_fused_blocks(const KernelTable& table, WeightType first, WeightType second, std::int64_t m,
                        std::int64_t dim) {
  Random random(17);
  const TestNorm norm(random, dim);
  const TestLinear fc1(table, random, dim, 4 * dim, first), fc2(table, random, 4 * dim, dim, second);
  const bool in_bf16 = gives_bf16(table, fc1.linear) && converts_rows(fc2.linear.weight);
  const Plain input = random_matrix(random, m, dim);
  Context context(table, 2);
  Plain normed(m, dim), expected(m, dim), block = input;
  const auto feed_forward = [&](const Plain& x) {
    Plain hidden(m, 4 * dim);
    matmul(context, hidden.view(), x.view(), fc1.linear, {.gelu = true, .residual = {}});
    if (in_bf16) hidden = rounded_matrix(hidden);
    matmul(context, expected.view(), hidden.view(), fc2.linear, {.gelu = false, .residual = input.view()});
  };
  CAPTURE(table.name, name_of(first.dtype), name_of(second.dtype), m, dim, in_bf16);
  layer_norm(context, normed.view(), input.view(), norm.norm);
  feed_forward(normed);
  mlp_block(context, block.view(), norm.norm, fc1.linear, fc2.linear);
  check_same_bits(block.view(), expected.view());

  block = input;
  feed_forward(input);
  layer_norm(context, expected.view(), expected.view(), norm.norm);
  feed_forward_block(context, block.view(), fc1.linear, fc2.linear, norm.norm);
  check_same_bits(block.view(), expected.view());
}

std::uint16_t half_bits(float value, DType dtype) {
  return dtype == DType::f16 ? Eigen::half(value).x : Eigen::bfloat16(value).value;
}

float half_value(std::uint16_t bits, DType dtype) {
  return dtype == DType::f16 ? static_cast<float>(Eigen::numext::bit_cast<Eigen::half>(bits))
                             : static_cast<float>(Eigen::numext::bit_cast<Eigen::bfloat16>(bits));
}

Plain rounded_matrix(Plain matrix) {
  for (float& v : matrix.values) v = half_value(half_bits(v, DType::bf16), DType::bf16);
  return matrix;
}

Buffer<float> buffer_of(const std::vector<float>& values) {
  if (values.empty()) return {};
  Buffer<float> buffer(static_cast<std::int64_t>(values.size()));
  std::copy(values.begin(), values.end(), buffer.data());
  return buffer;
}

}  // namespace test
}  // namespace florence2
