// Attention in all its forms, against the oracle's formula and bound.
#include "kernels/attention.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <deque>

#include "kernels/rowwise.hpp"
#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

using reference::Bounded;
using reference::Matrix;

/// Columns [first, first + count) of a wider matrix, as the operations get them.
View<const float> columns(const GuardedMatrix& m, std::int64_t first, std::int64_t count) {
  return m.view().col_range(first, count);
}

TEST_CASE("attention", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t head_dim = GENERATE(1, 7, 32, 64);
  const std::int64_t rows = GENERATE(1, 5, 96, 97), length = GENERATE(1, 13, 144, 200);
  const int heads = 3;
  CAPTURE(table.name, head_dim, rows, length);
  Random random(1);
  const std::int64_t dim = heads * head_dim;
  GuardedMatrix q(rows, dim, dim + 5), kv(length, 2 * dim), dst(rows, dim, dim + 1);
  q.fill([&] { return 3 * random.uniform(); });
  kv.fill([&] { return random.uniform(); });
  const View<const float> k = columns(kv, 0, dim), v = columns(kv, dim, dim);
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  check_threads(table, dst, [&](Context& context) { attention(context, dst, q, k, v, heads, scale); });
  check_close(dst,
              reference::attention(reference::matrix(q), reference::matrix(k), reference::matrix(v), heads, scale));
  CHECK(dst.intact());
}

TEST_CASE("attention that looks at one key copies its value", "[kernels]") {
  // One-hot queries and keys with a large scale: the weight of the chosen key is 1, all others stay below e^-87.
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  const std::int64_t length = 37;
  GuardedMatrix q(length, length), k(length, length), v(length, length), dst(length, length);
  Random random(2);
  for (std::int64_t r = 0; r < length; ++r) {
    for (std::int64_t c = 0; c < length; ++c) {
      q.view().row(r)[c] = (r * 5) % length == c ? 1.0f : 0.0f;
      k.view().row(r)[c] = r == c ? 1.0f : 0.0f;
    }
  }
  v.fill([&] { return 9 + small_integer(random); });
  Matrix expected(length, length);
  for (std::int64_t r = 0; r < length; ++r) expected.row(r) = reference::matrix(v).row((r * 5) % length);
  Context context(table, 2);
  attention(context, dst, q, k, v, 1, 1000.0f);
  check_equal(dst, expected);
}

TEST_CASE("window_attention_block", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  // Whole windows, padding on one side, on both, and a map smaller than the window.
  const Grid grid = GENERATE(Grid{6, 9}, Grid{6, 8}, Grid{7, 9}, Grid{5, 4}, Grid{2, 2}, Grid{1, 10});
  const DType dtype = GENERATE(DType::f32, DType::f16);
  CAPTURE(table.name, grid.height, grid.width, name_of(dtype));
  Random random(3);
  const std::int64_t c = 24;
  const int window = 3;
  const TestAttention block(table, random, c, 3, dtype);
  const Plain input = random_matrix(random, grid.tokens(), c);
  GuardedMatrix x(grid.tokens(), c, c + 2);
  check_threads(table, x, [&](Context& context) {
    std::size_t i = 0;
    x.fill([&] { return input.values[i++]; });
    window_attention_block(context, x, grid, window, block.weights);
  });
  check_close(x, reference::window_attention_block(reference::matrix(input.view()), grid.height, grid.width, window,
                                                   block.expected));
  CHECK(x.intact());
}

/// Rows of `map` that make up the window at (y0, x0); zeros outside the map.
Plain window_rows(View<const float> map, Grid grid, int window, std::int64_t y0, std::int64_t x0) {
  Plain rows(std::int64_t{window} * window, map.cols);
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    const std::int64_t y = y0 + i / window, x = x0 + i % window;
    if (y < grid.height && x < grid.width) std::copy_n(map.row(y * grid.width + x), map.cols, rows.view().row(i));
  }
  return rows;
}

