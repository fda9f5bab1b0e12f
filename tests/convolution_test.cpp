// Patch embedding and depthwise convolution, exactly (small integers) and within the oracle's bound.
#include "kernels/convolution.hpp"

#include <catch2/catch.hpp>

#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

using reference::Matrix;

struct Shape {
  int kernel, stride, padding;
  std::int64_t in, height, width;
};

/// The layer in both forms.
struct TestPatch {
  PatchEmbedding embedding;
  reference::Convolution expected;

  TestPatch(TestLinear layer, const Shape& s)
      : embedding{std::move(layer.linear), s.kernel, s.stride, s.padding, s.in},
        expected{std::move(layer.affine), s.kernel, s.stride, s.padding} {}
};

std::vector<Shape> shapes() {
  return {{7, 4, 3, 3, 17, 21},  // the model's first layer
          {3, 2, 1, 16, 8, 10},  // its others
          {3, 2, 1, 9, 7, 5},    // odd sides
          {3, 1, 1, 4, 1, 6},    // one row
          {2, 2, 0, 5, 6, 4},    // no padding
          {1, 1, 0, 7, 3, 3}};   // a plain matrix product
}

TEST_CASE("patch_embedding is exact on integers", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const Shape s = GENERATE(from_range(shapes()));
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  CAPTURE(table.name, s.kernel, s.stride, s.padding, s.height, s.width, name_of(dtype));
  Random random(1);
  const std::int64_t out = table.nr + 3;
  const TestPatch patch(TestLinear(table, integer_matrix(random, out, s.kernel * s.kernel * s.in),
                                   integer_matrix(random, 1, out).values, dtype),
                        s);
  const Grid grid = {s.height, s.width};
  GuardedMatrix src(grid.tokens(), s.in, s.in + 1), dst(patch.embedding.output_grid(grid).tokens(), out, out + 2);
  src.fill([&] { return small_integer(random); });
  check_threads(table, dst,
                [&](Context& context) { patch_embedding(context, dst, src, grid, patch.embedding, nullptr); });
  check_equal(dst, reference::convolution(reference::matrix(src), s.height, s.width, patch.expected, nullptr).value);
  CHECK(dst.intact());
}

TEST_CASE("patch_embedding normalises its input and keeps the padding zero", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const Shape s = GENERATE(from_range(shapes()));
  CAPTURE(table.name, s.kernel, s.stride, s.padding, s.height, s.width);
  Random random(2);
  const TestPatch patch(TestLinear(table, random, s.kernel * s.kernel * s.in, 2 * table.nr), s);
  const TestNorm norm(random, s.in);
  const Grid grid = {s.height, s.width};
  GuardedMatrix src(grid.tokens(), s.in), dst(patch.embedding.output_grid(grid).tokens(), 2 * table.nr);
  src.fill([&] { return random.uniform(); });
  check_threads(table, dst,
                [&](Context& context) { patch_embedding(context, dst, src, grid, patch.embedding, &norm.norm); });
  check_close(dst, reference::convolution(reference::matrix(src), s.height, s.width, patch.expected, &norm.expected));
}

TEST_CASE("patch_embedding over several panels of patches", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(3);
  const Shape s = {3, 2, 1, 64, 40, 60};  // 600 patches of 576 inputs
  const TestPatch patch(TestLinear(table, integer_matrix(random, 20, 9 * s.in), {}, DType::f32), s);
  const Plain src = integer_matrix(random, s.height * s.width, s.in);
  GuardedMatrix dst(600, 20);
  check_threads(table, dst, [&](Context& context) {
    patch_embedding(context, dst, src.view(), {s.height, s.width}, patch.embedding, nullptr);
  });
  check_equal(dst,
              reference::convolution(reference::matrix(src.view()), s.height, s.width, patch.expected, nullptr).value);
}

struct TestDepthwise {
  Plain taps, bias;
  Depthwise depthwise;

  TestDepthwise(Plain taps_, Plain bias_)
      : taps(std::move(taps_)), bias(std::move(bias_)), depthwise{buffer_of(taps.values), buffer_of(bias.values)} {}
};

TEST_CASE("depthwise_residual is exact on integers for every number of channels", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  const Grid grid = GENERATE(Grid{1, 1}, Grid{1, 5}, Grid{4, 1}, Grid{2, 2}, Grid{5, 7});
  CAPTURE(table.name, grid.height, grid.width);
  Random random(4);
  for (std::int64_t c = 1; c <= 2 * table.nr + 1; ++c) {
    const TestDepthwise d(integer_matrix(random, 9, c), integer_matrix(random, 1, c));
    GuardedMatrix src(grid.tokens(), c), dst(grid.tokens(), c);
    src.fill([&] { return small_integer(random); });
    check_threads(table, dst, [&](Context& context) { depthwise_residual(context, dst, src, grid, d.depthwise); });
    CAPTURE(c);
    check_equal(dst, reference::depthwise_residual(reference::matrix(src), grid.height, grid.width,
                                                   reference::matrix(d.taps.view()), reference::row(d.bias.values))
                         .value);
    CHECK(dst.intact());
  }
}

TEST_CASE("depthwise_residual stays within the bound", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(5);
  const Grid grid = {9, 11};
  const std::int64_t c = 70;
  const TestDepthwise d(random_matrix(random, 9, c), random_matrix(random, 1, c));
  const Plain src = random_matrix(random, grid.tokens(), c);
  GuardedMatrix dst(grid.tokens(), c);
  check_threads(table, dst, [&](Context& context) { depthwise_residual(context, dst, src.view(), grid, d.depthwise); });
  check_close(dst, reference::depthwise_residual(reference::matrix(src.view()), grid.height, grid.width,
                                                 reference::matrix(d.taps.view()), reference::row(d.bias.values)));
}

TEST_CASE("the depthwise row kernel stays inside its rows", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(6);
  for (std::int64_t c = 1; c <= table.nr + 1; ++c) {
    const std::int64_t width = 1 + c % 4;
    GuardedMatrix above(1, width * c), at(1, width * c), below(1, width * c), taps(9, c), bias(1, c), dst(1, width * c);
    for (GuardedMatrix* m : {&above, &at, &below, &taps, &bias}) m->fill([&] { return small_integer(random); });
    const float* const rows[3] = {above.view().data, at.view().data, below.view().data};
    table.depthwise3x3_row(dst.view().data, rows, taps.view().data, bias.view().data, width, c);
    Matrix image(3 * width, c);
    for (std::int64_t i = 0; i < 3 * width * c; ++i) image(i / c, i % c) = rows[i / (width * c)][i % (width * c)];
    const Matrix expected =
        reference::depthwise_residual(image, 3, width, reference::matrix(taps), reference::matrix(bias)).value;
    CAPTURE(c, width);
    check_equal(View<const float>(dst.view().data, width, c), expected.middleRows(width, width));
    CHECK(dst.intact());
  }
}

}  // namespace
}  // namespace florence2::test
