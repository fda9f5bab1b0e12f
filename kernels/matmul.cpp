#include "kernels/matmul.hpp"

#include <unistd.h>

#include <algorithm>

#include "core/check.hpp"
#include "kernels/product.hpp"
#include "kernels/rowwise.hpp"

namespace florence2 {
namespace {

/// Floats of scratch that a row panel of a fused block may fill: most of L2. One of less than 1 MiB is treated as if it
/// had that: a panel of few rows reads the weights too often.
std::int64_t panel_floats_in_l2() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const std::int64_t bytes = std::max<std::int64_t>(sysconf(_SC_LEVEL2_CACHE_SIZE), std::int64_t{1} << 20);
#else
  constexpr std::int64_t bytes = std::int64_t{1} << 20;
#endif
  return bytes / 4 * 3 / std::int64_t{sizeof(float)};
}

void multiply(const Product& p, std::int64_t row, std::int64_t rows, std::int64_t panel_begin, std::int64_t panel_end) {
  if (p.linear.weight.dtype() == DType::s8) {
    multiply_8bit(p, row, rows, panel_begin, panel_end);
  } else if (p.linear.weight.paired()) {
    multiply_bf16(p, row, rows, panel_begin, panel_end);
  } else {
    multiply_floats(p, row, rows, panel_begin, panel_end);
  }
}

/// Panels of a fused block: as few as fit in L2 with `floats_per_row`, in equal shares for the threads.
Cut row_panels(const Context& context, std::int64_t rows, std::int64_t floats_per_row, int tile) {
  const std::int64_t fitting = std::clamp<std::int64_t>(panel_floats_in_l2() / floats_per_row, 48, 192);
  return {rows, ceil_div(ceil_div(rows, fitting), context.threads()) * context.threads(), tile};
}

}  // namespace

std::int64_t matmul_scratch(const KernelTable& table, std::int64_t depth) {
  return std::max(
      {multiply_floats_scratch(table), multiply_bf16_scratch(table, depth), multiply_8bit_scratch(table, depth)});
}

void matmul_serial(const KernelTable& table, float* scratch, View<float> dst, View<const float> a, const Linear& linear,
                   const MatmulOptions& options) {
  FL_DCHECK(a.cols == linear.in() && dst.cols == linear.out() && a.rows == dst.rows);
  FL_DCHECK(linear.weight.nr() == table.nr);
  const Product product = {table, scratch, dst, a, linear, options};
  const Cut rows = {a.rows, ceil_div(a.rows, block_rows(linear.weight, options)), tile_rows(table, linear.weight)};
  for (std::int64_t i = 0; i < rows.parts; ++i) {
    multiply(product, rows.begin(i), rows.size(i), 0, linear.weight.panels());
  }
}

void matmul(Context& context, View<float> dst, View<const float> a, const Linear& linear,
            const MatmulOptions& options) {
  FL_DCHECK(a.cols == linear.in() && dst.cols == linear.out() && a.rows == dst.rows);
  FL_DCHECK(linear.weight.nr() == context.table().nr);
  context.reserve(matmul_scratch(context.table(), linear.in()));
  const std::int64_t panels = linear.weight.panels();
  const int threads = context.threads();
  // By panels, so that the threads' shares are equal and the weights are read once by all of them together; by rows
  // where each thread would have to convert all rows, if there are enough.
  const std::int64_t fitting = block_rows(linear.weight, options);
  const bool by_rows = converts_rows(linear.weight) && a.rows >= threads * fitting / 2;
  const std::int64_t row_parts = ceil_div(ceil_div(a.rows, fitting), by_rows ? threads : 1) * (by_rows ? threads : 1);
  const Cut rows = {a.rows, row_parts, tile_rows(context.table(), linear.weight)};
  const Cut columns = {panels, by_rows ? 1 : std::min<std::int64_t>(threads, panels), 1};
  context.parallel_for(rows.parts * columns.parts, [&](std::int64_t index, int thread) {
    const Product product = {context.table(), context.scratch(thread), dst, a, linear, options};
    const std::int64_t row = index / columns.parts, column = index % columns.parts;
    if (rows.size(row) == 0) return;
    multiply(product, rows.begin(row), rows.size(row), columns.begin(column), columns.begin(column + 1));
  });
}

void mlp_block(Context& context, View<float> x, const Norm& norm, const Linear& fc1, const Linear& fc2) {
  const KernelTable& table = context.table();
  const std::int64_t dim = x.cols, hidden_dim = fc1.out();
  const Cut panels = row_panels(context, x.rows, dim + hidden_dim, tile_rows(table, fc1.weight));
  const std::int64_t rows = panels.largest();
  const std::int64_t normed_stride = padded_stride(dim), hidden_stride = padded_stride(hidden_dim);
  const std::int64_t product_floats = matmul_scratch(table, std::max(dim, hidden_dim));
  context.reserve(product_floats + rows * (normed_stride + hidden_stride));
  context.parallel_for(panels.parts, [&](std::int64_t index, int thread) {
    float* scratch = context.scratch(thread);
    const View<float> panel = x.row_range(panels.begin(index), panels.size(index));
    if (panel.rows == 0) return;
    const View<float> normed(scratch + product_floats, panel.rows, dim, normed_stride);
    const View<float> hidden(normed.data + rows * normed_stride, panel.rows, hidden_dim, hidden_stride);
    for (std::int64_t r = 0; r < panel.rows; ++r) {
      table.layer_norm(normed.row(r), panel.row(r), norm.gamma.data(), norm.beta.data(), dim, norm.eps);
    }
    matmul_serial(table, scratch, hidden, normed, fc1, {.gelu = true, .residual = {}});
    matmul_serial(table, scratch, panel, hidden, fc2, {.gelu = false, .residual = panel});
  });
}

void feed_forward_block(Context& context, View<float> x, const Linear& fc1, const Linear& fc2, const Norm& norm) {
  const std::int64_t stride = padded_stride(fc1.out());
  const View<float> hidden(context.shared(x.rows * stride), x.rows, fc1.out(), stride);
  matmul(context, hidden, x, fc1, {.gelu = true, .residual = {}});
  matmul(context, x, hidden, fc2, {.gelu = false, .residual = x});
  layer_norm(context, x, x, norm);
}

}  // namespace florence2