TEST_CASE("window_attention_block gives the bits of its operations", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(11);
  const Grid grid = {7, 10};
  const int window = 4;
  const std::int64_t c = 48;
  const TestAttention block(table, random, c, 2, DType::f16);
  Plain x = random_matrix(random, grid.tokens(), c), normed(grid.tokens(), c), expected = x;
  Context context(table, 2);
  layer_norm(context, normed.view(), x.view(), block.weights.norm);
  for (std::int64_t y0 = 0; y0 < grid.height; y0 += window) {
    for (std::int64_t x0 = 0; x0 < grid.width; x0 += window) {
      const Plain tokens = window_rows(normed.view(), grid, window, y0, x0);
      Plain qkv(tokens.rows, 3 * c), mixed(tokens.rows, c);
      Plain out = window_rows(x.view(), grid, window, y0, x0);
      matmul(context, qkv.view(), tokens.view(), block.weights.qkv);
      attention(context, mixed.view(), qkv.view().col_range(0, c), qkv.view().col_range(c, c),
                qkv.view().col_range(2 * c, c), 2, 1 / std::sqrt(24.0f));
      matmul(context, out.view(), mixed.view(), block.weights.proj, {.gelu = false, .residual = out.view()});
      for (std::int64_t i = 0; i < out.rows; ++i) {
        const std::int64_t y = y0 + i / window, at = x0 + i % window;
        if (y >= grid.height || at >= grid.width) continue;
        std::copy_n(out.view().row(i), c, expected.view().row(y * grid.width + at));
      }
    }
  }
  window_attention_block(context, x.view(), grid, window, block.weights);
  check_same_bits(x.view(), expected.view());
}

TEST_CASE("window_attention_block with the model's window", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(4);
  const Grid grid = {13, 20};
  const std::int64_t c = 64;
  const TestAttention block(table, random, c, 2);
  Plain x = random_matrix(random, grid.tokens(), c);
  const Bounded expected =
      reference::window_attention_block(reference::matrix(x.view()), grid.height, grid.width, 12, block.expected);
  Context context(table, 2);
  window_attention_block(context, x.view(), grid, 12, block.weights);
  check_close(x.view(), expected);
}

TEST_CASE("channel_attention_block", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  // One row panel has 192 rows at this width; 400 rows are three panels.
  const std::int64_t n = GENERATE(1, 5, 64, 192, 193, 400);
  const DType dtype = GENERATE(DType::f32, DType::f16);
  CAPTURE(table.name, n, name_of(dtype));
  Random random(5);
  const std::int64_t c = 40;
  const TestAttention block(table, random, c, 5, dtype);
  const Plain input = random_matrix(random, n, c);
  GuardedMatrix x(n, c, c + 2);
  GuardedMatrix values(n, c, c + 1);
  check_threads(table, x, [&](Context& context) {
    std::size_t i = 0;
    x.fill([&] { return input.values[i++]; });
    channel_attention_block(context, x, values, block.weights);
  });
  check_close(x, reference::channel_attention_block(reference::matrix(input.view()), block.expected));
  CHECK(x.intact());
  CHECK(values.intact());
}

/// q^T k as the block sums it: panel by panel of 192 rows (for at most 341 channels), each a plain product.
Plain channel_scores(Context& context, View<const float> q, View<const float> k) {
  constexpr std::int64_t kPanel = 192;
  Plain scores(q.cols, q.cols), part = scores;
  for (std::int64_t first = 0; first < q.rows; first += kPanel) {
    const std::int64_t count = std::min(kPanel, q.rows - first);
    Plain queries(q.cols, count), keys(q.cols, count);
    for (std::int64_t i = 0; i < q.cols * count; ++i) {
      queries.view().row(i / count)[i % count] = q.row(first + i % count)[i / count];
      keys.view().row(i / count)[i % count] = k.row(first + i % count)[i / count];
    }
    const TestLinear right(context.table(), keys, {}, DType::f32);
    matmul(context, part.view(), queries.view(), right.linear);
    for (std::size_t i = 0; i < part.values.size(); ++i) scores.values[i] += part.values[i];
  }
  return scores;
}

