// bf16 operands made on the fly, and attention over them, for the tables that multiply bf16 by bf16.
//
// The oracle of attention gets queries, keys and values as bf16 rounds them. What is left besides f32 arithmetic is the
// rounding of the softmax weights p before they meet v: at most 2^-8 of each, so 2^-8 sum p |v|; weights below 2^-126
// become zero. Channel attention: see there.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "kernels/attention.hpp"
#include "kernels/paired.hpp"
#include "kernels/rows.hpp"
#include "kernels/rowwise.hpp"
#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

using reference::Bounded;
using reference::Matrix;

const WeightType kPaired(DType::bf16, true);

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

/// A matrix of bf16 in guarded memory, and the same as floats; rows of either lie apart.
struct Halves {
  GuardedMatrix floats;
  GuardedBuffer<std::uint16_t> bits;
  View<const std::uint16_t> view;

  Halves(Random& random, std::int64_t rows, std::int64_t cols, std::int64_t gap)
      : floats(rows, cols, cols + 3),
        bits((rows - 1) * (cols + gap) + cols),
        view(bits.data(), rows, cols, cols + gap) {
    std::fill_n(bits.data(), bits.size(), std::uint16_t{0x7FC0});  // NaN
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < cols; ++c) {
        std::uint16_t& element = bits[r * view.stride + c];
        element = half_bits(random.uniform(), DType::bf16);
        floats.view().row(r)[c] = half_value(element, DType::bf16);
      }
    }
  }
};

TEST_CASE("activations in bf16 are packed in pairs as they are", "[kernels]") {
  Random random(55);
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t n : {1, 31, 32, 65}) {
      for (const std::int64_t k : {1, 2, 33, 64, 147}) {
        CAPTURE(table->name, n, k);
        // Rows of the transpose are read in pairs and to their end: whole depths, an even number of elements apart.
        const std::int64_t depth = paired_depth(*table, k);
        const Halves rows(random, n, depth, 2), plain(random, k, n, 3);
        GuardedBuffer<std::uint16_t> panels(paired_elements(*table, n, k)), scratch(2 * paired_depth(*table, n));
        pack_paired(*table, panels.data(), rows.view);
        const auto row_element = [&](auto i, auto j) { return rows.floats.view().row(j)[i]; };
        CHECK(wrong_elements(*table, panels, n, depth, row_element) == 0);
        pack_paired_transposed(*table, panels.data(), plain.view, scratch.data());
        const auto plain_element = [&](auto i, auto j) { return plain.floats.view().row(i)[j]; };
        CHECK(wrong_elements(*table, panels, n, k, plain_element) == 0);
        CHECK((panels.intact() && scratch.intact()));
      }
    }
  }
}

TEST_CASE("columns become rows of bf16 from floats and from bf16", "[kernels]") {
  Random random(56);
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t rows : {1, 2, 5, 31, 48, 63, 64, 147}) {
      for (const std::int64_t cols : {1, 3, 32, 40, 65}) {
        const std::int64_t stride = paired_stride(*table, rows), depth = paired_depth(*table, rows);
        const Halves source(random, rows, cols, 5);
        const auto wrong = [&](GuardedBuffer<std::uint16_t>& dst) {
          int count = 0;
          for (std::int64_t c = 0; c < cols; ++c) {
            for (std::int64_t r = 0; r < depth; ++r) {
              count += dst[c * stride + r] != (r < rows ? source.view.row(r)[c] : 0);
            }
          }
          return count;
        };
        const std::int64_t words = (rows / 2 + 2) * 2 * paired_depth(*table, cols);
        GuardedBuffer<std::uint16_t> from_floats(cols * stride), from_bits(cols * stride), scratch(words);
        round_columns(*table, from_floats.data(), source.floats, scratch.data());
        round_columns(*table, from_bits.data(), source.view, scratch.data());
        CAPTURE(table->name, rows, cols);
        CHECK(wrong(from_floats) == 0);
        CHECK(wrong(from_bits) == 0);
        CHECK((from_floats.intact() && from_bits.intact() && scratch.intact()));
      }
    }
  }
}

