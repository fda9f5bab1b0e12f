// The spatial block's attention: one window at a time, from layer norm to residual, while its rows lie in L2.
#include <algorithm>
#include <cmath>

#include "kernels/attention.hpp"
#include "kernels/attention_head.hpp"

namespace florence2 {
namespace {

/// Scratch of one window of t tokens and c channels.
struct WindowBuffers {
  View<float> normed;    // [t, c]; later the projected result
  View<float> qkv;       // [t, 3c]
  View<float> attended;  // [t, c]
  float* packed;         // keys and values of one head
  float* scratch;        // HeadAttention's
  float* widened;        // matmul_serial's scratch

  static std::int64_t floats(const KernelTable& table, const HeadAttention& head, std::int64_t t, std::int64_t c) {
    return t * (2 * padded_stride(c) + padded_stride(3 * c)) + head.packed_floats() + head.scratch_floats(t) +
           matmul_scratch(table, c);
  }
  WindowBuffers(const HeadAttention& head, float* memory, std::int64_t t, std::int64_t c)
      : normed(memory, t, c, padded_stride(c)),
        qkv(normed.row(t), t, 3 * c, padded_stride(3 * c)),
        attended(qkv.row(t), t, c, padded_stride(c)),
        packed(attended.row(t)),
        scratch(packed + head.packed_floats()),
        widened(scratch + head.scratch_floats(t)) {}
};

/// Calls body(row of the window, token of the map) for the window's tokens; token is -1 in the padding.
template <typename Body>
void for_each_token(Grid grid, int window, std::int64_t index, const Body& body) {
  const std::int64_t across = (grid.width + window - 1) / window;
  const std::int64_t y0 = index / across * window, x0 = index % across * window;
  for (std::int64_t y = 0; y < window; ++y) {
    for (std::int64_t x = 0; x < window; ++x) {
      const bool inside = y0 + y < grid.height && x0 + x < grid.width;
      body(y * window + x, inside ? (y0 + y) * grid.width + x0 + x : std::int64_t{-1});
    }
  }
}

}  // namespace

void window_attention_block(Context& context, View<float> x, Grid grid, int window, const AttentionWeights& weights) {
  const KernelTable& table = context.table();
  const std::int64_t c = x.cols, tokens = std::int64_t{window} * window, head_dim = c / weights.heads;
  const std::int64_t windows = ((grid.height + window - 1) / window) * ((grid.width + window - 1) / window);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const HeadAttention head(table, arithmetic_of(table, weights.qkv), tokens, head_dim);
  context.reserve(WindowBuffers::floats(table, head, tokens, c));
  context.parallel_for(windows, [&](std::int64_t index, int thread) {
    const WindowBuffers b(head, context.scratch(thread), tokens, c);
    const Norm& norm = weights.norm;
    for_each_token(grid, window, index, [&](std::int64_t row, std::int64_t token) {
      float* dst = b.normed.row(row);
      if (token < 0) {
        std::fill(dst, dst + c, 0.0f);
      } else {
        table.layer_norm(dst, x.row(token), norm.gamma.data(), norm.beta.data(), c, norm.eps);
      }
    });
    matmul_serial(table, b.widened, b.qkv, b.normed, weights.qkv);
    for (std::int64_t first = 0; first < c; first += head_dim) {
      head.pack(b.packed, b.scratch, b.qkv.col_range(c + first, head_dim), b.qkv.col_range(2 * c + first, head_dim));
      head.attend(b.attended.col_range(first, head_dim), b.qkv.col_range(first, head_dim), b.packed, b.scratch, scale);
    }
    matmul_serial(table, b.widened, b.normed, b.attended, weights.proj);
    for_each_token(grid, window, index, [&](std::int64_t row, std::int64_t token) {
      if (token >= 0) table.add(x.row(token), b.normed.row(row), c);
    });
  });
}

}  // namespace florence2
