// The spatial block's attention: one window at a time, from layer norm to residual, while its rows lie in L2.
#include <algorithm>
#include <cmath>

#include "kernels/attention.hpp"
#include "kernels/attention_head.hpp"
#include "kernels/rows.hpp"

namespace florence2 {
namespace {

/// A thread's memory for one window of t tokens and c channels. Element: of queries, keys and values.
template <typename Element>
struct WindowBuffers {
  float *spare, *scratch;
  RowConverter normed, mixed;
  View<Element> qkv;      // [t, 3c]
  View<float> attended;   // [t, c]
  View<float> projected;  // [t, c], in the same place unless `attended` itself is what is projected
  float *packed, *head;   // keys and values of one head; HeadAttention's scratch

  WindowBuffers(const KernelTable& table, const HeadAttention& attention, std::int64_t t,
                const AttentionWeights& weights, Pieces& memory)
      : spare(memory.take<float>(RowConverter::spare_floats(weights.qkv.weight))),
        scratch(memory.take<float>(multiply_rows_scratch(table))),
        normed(table, weights.qkv.weight, t, false, memory),
        mixed(converter_of<float>(table, weights.proj.weight, t, memory)) {
    const std::int64_t c = weights.proj.in(), stride = 3 * c + 32;
    qkv = {memory.take<Element>(t * stride), t, 3 * c, stride};
    attended = projected = {memory.take<float>(t * padded_stride(c)), t, c, padded_stride(c)};
    if (reads_directly<float>(weights.proj.weight)) projected.data = memory.take<float>(t * padded_stride(c));
    packed = memory.take<float>(attention.packed_floats());
    head = memory.take<float>(attention.scratch_floats(t));
  }
};

/// Calls body(first row of the window, first token of the map, tokens in the map) for each line of the window.
template <typename Body>
void for_each_line(Grid grid, int window, std::int64_t index, const Body& body) {
  const std::int64_t across = (grid.width + window - 1) / window;
  const std::int64_t y0 = index / across * window, x0 = index % across * window;
  for (std::int64_t y = 0; y < window; ++y) {
    const std::int64_t inside = y0 + y < grid.height ? std::min<std::int64_t>(window, grid.width - x0) : 0;
    body(y * window, (y0 + y) * grid.width + x0, inside);
  }
}

template <typename Element>
void attend_windows(Context& context, View<float> x, Grid grid, int window, const AttentionWeights& weights) {
  const KernelTable& table = context.table();
  const std::int64_t c = x.cols, tokens = std::int64_t{window} * window, head_dim = c / weights.heads;
  const std::int64_t windows = ((grid.height + window - 1) / window) * ((grid.width + window - 1) / window);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const HeadAttention head(table, arithmetic_of(table, weights.qkv), tokens, head_dim);
  const auto buffers_in = [&](Pieces& memory) { return WindowBuffers<Element>(table, head, tokens, weights, memory); };
  context.reserve(floats_taken(buffers_in));
  context.parallel_for(windows, [&](std::int64_t index, int thread) {
    Pieces memory(context.scratch(thread));
    const WindowBuffers<Element> b = buffers_in(memory);
    for_each_line(grid, window, index, [&](std::int64_t row, std::int64_t token, std::int64_t inside) {
      if (inside > 0) b.normed.put_normed(row, x.row_range(token, inside), weights.norm, b.spare);
      for (std::int64_t i = inside; i < window; ++i) b.normed.put_zeros(row + i, b.spare);
    });
    multiply_rows(table, b.scratch, b.qkv, b.normed.rows(tokens), weights.qkv);
    for (std::int64_t first = 0; first < c; first += head_dim) {
      head.pack(b.packed, b.head, b.qkv.col_range(c + first, head_dim), b.qkv.col_range(2 * c + first, head_dim));
      head.attend(b.attended.col_range(first, head_dim), b.qkv.col_range(first, head_dim), b.packed, b.head, scale);
    }
    const Rows attended = rows_of(b.attended, weights.proj.weight, b.mixed, nullptr);
    multiply_rows(table, b.scratch, b.projected, attended, weights.proj);
    for_each_line(grid, window, index, [&](std::int64_t row, std::int64_t token, std::int64_t inside) {
      for (std::int64_t i = 0; i < inside; ++i) table.add(x.row(token + i), b.projected.row(row + i), c);
    });
  });
}

}  // namespace

void window_attention_block(Context& context, View<float> x, Grid grid, int window, const AttentionWeights& weights) {
  if (qkv_in_bf16(context.table(), weights.qkv, x.cols / weights.heads)) {
    attend_windows<std::uint16_t>(context, x, grid, window, weights);
  } else {
    attend_windows<float>(context, x, grid, window, weights);
  }
}

}  // namespace florence2