TEST_CASE("channel_attention_block gives the bits of its operations", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t n = GENERATE(3, 192, 400);
  CAPTURE(table.name, n);
  Random random(12);
  const std::int64_t c = 40, d = 20;
  const TestAttention block(table, random, c, 2, DType::bf16);
  Plain x = random_matrix(random, n, c), normed(n, c), qkv(n, 3 * c), mixed(n, c), expected(n, c);
  Context context(table, 2);
  layer_norm(context, normed.view(), x.view(), block.weights.norm);
  matmul(context, qkv.view(), normed.view(), block.weights.qkv);
  for (std::int64_t first = 0; first < c; first += d) {
    Plain scores = channel_scores(context, qkv.view().col_range(first, d), qkv.view().col_range(c + first, d));
    for (std::int64_t i = 0; i < d; ++i) table.softmax(scores.view().row(i), d, 1 / std::sqrt(static_cast<float>(n)));
    const TestLinear mix(table, scores, {}, DType::f32);
    matmul(context, mixed.view().col_range(first, d), qkv.view().col_range(2 * c + first, d), mix.linear);
  }
  matmul(context, expected.view(), mixed.view(), block.weights.proj, {.gelu = false, .residual = x.view()});
  Plain values(x.rows, x.cols);
  channel_attention_block(context, x.view(), values.view(), block.weights);
  check_same_bits(x.view(), expected.view());
}

TEST_CASE("channel_attention_block with groups of the model's width", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(6);
  const TestAttention block(table, random, 64, 2);
  Plain x = random_matrix(random, 576, 64);
  const Bounded expected = reference::channel_attention_block(reference::matrix(x.view()), block.expected);
  Plain values(x.rows, x.cols);
  Context context(table, 2);
  channel_attention_block(context, x.view(), values.view(), block.weights);
  check_close(x.view(), expected);
}

TEST_CASE("cross_attention", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t beams = GENERATE(1, 3, 8), length = GENERATE(1, 19, 150);
  const std::int64_t head_dim = GENERATE(5, 64);
  const int heads = 3;
  CAPTURE(table.name, beams, length, head_dim);
  Random random(7);
  const std::int64_t dim = heads * head_dim;
  GuardedMatrix q(beams, dim, dim + 4), kv(length, 2 * dim), dst(beams, dim, dim + 3);
  q.fill([&] { return random.uniform(); });
  kv.fill([&] { return random.uniform(); });
  const View<const float> k = columns(kv, 0, dim), v = columns(kv, dim, dim);
  CrossCache cache;
  check_threads(table, dst, [&](Context& context) {
    pack_cross_cache(context, cache, k, v, heads);
    cross_attend(context, dst, q, cache, 0.3f);
  });
  CHECK((cache.length == length && cache.head_dim == head_dim && cache.heads == heads));
  check_close(dst, reference::attention(reference::matrix(q), reference::matrix(k), reference::matrix(v), heads, 0.3f));
  CHECK(dst.intact());
}

TEST_CASE("a cross cache can be packed again for another prompt", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(8);
  CrossCache cache;
  Context context(table, 2);
  for (const std::int64_t length : {40, 9, 70}) {
    const Plain q = random_matrix(random, 2, 32), k = random_matrix(random, length, 32),
                v = random_matrix(random, length, 32);
    pack_cross_cache(context, cache, k.view(), v.view(), 2);
    Plain dst(2, 32);
    cross_attend(context, dst.view(), q.view(), cache, 0.25f);
    check_close(dst.view(), reference::attention(reference::matrix(q.view()), reference::matrix(k.view()),
                                                 reference::matrix(v.view()), 2, 0.25f));
  }
}

/// One request of a decode step: queries, a cache, and rows of it in any order.
struct DecodeRequest {
  GuardedMatrix q, keys, values, dst;
  std::int64_t steps;
  std::vector<std::int32_t> rows;

