#include "model/davit.hpp"

#include <algorithm>
#include <utility>

#include "kernels/rowwise.hpp"

namespace florence2 {
namespace {

/// Writes the embedded map [output tokens, c] to dst; src is [grid tokens, input channels].
void embed_patches(Context& context, View<float> dst, View<const float> src, Grid grid, const DavitStage& stage) {
  patch_embedding(context, dst, src, grid, stage.embedding, stage.prenorm ? &stage.norm : nullptr);
  if (!stage.prenorm) layer_norm(context, dst, dst, stage.norm);
}

/// One spatial block on x[grid tokens, c], in place; y is scratch of the same shape.
void spatial_block(Context& context, View<float> x, View<float> y, Grid grid, int window, const DavitBlock& block) {
  depthwise_residual(context, y, x, grid, block.conv1);
  window_attention_block(context, y, grid, window, block.attention);
  depthwise_residual(context, x, y, grid, block.conv2);
  mlp_block(context, x, block.norm2, block.fc1, block.fc2);
}

/// One channel block on x[grid tokens, c], in place; y is scratch of the same shape.
void channel_block(Context& context, View<float> x, View<float> y, Grid grid, const DavitBlock& block) {
  depthwise_residual(context, y, x, grid, block.conv1);
  channel_attention_block(context, y, x, block.attention);  // x is free until it is written next
  depthwise_residual(context, x, y, grid, block.conv2);
  mlp_block(context, x, block.norm2, block.fc1, block.fc2);
}

/// Elements of the largest stage's map.
std::int64_t largest_map(const DavitWeights& weights, const VisionConfig& config, Grid grid) {
  std::int64_t largest = 0;
  for (std::size_t s = 0; s < kVisionStages; ++s) {
    grid = weights.stages[s].embedding.output_grid(grid);
    largest = std::max(largest, grid.tokens() * config.dims[s]);
  }
  return largest;
}

}  // namespace

View<const float> run_davit(Context& context, const DavitWeights& weights, const VisionConfig& config, int side,
                            View<const float> pixels, DavitBuffers& buffers,
                            const std::function<void(int, View<const float>)>& after_stage) {
  Grid grid{side, side};
  const std::int64_t largest = largest_map(weights, config, grid);
  buffers.x.ensure(largest);
  buffers.y.ensure(largest);
  float* free_map = buffers.x.data();
  float* other_map = buffers.y.data();
  View<const float> map = pixels;  // [side * side, 3], then each stage's [tokens, c]
  for (std::size_t s = 0; s < kVisionStages; ++s) {
    const DavitStage& stage = weights.stages[s];
    const Grid source = std::exchange(grid, stage.embedding.output_grid(grid));
    const View<float> x(free_map, grid.tokens(), config.dims[s]);
    const View<float> y(other_map, grid.tokens(), config.dims[s]);
    embed_patches(context, x, map, source, stage);
    for (std::size_t b = 0; b < stage.spatial.size(); ++b) {
      spatial_block(context, x, y, grid, weights.window, stage.spatial[b]);
      channel_block(context, x, y, grid, stage.channel[b]);
    }
    if (after_stage) after_stage(static_cast<int>(s), x);
    map = x;
    std::swap(free_map, other_map);
  }
  return map;
}

}  // namespace florence2
