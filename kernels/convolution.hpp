// The two convolutions of the vision tower, channels last.
#pragma once

#include "kernels/attention.hpp"
#include "kernels/context.hpp"
#include "kernels/matmul.hpp"

namespace florence2 {

/// A convolution as a matrix product over patches. weight: [k * k * in] -> [out], its inputs ordered (ky, kx, in).
struct PatchEmbedding {
  Linear proj;
  int kernel = 1;
  int stride = 1;
  int padding = 0;
  std::int64_t in_channels = 0;

  /// floor((in + 2 * padding - kernel) / stride) + 1 on each axis.
  Grid output_grid(Grid input) const;
};

/// dst[output tokens, out] = convolution of src [grid tokens, in] with zero padding. `norm`, when given, normalises the
/// input channels before (its zero padding stays zero).
void patch_embedding(Context& context, View<float> dst, View<const float> src, Grid grid,
                     const PatchEmbedding& embedding, const Norm* norm);

struct Depthwise {
  Buffer<float> weight;  ///< [9][c], taps row-major
  Buffer<float> bias;    ///< [c]
};

/// dst = src + depthwise 3x3 convolution of src + bias; zero padding 1. dst must not alias src. Both [grid tokens, c].
void depthwise_residual(Context& context, View<float> dst, View<const float> src, Grid grid,
                        const Depthwise& depthwise);

}  // namespace florence2
