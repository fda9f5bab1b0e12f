#include "model/projector.hpp"

#include <algorithm>
#include <array>

#include "kernels/rowwise.hpp"

namespace florence2 {
namespace {

/// dst[c] = src[c] + position (column half first) + row 0 of the temporal table, which is sin 0 = 0 on even and
/// cos 0 = 1 on odd channels.
void add_embeddings(float* dst, const float* src, const float* column, const float* row, std::int64_t channels) {
  const std::int64_t half = channels / 2;
  for (std::int64_t c = 0; c < half; ++c) dst[c] = src[c] + column[c];
  for (std::int64_t c = half; c < channels; ++c) dst[c] = src[c] + row[c - half];
  for (std::int64_t c = 1; c < channels; c += 2) dst[c] += 1.0f;
}

/// dst[c] = mean over the rows of src[tokens, c], summed in f64.
void mean_of_rows(float* dst, View<const float> src) {
  constexpr std::int64_t kBlock = 64;
  for (std::int64_t first = 0; first < src.cols; first += kBlock) {
    const std::int64_t count = std::min(kBlock, src.cols - first);
    std::array<double, kBlock> sum{};
    for (std::int64_t r = 0; r < src.rows; ++r) {
      const float* row = src.row(r) + first;
      for (std::int64_t c = 0; c < count; ++c) sum[static_cast<std::size_t>(c)] += row[c];
    }
    for (std::int64_t c = 0; c < count; ++c) {
      dst[first + c] = static_cast<float>(sum[static_cast<std::size_t>(c)] / static_cast<double>(src.rows));
    }
  }
}

}  // namespace

void run_projector(Context& context, View<float> dst, View<const float> map, Grid grid, const ProjectorWeights& weights,
                   ProjectorBuffers& buffers) {
  const std::int64_t channels = map.cols;
  const std::int64_t half = channels / 2;
  buffers.features.ensure((1 + map.rows) * channels);
  const View<float> features(buffers.features.data(), 1 + map.rows, channels);
  for (std::int64_t y = 0; y < grid.height; ++y) {
    const float* row = weights.row_embeddings.data() + y * (channels - half);
    for (std::int64_t x = 0; x < grid.width; ++x) {
      const std::int64_t token = y * grid.width + x;
      const float* column = weights.column_embeddings.data() + x * half;
      add_embeddings(features.row(1 + token), map.row(token), column, row, channels);
    }
  }
  mean_of_rows(features.row(0), features.row_range(1, map.rows));
  matmul(context, dst, features, weights.projection);
  layer_norm(context, dst, dst, weights.norm);
}

}  // namespace florence2
