// Matrix products with packed weights: C = A * B, with bias, GELU and residual fused.
#pragma once

#include "core/buffer.hpp"
#include "core/view.hpp"
#include "kernels/context.hpp"
#include "kernels/packing.hpp"

namespace florence2 {

/// A linear layer y = x * weight + bias; weight is the packed [in, out] form of the checkpoint's [out, in].
struct Linear {
  PackedMatrix weight;
  Buffer<float> bias;  ///< [out], or empty

  std::int64_t in() const { return weight.k(); }
  std::int64_t out() const { return weight.n(); }
};

/// A layer normalisation over `gamma.size()` channels.
struct Norm {
  Buffer<float> gamma;
  Buffer<float> beta;
  float eps = 1e-5f;
};

/// Row stride for a matrix of `cols` columns in scratch. Rows whose distance is a multiple of 4 KiB would compete for
/// the same few lines of L1 while a tile walks down several of them; one cache line more per row spreads them.
constexpr std::int64_t padded_stride(std::int64_t cols) { return cols + 16; }

struct MatmulOptions {
  bool gelu = false;
  View<const float> residual = {};  ///< [m, n], added last; it may be dst itself
  /// 8-bit weights only: quantise a row in two terms of 8 bits, which leaves about a hundredth of one term's rounding
  /// error. Twice the products, but for few rows, where memory is the limit, next to no time.
  bool two_terms = false;
};

/// dst[m, n] = gelu?(a[m, k] * linear + bias) + residual?. dst may not alias a. Bits do not depend on the number of
/// threads nor on m: one row alone gives what it gives among others.
void matmul(Context& context, View<float> dst, View<const float> a, const Linear& linear,
            const MatmulOptions& options = {});
/// The same rounded to bf16, where gives_bf16 (kernels/rows.hpp) allows it.
void matmul(Context& context, View<std::uint16_t> dst, View<const float> a, const Linear& linear,
            const MatmulOptions& options = {});

/// x[m, c] += fc2(gelu(fc1(layer_norm(x)))), row panel by row panel so that nothing leaves L2.
/// The pre-norm MLP block of the vision tower.
void mlp_block(Context& context, View<float> x, const Norm& norm, const Linear& fc1, const Linear& fc2);

/// x[m, d] = layer_norm(x + fc2(gelu(fc1(x)))): the post-norm feed-forward block of the text model.
void feed_forward_block(Context& context, View<float> x, const Linear& fc1, const Linear& fc2, const Norm& norm);

}  // namespace florence2
