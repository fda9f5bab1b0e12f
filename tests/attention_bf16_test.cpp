// bf16 operands made on the fly, and attention over them, for the tables that multiply bf16 by bf16.
//
// The oracle of attention gets queries, keys and values as bf16 rounds them. What is left besides f32 arithmetic is the
// rounding of the softmax weights p before they meet v: at most 2^-8 of each, so 2^-8 sum p |v|; weights below 2^-126
// become zero.
#include <catch2/catch.hpp>
#include <cmath>

#include "kernels/attention.hpp"
#include "kernels/paired.hpp"
#include "kernels/rowwise.hpp"
#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

using reference::Bounded;
using reference::Matrix;

const WeightType kPaired(DType::bf16, true);

Plain rounded_matrix(Plain matrix) {
  for (float& v : matrix.values) v = half_value(half_bits(v, DType::bf16), DType::bf16);
  return matrix;
}

/// Elements of `panels` that are not B's, b(k, n) = the float there; all beyond [k, n] must be zero.
template <typename Element>
int wrong_elements(const KernelTable& table, GuardedBuffer<std::uint16_t>& panels, std::int64_t n, std::int64_t k,
                   const Element& b) {
  const std::int64_t depth = paired_depth(table, k);
  int wrong = 0;
  for (std::int64_t i = 0; i < panels.size(); ++i) {
    const std::int64_t in_panel = i % (table.nr * depth);
    const std::int64_t row = in_panel / (2 * table.nr) * 2 + i % 2;
    const std::int64_t column = i / (table.nr * depth) * table.nr + in_panel % (2 * table.nr) / 2;
    wrong += panels[i] != (row < k && column < n ? half_bits(b(row, column), DType::bf16) : 0);
  }
  return wrong;
}

TEST_CASE("activations are packed in pairs from rows of B and of its transpose", "[kernels]") {
  Random random(51);
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t n : {1, 31, 32, 65}) {
      for (const std::int64_t k : {1, 2, 33, 64, 147}) {
        CAPTURE(table->name, n, k);
        const std::int64_t rows =
            std::max<std::int64_t>(table->nr * paired_depth(*table, k), 2 * paired_depth(*table, n));
        GuardedBuffer<std::uint16_t> panels(paired_elements(*table, n, k)), scratch(rows);
        const Plain transposed = random_matrix(random, n, k), plain = random_matrix(random, k, n);
        pack_paired(*table, panels.data(), transposed.view(), scratch.data());
        CHECK(wrong_elements(*table, panels, n, k, [&](auto i, auto j) { return transposed.view().row(j)[i]; }) == 0);
        pack_paired_transposed(*table, panels.data(), plain.view(), scratch.data());
        CHECK(wrong_elements(*table, panels, n, k, [&](auto i, auto j) { return plain.view().row(i)[j]; }) == 0);
        CHECK((panels.intact() && scratch.intact()));
      }
    }
  }
}

TEST_CASE("products of activations in bf16 are exact", "[kernels]") {
  Random random(52);
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t m : {1, 16, 96}) {
      for (const std::int64_t n : {1, 32, 70}) {
        const std::int64_t k = m + n;
        const Plain a = integer_matrix(random, m, k), b = integer_matrix(random, k, n);
        GuardedBuffer<std::uint16_t> rows((m - 1) * paired_stride(*table, k) + paired_depth(*table, k));
        GuardedBuffer<std::uint16_t> panels(paired_elements(*table, n, k)), scratch(2 * paired_depth(*table, n));
        GuardedMatrix dst(m, n, n + 1);
        round_rows(*table, rows.data(), a.view());
        pack_paired_transposed(*table, panels.data(), b.view(), scratch.data());
        multiply_paired(*table, dst, {rows.data(), m, k, paired_stride(*table, k)}, panels.data());
        CAPTURE(table->name, m, n, k);
        check_equal(dst, reference::matrix(a.view()) * reference::matrix(b.view()));
        CHECK((dst.intact() && rows.intact()));
      }
    }
  }
}

TEST_CASE("attention in bf16 stays within the bound, for any number of threads", "[kernels]") {
  Random random(53);
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t length : {1, 33, 100, 144}) {
      const std::int64_t head_dim = length == 33 ? 20 : 32, width = 2 * head_dim, m = length + 3;
      const Plain q = random_matrix(random, m, width), k = random_matrix(random, length, width),
                  v = random_matrix(random, length, width);
      const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
      GuardedMatrix dst(m, width, width + 2);
      CAPTURE(table->name, length, head_dim);
      check_threads(*table, dst, [&](Context& context) {
        attention(context, dst, q.view(), k.view(), v.view(), 2, scale, Arithmetic::bf16);
      });
      const Matrix queries = reference::matrix(rounded_matrix(q).view()),
                   keys = reference::matrix(rounded_matrix(k).view()),
                   values = reference::matrix(rounded_matrix(v).view());
      const Matrix magnitudes = values.cwiseAbs();
      Bounded expected = reference::attention(queries, keys, values, 2, static_cast<double>(scale));
      const Bounded mixed = reference::attention(queries, keys, magnitudes, 2, static_cast<double>(scale));
      expected.error += 0x1p-8 * (mixed.value + mixed.error);
      expected.error.array() += static_cast<double>(length) * 0x1p-126;
      check_close(dst, expected);
    }
  }
}

TEST_CASE("window attention with paired weights equals its parts", "[kernels]") {
  Random random(54);
  for (const KernelTable* table : tables_bf16()) {
    const std::int64_t c = 64, window = 7, tokens = window * window;
    const int heads = 2;
    const TestAttention layer(*table, random, c, heads, kPaired);
    const AttentionWeights& weights = layer.weights;
    const Plain input = random_matrix(random, tokens, c);
    Plain block = input, normed(tokens, c), qkv(tokens, 3 * c), attended(tokens, c), projected(tokens, c);
    Context context(*table, 2);
    window_attention_block(context, block.view(), {window, window}, static_cast<int>(window), weights);

    layer_norm(context, normed.view(), input.view(), weights.norm);
    matmul(context, qkv.view(), normed.view(), weights.qkv);
    const float scale = 1.0f / std::sqrt(static_cast<float>(c / heads));
    attention(context, attended.view(), qkv.view().col_range(0, c), qkv.view().col_range(c, c),
              qkv.view().col_range(2 * c, c), heads, scale, Arithmetic::bf16);
    matmul(context, projected.view(), attended.view(), weights.proj);
    Plain expected = input;
    for (std::int64_t r = 0; r < tokens; ++r) table->add(expected.view().row(r), projected.view().row(r), c);
    CAPTURE(table->name);
    check_same_bits(block.view(), expected.view());
  }
}

}  // namespace
}  // namespace florence2::test