  DecodeRequest(Random& random, std::int64_t beams, std::int64_t steps_, std::int64_t dim)
      : q(beams, dim, dim + 2),
        keys(steps_ * beams, dim),
        values(steps_ * beams, dim, dim + 3),
        dst(beams, dim, dim + 1),
        steps(steps_),
        rows(static_cast<std::size_t>(beams * (steps_ + 4))) {
    for (GuardedMatrix* m : {&q, &keys, &values}) m->fill([&] { return random.uniform(); });
    for (std::int32_t& row : rows) {
      row = static_cast<std::int32_t>(random.bits() % static_cast<std::uint64_t>(steps * beams));
    }
  }
  View<const std::int32_t> row_view() const { return {rows.data(), q.view().rows, steps, steps + 4}; }
  operator DecodeAttention() const { return {dst, q, keys, values, row_view()}; }
};

TEST_CASE("decode_attention follows the beams through the cache", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const std::int64_t beams = GENERATE(1, 3, 5), steps = GENERATE(1, 2, 33);
  const std::int64_t head_dim = GENERATE(3, 64);
  const int heads = 2;
  CAPTURE(table.name, beams, steps, head_dim);
  Random random(9);
  const DecodeRequest request(random, beams, steps, heads * head_dim);
  const DecodeAttention arguments = request;
  check_threads(table, request.dst, [&](Context& context) { decode_attention(context, {&arguments, 1}, heads, 0.4f); });
  check_close(request.dst,
              reference::decode_attention(reference::matrix(request.q), reference::matrix(request.keys),
                                          reference::matrix(request.values), request.row_view(), heads, 0.4f));
  CHECK(request.dst.intact());
}

TEST_CASE("requests of a decode step get together what each gets alone", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(11);
  const int heads = 4;
  const std::int64_t dim = 32;
  std::deque<DecodeRequest> requests;  // they do not move
  std::vector<CrossCache> caches(3);
  std::vector<DecodeAttention> own;
  std::vector<CrossAttention> cross;
  Context context(table, 2);
  for (const std::int64_t i : {0, 1, 2}) requests.emplace_back(random, 1 + i, 7 + 9 * i, dim);
  std::vector<Plain> cross_dst;
  for (const DecodeRequest& request : requests) cross_dst.emplace_back(request.q.view().rows, dim);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    pack_cross_cache(context, caches[i], requests[i].keys, requests[i].values, heads);
    own.push_back(requests[i]);
    cross.push_back({cross_dst[i].view(), requests[i].q, &caches[i]});
  }
  decode_attention(context, own, heads, 0.3f);
  cross_attention(context, cross, 0.3f);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Plain alone(requests[i].q.view().rows, dim);
    own[i].dst = cross[i].dst = alone.view();
    decode_attention(context, {&own[i], 1}, heads, 0.3f);
    check_same_bits(requests[i].dst, alone.view());
    cross_attention(context, {&cross[i], 1}, 0.3f);
    check_same_bits(cross_dst[i].view(), alone.view());
  }
}

TEST_CASE("attention: one query alone gives what it gives among others", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(10);
  const Plain q = random_matrix(random, 120, 32), k = random_matrix(random, 50, 32), v = random_matrix(random, 50, 32);
  Plain all(120, 32), one(1, 32), cross_all(5, 32);
  Context context(table, 2);
  attention(context, all.view(), q.view(), k.view(), v.view(), 2, 0.25f);
  for (const std::int64_t r : {0, 95, 96, 119}) {
    attention(context, one.view(), q.view().row_range(r, 1), k.view(), v.view(), 2, 0.25f);
    check_same_bits(one.view(), all.view().row_range(r, 1));
  }
  CrossCache cache;
  pack_cross_cache(context, cache, k.view(), v.view(), 2);
  cross_attend(context, cross_all.view(), q.view().row_range(0, 5), cache, 0.25f);
  check_same_bits(cross_all.view(), all.view().row_range(0, 5));
}

}  // namespace
}  // namespace florence2::test
