// From the vision tower's map to image tokens in the text model's space (specification, section 4).
#pragma once

#include "core/buffer.hpp"
#include "kernels/attention.hpp"
#include "kernels/matmul.hpp"

namespace florence2 {

struct ProjectorWeights {
  Buffer<float> column_embeddings;  // [max_positions, cv / 2]: added to the first half of the channels
  Buffer<float> row_embeddings;     // [max_positions, cv - cv / 2]
  Linear projection;                // [cv] -> [d], no bias
  Norm norm;                        // [d]
};

struct ProjectorBuffers {
  Buffer<float> features;  // [1 + tokens, cv]: the pooled token, then the map with its embeddings
};

/// dst[1 + tokens, d] = norm(projection([mean; map])) with 2-D position and temporal embedding added to the map first.
void run_projector(Context& context, View<float> dst, View<const float> map, Grid grid, const ProjectorWeights& weights,
                   ProjectorBuffers& buffers);

}  // namespace florence2
