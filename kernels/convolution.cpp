#include "kernels/convolution.hpp"

#include <algorithm>
#include <cstring>

#include "core/check.hpp"
#include "kernels/rows.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kPatchFloats = std::int64_t{1} << 17;  // of a panel of patches, half of a 1 MiB L2

/// Copies (and, if asked, normalises) the k x k patch around one output position: dst[k * k * in].
void gather_patch(const KernelTable& table, float* dst, View<const float> src, Grid grid, const PatchEmbedding& e,
                  const Norm* norm, std::int64_t out_y, std::int64_t out_x) {
  const std::int64_t channels = e.in_channels;
  for (std::int64_t ky = 0; ky < e.kernel; ++ky) {
    const std::int64_t y = out_y * e.stride - e.padding + ky;
    for (std::int64_t kx = 0; kx < e.kernel; ++kx, dst += channels) {
      const std::int64_t x = out_x * e.stride - e.padding + kx;
      if (y < 0 || y >= grid.height || x < 0 || x >= grid.width) {
        std::fill(dst, dst + channels, 0.0f);
        continue;
      }
      const float* pixel = src.row(y * grid.width + x);
      if (norm != nullptr) {
        table.layer_norm({dst, 0, pixel, 0, 1, channels, norm->gamma.data(), norm->beta.data(), norm->eps});
      } else {
        std::memcpy(dst, pixel, static_cast<std::size_t>(channels) * sizeof(float));
      }
    }
  }
}

}  // namespace

Grid PatchEmbedding::output_grid(Grid input) const {
  return {(input.height + 2 * padding - kernel) / stride + 1, (input.width + 2 * padding - kernel) / stride + 1};
}

void patch_embedding(Context& context, View<float> dst, View<const float> src, Grid grid,
                     const PatchEmbedding& embedding, const Norm* norm) {
  const KernelTable& table = context.table();
  const Grid out = embedding.output_grid(grid);
  const std::int64_t depth = embedding.proj.in();
  FL_DCHECK(dst.rows == out.tokens() && src.rows == grid.tokens());
  const std::int64_t rows = std::clamp<std::int64_t>(kPatchFloats / depth / table.mr, 4, 32) * table.mr;
  struct Buffers {
    float* scratch;
    View<float> patches;
    RowConverter converted;
    Buffers(const KernelTable& table, const PackedMatrix& weight, std::int64_t rows, Pieces& memory)
        : scratch(memory.take<float>(multiply_rows_scratch(table))),
          patches(memory.take<float>(rows * padded_stride(weight.k())), rows, weight.k(), padded_stride(weight.k())),
          converted(converter_of<float>(table, weight, rows, memory)) {}
  };
  const auto buffers_in = [&](Pieces& memory) { return Buffers(table, embedding.proj.weight, rows, memory); };
  context.reserve(floats_taken(buffers_in));
  context.parallel_for((dst.rows + rows - 1) / rows, [&](std::int64_t index, int thread) {
    Pieces memory(context.scratch(thread));
    const Buffers b = buffers_in(memory);
    const View<float> panel = dst.row_range(index * rows, std::min(rows, dst.rows - index * rows));
    for (std::int64_t r = 0; r < panel.rows; ++r) {
      const std::int64_t token = index * rows + r;
      gather_patch(table, b.patches.row(r), src, grid, embedding, norm, token / out.width, token % out.width);
    }
    const View<float> patches = b.patches.row_range(0, panel.rows);
    multiply_rows(table, b.scratch, panel, rows_of(patches, embedding.proj.weight, b.converted, nullptr),
                  embedding.proj);
  });
}

void depthwise_residual(Context& context, View<float> dst, View<const float> src, Grid grid,
                        const Depthwise& depthwise) {
  FL_DCHECK(dst.stride == dst.cols && src.stride == src.cols);
  context.parallel_for(grid.height, [&](std::int64_t y, int) {
    const auto row_of = [&](std::int64_t r) { return r < 0 || r >= grid.height ? nullptr : src.row(r * grid.width); };
    const float* const rows[3] = {row_of(y - 1), row_of(y), row_of(y + 1)};
    context.table().depthwise3x3_row(dst.row(y * grid.width), rows, depthwise.weight.data(), depthwise.bias.data(),
                                     grid.width, src.cols);
  });
}

}  // namespace florence2
