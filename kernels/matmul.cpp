#include "kernels/matmul.hpp"

#include <algorithm>

#include "core/check.hpp"
#include "kernels/product.hpp"
#include "kernels/rowwise.hpp"

namespace florence2 {
namespace {

// Scratch that a row panel of a fused block may fill: most of the smallest L2 we meet (1 MiB).
constexpr std::int64_t kPanelFloats = std::int64_t{3} << 16;

void multiply(const Product& p, std::int64_t row, std::int64_t rows, std::int64_t panel_begin, std::int64_t panel_end) {
  if (p.linear.weight.dtype() == DType::s8) {
    multiply_8bit(p, row, rows, panel_begin, panel_end);
  } else if (p.linear.weight.paired()) {
    multiply_bf16(p, row, rows, panel_begin, panel_end);
  } else {
    multiply_floats(p, row, rows, panel_begin, panel_end);
  }
}

/// Rows of a fused block's panel: as many as `floats_per_row` lets fit in L2, in equal shares of whole tiles for the
/// threads.
std::int64_t panel_rows(const Context& context, std::int64_t rows, std::int64_t floats_per_row, int tile) {
  const std::int64_t fitting = std::clamp<std::int64_t>(kPanelFloats / floats_per_row, 48, 192);
  const std::int64_t parts = ceil_div(ceil_div(rows, fitting), context.threads()) * context.threads();
  return piece(rows, parts, tile);
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
  const std::int64_t blocks = ceil_div(a.rows, block_rows(linear.weight));
  const std::int64_t rows = piece(a.rows, blocks, tile_rows(table, linear.weight));
  for (std::int64_t row = 0; row < a.rows; row += rows) {
    multiply(product, row, std::min(rows, a.rows - row), 0, linear.weight.panels());
  }
}

void matmul(Context& context, View<float> dst, View<const float> a, const Linear& linear,
            const MatmulOptions& options) {
  FL_DCHECK(a.cols == linear.in() && dst.cols == linear.out() && a.rows == dst.rows);
  FL_DCHECK(linear.weight.nr() == context.table().nr);
  context.reserve(matmul_scratch(context.table(), linear.in()));
  const std::int64_t panels = linear.weight.panels();
  const int threads = context.threads();
  // Enough rows are shared out by rows, fewer by panels.
  const std::int64_t fitting = block_rows(linear.weight);
  const bool by_rows = a.rows >= threads * fitting / 2;
  const std::int64_t row_parts = ceil_div(ceil_div(a.rows, fitting), by_rows ? threads : 1) * (by_rows ? threads : 1);
  const std::int64_t rows = piece(a.rows, row_parts, tile_rows(context.table(), linear.weight));
  const std::int64_t row_blocks = ceil_div(a.rows, rows);
  const std::int64_t columns = by_rows ? panels : piece(panels, threads, 1);
  const std::int64_t column_blocks = ceil_div(panels, columns);
  context.parallel_for(row_blocks * column_blocks, [&](std::int64_t index, int thread) {
    const Product product = {context.table(), context.scratch(thread), dst, a, linear, options};
    const std::int64_t row = index / column_blocks * rows;
    const std::int64_t panel = index % column_blocks * columns;
    multiply(product, row, std::min(rows, a.rows - row), panel, std::min(panel + columns, panels));
  });
}

void mlp_block(Context& context, View<float> x, const Norm& norm, const Linear& fc1, const Linear& fc2) {
  const KernelTable& table = context.table();
  const std::int64_t dim = x.cols, hidden_dim = fc1.out();
  const std::int64_t rows = panel_rows(context, x.rows, dim + hidden_dim, tile_rows(table, fc1.weight));
  const std::int64_t normed_stride = padded_stride(dim), hidden_stride = padded_stride(hidden_dim);
  const std::int64_t product_floats = matmul_scratch(table, std::max(dim, hidden_dim));
  context.reserve(product_floats + rows * (normed_stride + hidden_stride));
  context.parallel_for(ceil_div(x.rows, rows), [&](std::int64_t index, int thread) {
    float* scratch = context.scratch(thread);
    const View<float> panel = x.row_range(index * rows, std::min(rows, x.rows - index * rows));
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