TEST_CASE("columns are rounded to the nearest", "[kernels]") {
  Random random(57);
  for (const KernelTable* table : tables_bf16()) {
    const std::int64_t rows = 37, cols = 21, stride = paired_stride(*table, rows);
    const Plain source = random_matrix(random, rows, cols);
    std::vector<std::uint16_t> dst(static_cast<std::size_t>(cols * stride)),
        scratch(static_cast<std::size_t>((rows / 2 + 2) * 2 * paired_depth(*table, cols)));
    round_columns(*table, dst.data(), source.view(), scratch.data());
    int wrong = 0;
    for (std::int64_t i = 0; i < rows * cols; ++i) {
      const std::int64_t r = i / cols, c = i % cols;
      wrong += dst[static_cast<std::size_t>(c * stride + r)] != half_bits(source.view().row(r)[c], DType::bf16);
    }
    CAPTURE(table->name);
    CHECK(wrong == 0);
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

TEST_CASE("attention from bf16 gives the bits of attention from its floats", "[kernels]") {
  Random random(58);
  const int heads = 3;
  for (const KernelTable* table : tables_bf16()) {
    for (const std::int64_t length : {1, 19, 32, 147}) {
      for (const std::int64_t head_dim : {32, 64}) {
        REQUIRE(paired_depth(*table, head_dim) == head_dim);
        const std::int64_t dim = heads * head_dim, m = length + 50;  // more than a tile of queries
        const Halves q(random, m, dim, 2), kv(random, length, 2 * dim, 32);
        const auto floats = [&](std::int64_t first) { return kv.floats.view().col_range(first, dim); };
        Plain expected(m, dim), cross_expected(m, dim);
        GuardedMatrix dst(m, dim, dim + 1), cross(m, dim, dim + 2);
        Context context(*table, 2);
        CAPTURE(table->name, length, head_dim);
        attention(context, expected.view(), q.floats, floats(0), floats(dim), heads, 0.3f, Arithmetic::bf16);
        attention(context, dst, q.view, kv.view.col_range(0, dim), kv.view.col_range(dim, dim), heads, 0.3f);
        check_same_bits(dst, expected.view());

        CrossCache from_floats, from_bits;
        pack_cross_cache(context, from_floats, floats(0), floats(dim), heads, Arithmetic::bf16);
        pack_cross_cache(context, from_bits, kv.view.col_range(0, dim), kv.view.col_range(dim, dim), heads);
        CHECK((from_bits.length == length && from_bits.head_dim == head_dim && from_bits.heads == heads));
        CHECK(from_bits.arithmetic == Arithmetic::bf16);
        cross_attend(context, cross_expected.view(), q.floats, from_floats, 0.3f);
        cross_attend(context, cross, q.floats, from_bits, 0.3f);
        check_same_bits(cross, cross_expected.view());
        check_same_bits(cross, expected.view());
        CHECK((dst.intact() && cross.intact()));
      }
    }
  }
}

TEST_CASE("queries and keys and values stay in bf16 only where attention is in bf16 as well", "[kernels]") {
  Random random(59);
  for (const KernelTable* table : tables_8bit()) {
    const bool given = table->results_in_bf16;
    const TestLinear bytes(*table, random, 8, 96, DType::s8), floats(*table, random, 8, 96, DType::f16);
    CAPTURE(table->name);
    CHECK(qkv_in_bf16(*table, bytes.linear, 32) == (given && table->bf16_beats_fixed));
    CHECK_FALSE(qkv_in_bf16(*table, bytes.linear, 16));  // not the whole depth of a product
    CHECK_FALSE(qkv_in_bf16(*table, floats.linear, 32));
    if (table->gemm_f32_bf16_bf16p == nullptr) continue;
    const TestLinear paired(*table, random, 8, 96, kPaired);
    CHECK(qkv_in_bf16(*table, paired.linear, 32) == given);
  }
}

TEST_CASE("window attention with paired weights equals its parts", "[kernels]") {
  Random random(54);
  for (const KernelTable* table : tables_bf16()) {
    const std::int64_t c = 64, window = 7, tokens = window * window;
    const Grid grid = {5, window};  // the window's last two rows are padding
    const int heads = 2;
    const TestAttention layer(*table, random, c, heads, kPaired);
    const AttentionWeights& weights = layer.weights;
    const Plain input = random_matrix(random, grid.tokens(), c);
    Plain block = input, normed(tokens, c), qkv(tokens, 3 * c), attended(tokens, c), projected(tokens, c);
    Context context(*table, 2);
    window_attention_block(context, block.view(), grid, static_cast<int>(window), weights);

    layer_norm(context, normed.view().row_range(0, grid.tokens()), input.view(), weights.norm);
    matmul(context, qkv.view(), normed.view(), weights.qkv);
    const float scale = 1.0f / std::sqrt(static_cast<float>(c / heads));
    attention(context, attended.view(), qkv.view().col_range(0, c), qkv.view().col_range(c, c),
              qkv.view().col_range(2 * c, c), heads, scale, Arithmetic::bf16);
    matmul(context, projected.view(), attended.view(), weights.proj);
    Plain expected = input;
    for (std::int64_t r = 0; r < grid.tokens(); ++r) table->add(expected.view().row(r), projected.view().row(r), c);
    CAPTURE(table->name);
    check_same_bits(block.view(), expected.view());
  }
}

// --- channel attention
// ----------------------------------------------------------------------------------------------------

/// `x`, each value rounded to bf16: at most 2^-8 of it, and what is below 2^-126 becomes zero.
Bounded rounded_to_bf16(Bounded x) {
  x.error += 0x1p-8 * (x.value.cwiseAbs() + x.error);
  x.error.array() += 0x1p-126;
  return x;
}

/// channel_attention_block in bf16 with paired weights for the projection. Queries, keys and values are taken as matmul
/// gives them for each row, rounded; the softmax's matrix and the mixed rows are rounded to an unknown side.
Bounded expected_channel_attention(Context& context, const Plain& x, const AttentionWeights& weights,
                                   const reference::Affine& proj) {
  const std::int64_t c = x.cols, d = c / weights.heads;
  Plain normed(x.rows, c), made(x.rows, 3 * c);
  layer_norm(context, normed.view(), x.view(), weights.norm);
  matmul(context, made.view(), normed.view(), weights.qkv);
  const Bounded qkv = reference::matrix(rounded_matrix(made).view());
  Bounded mixed = reference::matrix(x.view());
  for (std::int64_t first = 0; first < c; first += d) {
    const Bounded scores = reference::product(qkv.columns(first, d).transpose(), qkv.columns(c + first, d));
    const Bounded mix = rounded_to_bf16(reference::softmax(scores, 1 / std::sqrt(static_cast<double>(x.rows))));
    const Bounded group = reference::product(qkv.columns(2 * c + first, d), mix.transpose());
    mixed.value.middleCols(first, d) = group.value;
    mixed.error.middleCols(first, d) = group.error;
  }
  return reference::sum(reference::matrix(x.view()), reference::affine(rounded_to_bf16(mixed), proj));
}

/// Weights of the two types for groups as wide as a panel.
struct ChannelAttention {
  AttentionWeights weights;
  reference::Affine proj;

  ChannelAttention(const KernelTable& table, Random& random, int groups, WeightType qkv_type) {
    const std::int64_t c = std::int64_t{groups} * table.nr;
    TestNorm norm(random, c);
    TestLinear qkv(table, random, c, 3 * c, qkv_type), out(table, random, c, c, kPaired);
    weights = {std::move(norm.norm), std::move(qkv.linear), std::move(out.linear), groups};
    proj = out.affine;
  }
};

/// The types of weights after which the table attends to channels in bf16.
std::vector<WeightType> types_before_bf16(const KernelTable& table) {
  std::vector<WeightType> types = {kPaired};
  if (table.bf16_beats_fixed) types.push_back(DType::s8);
  return types;
}

TEST_CASE("channel attention in bf16 stays within the bound for any number of threads", "[kernels]") {
  Random random(81);
  for (const KernelTable* table : tables_bf16()) {
    for (const WeightType& type : types_before_bf16(*table)) {
      // One row panel has 192 rows at these widths; 400 rows are three panels, the last of them odd in length or not.
      for (const std::int64_t n : {1, 5, 64, 192, 193, 400, 401}) {
        const ChannelAttention block(*table, random, n == 193 ? 3 : 2, type);
        REQUIRE(arithmetic_of(*table, block.weights.qkv) == Arithmetic::bf16);
        const std::int64_t c = block.weights.proj.in();
        const Plain input = random_matrix(random, n, c);
        GuardedMatrix x(n, c, c + 2), values(n, c, c + 1);
        CAPTURE(table->name, name_of(type.dtype), n);
        check_threads(*table, x, [&](Context& context) {
          std::size_t i = 0;
          x.fill([&] { return input.values[i++]; });
          channel_attention_block(context, x, values, block.weights);
        });
        Context context(*table, 2);
        check_close(x, expected_channel_attention(context, input, block.weights, block.proj));
        CHECK((x.intact() && values.intact()));
      }
    }
  }
}

TEST_CASE("channel attention in bf16 passes a NaN on to every row", "[kernels]") {
  Random random(82);
  for (const KernelTable* table : tables_bf16()) {
    for (const WeightType& type : types_before_bf16(*table)) {
      for (const std::int64_t at : {0, 195, 249}) {
        const ChannelAttention block(*table, random, 2, type);
        const std::int64_t n = 250, c = block.weights.proj.in();
        Plain x = random_matrix(random, n, c), values(n, c);
        x.view().row(at)[c - 1] = std::numeric_limits<float>::quiet_NaN();
        Context context(*table, 2);
        channel_attention_block(context, x.view(), values.view(), block.weights);
        CAPTURE(table->name, name_of(type.dtype), at);
        // The row's queries and keys are in every sum over the rows.
        CHECK(std::all_of(x.values.begin(), x.values.end(), [](float v) { return std::isnan(v); }));
      }
    }
  }
}

}  // namespace
}  // namespace florence2::test
