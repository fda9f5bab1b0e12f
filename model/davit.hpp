// The DaViT vision tower: four stages of patch embedding and pairs of window- and channel-attention blocks.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "core/buffer.hpp"
#include "kernels/attention.hpp"
#include "kernels/convolution.hpp"
#include "model/config.hpp"

namespace florence2 {

/// A spatial or channel block: x += conv1(x); attention; x += conv2(x); MLP.
struct DavitBlock {
  Depthwise conv1;
  AttentionWeights attention;  // heads or groups
  Depthwise conv2;
  Norm norm2;
  Linear fc1, fc2;
};

struct DavitStage {
  PatchEmbedding embedding;
  Norm norm;  // over the input channels when prenorm, else over the output channels
  bool prenorm = true;
  std::vector<DavitBlock> spatial, channel;  // one of each a depth
};

struct DavitWeights {
  std::array<DavitStage, kVisionStages> stages;
  int window = 12;
};

/// Activations, sized once for the model's input side.
struct DavitBuffers {
  Buffer<float> x;  // [tokens, c] of the stage at work: the residual stream
  Buffer<float> y;  // the same size: the other side of each convolution
};

/// pixels: [side * side, 3]. Returns the last stage's map [grid * grid, c], which lies in `buffers` until the next
/// call. `after_stage`, when set, sees each stage's output [tokens, c] (for tests).
View<const float> run_davit(Context& context, const DavitWeights& weights, const VisionConfig& config, int side,
                            View<const float> pixels, DavitBuffers& buffers,
                            const std::function<void(int, View<const float>)>& after_stage = {});

}  // namespace florence2
