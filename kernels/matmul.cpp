#include "kernels/matmul.hpp"

#include <unistd.h>

#include <algorithm>
#include <type_traits>

#include "core/check.hpp"
#include "kernels/product.hpp"
#include "kernels/rowwise.hpp"

namespace florence2 {
namespace {

void multiply(const Product& p, const Share& share) {
  if (p.linear.weight.dtype() == DType::s8) {
    multiply_8bit(p, share);
  } else if (p.linear.weight.paired()) {
    multiply_bf16(p, share);
  } else {
    multiply_floats(p, share);
  }
}

/// The rows of `a` are converted and multiplied part by part: what a thread makes it reads itself, and again in the
/// next product, so that little passes from core to core.
template <typename Element>
void multiply_by_rows(Context& context, const Results& dst, View<const Element> a, const Linear& linear,
                      const MatmulOptions& options, const Cut& parts) {
  const auto converter_in = [&](Pieces& memory) {
    return RowConverter(context.table(), linear.weight, a.rows, options.two_terms, memory);
  };
  Pieces memory(context.converted(floats_taken(converter_in)));
  const RowConverter converter = converter_in(memory);
  const Rows rows = converter.rows(a.rows);
  context.reserve(RowConverter::spare_floats(linear.weight));
  context.parallel_for(parts.parts, [&](std::int64_t part, int thread) {
    const Share share = {parts.begin(part), parts.size(part), 0, linear.weight.panels()};
    converter.put(share.row, a.row_range(share.row, share.rows), context.scratch(thread));
    if (share.rows > 0) multiply({context.table(), nullptr, dst, rows, linear, options}, share);
  });
}

/// By panels, so that the threads' shares are equal and the weights are read once by all of them together.
void multiply_by_panels(Context& context, const Results& dst, const Rows& a, const Linear& linear,
                        const MatmulOptions& options, const Cut& rows) {
  context.reserve(multiply_rows_scratch(context.table()));
  const std::int64_t panels = linear.weight.panels();
  const Cut columns = {panels, std::min<std::int64_t>(context.threads(), panels), 1};
  context.parallel_for(rows.parts * columns.parts, [&](std::int64_t index, int thread) {
    const std::int64_t row = index / columns.parts, column = index % columns.parts;
    multiply({context.table(), context.scratch(thread), dst, a, linear, options},
             {rows.begin(row), rows.size(row), columns.begin(column), columns.begin(column + 1)});
  });
}

template <typename Element>
void matmul_of(Context& context, const Results& dst, View<const Element> a, const Linear& linear,
               const MatmulOptions& options) {
  FL_DCHECK(a.cols == linear.in() && dst.cols() == linear.out() && a.rows == dst.rows());
  FL_DCHECK(dst.floats.data != nullptr || (gives_bf16(context.table(), linear) && options.residual.data == nullptr));
  FL_DCHECK(linear.weight.nr() == context.table().nr);
  const PackedMatrix& weight = linear.weight;
  const std::int64_t fitting = block_rows(weight, options), blocks = ceil_div(a.rows, fitting);
  const Cut rows = {a.rows, blocks, tile_rows(context.table(), weight)};
  if (reads_directly<Element>(weight)) return multiply_by_panels(context, dst, Rows::of(a), linear, options, rows);
  const int threads = context.threads();
  if (a.rows >= threads * fitting / 2) {
    const Cut parts = {a.rows, ceil_div(blocks, threads) * threads, rows.unit};
    return multiply_by_rows(context, dst, a, linear, options, parts);
  }
  const auto converter_in = [&](Pieces& memory) {
    return RowConverter(context.table(), weight, a.rows, options.two_terms, memory);
  };
  Pieces memory(context.converted(floats_taken(converter_in) + RowConverter::spare_floats(weight)));
  const RowConverter converter = converter_in(memory);
  float* const spare = memory.take<float>(RowConverter::spare_floats(weight));
  multiply_by_panels(context, dst, rows_of(a, weight, converter, spare), linear, options, rows);
}

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

/// Panels of a fused block: as few as fit in L2 with `floats_per_row`, in equal shares for the threads.
Cut row_panels(const Context& context, std::int64_t rows, std::int64_t floats_per_row, int tile) {
  const std::int64_t fitting = std::clamp<std::int64_t>(panel_floats_in_l2() / floats_per_row, 48, 192);
  return {rows, ceil_div(ceil_div(rows, fitting), context.threads()) * context.threads(), tile};
}

/// A thread's memory for one panel of mlp_block.
template <typename Hidden>
struct PanelBuffers {
  float *spare, *scratch;
  RowConverter normed, activated;
  View<Hidden> hidden;

  PanelBuffers(const KernelTable& table, std::int64_t rows, const Linear& fc1, const Linear& fc2, Pieces& memory)
      : spare(memory.take<float>(RowConverter::spare_floats(fc1.weight))),
        scratch(memory.take<float>(multiply_rows_scratch(table))),
        normed(table, fc1.weight, rows, false, memory),
        activated(converter_of<Hidden>(table, fc2.weight, rows, memory)),
        hidden(memory.take<Hidden>(rows * (fc1.out() + 32)), rows, fc1.out(), fc1.out() + 32) {}
};

template <typename Hidden>
void mlp_block_with(Context& context, View<float> x, const Norm& norm, const Linear& fc1, const Linear& fc2) {
  const KernelTable& table = context.table();
  const std::int64_t hidden_floats = fc1.out() * static_cast<std::int64_t>(sizeof(Hidden)) / 4;
  const Cut panels = row_panels(context, x.rows, x.cols + hidden_floats, tile_rows(table, fc1.weight));
  const auto buffers_in = [&](Pieces& memory) {
    return PanelBuffers<Hidden>(table, panels.largest(), fc1, fc2, memory);
  };
  context.reserve(floats_taken(buffers_in));
  context.parallel_for(panels.parts, [&](std::int64_t index, int thread) {
    const std::int64_t rows = panels.size(index);
    const View<float> panel = x.row_range(panels.begin(index), rows);
    if (rows == 0) return;
    Pieces memory(context.scratch(thread));
    const PanelBuffers<Hidden> b = buffers_in(memory);
    b.normed.put_normed(0, panel, norm, b.spare);
    const View<Hidden> hidden = b.hidden.row_range(0, rows);
    multiply_rows(table, b.scratch, hidden, b.normed.rows(rows), fc1, {.gelu = true});
    multiply_rows(table, b.scratch, panel, rows_of(hidden, fc2.weight, b.activated, nullptr), fc2, {.residual = panel});
  });
}

template <typename Hidden>
void feed_forward_with(Context& context, View<float> x, const Linear& fc1, const Linear& fc2) {
  const std::int64_t stride = fc1.out() + 32, bytes = x.rows * stride * static_cast<std::int64_t>(sizeof(Hidden));
  auto* const memory = reinterpret_cast<Hidden*>(context.shared(ceil_div(bytes, std::int64_t{sizeof(float)})));
  const View<Hidden> hidden(memory, x.rows, fc1.out(), stride);
  matmul(context, hidden, x, fc1, {.gelu = true});
  matmul_of(context, x, View<const Hidden>(hidden), fc2, {.residual = x});
}

/// Whether what lies between the two layers may be bf16.
bool hidden_in_bf16(const KernelTable& table, const Linear& fc1, const Linear& fc2) {
  return gives_bf16(table, fc1) && converts_rows(fc2.weight);
}

}  // namespace

void multiply_rows(const KernelTable& table, float* scratch, const Results& dst, const Rows& a, const Linear& linear,
                   const MatmulOptions& options) {
  FL_DCHECK(dst.cols() == linear.out() && a.count == dst.rows());
  FL_DCHECK(linear.weight.nr() == table.nr);
  const Cut rows = {a.count, ceil_div(a.count, block_rows(linear.weight, options)), tile_rows(table, linear.weight)};
  for (std::int64_t i = 0; i < rows.parts; ++i) {
    multiply({table, scratch, dst, a, linear, options}, {rows.begin(i), rows.size(i), 0, linear.weight.panels()});
  }
}

void matmul(Context& context, View<float> dst, View<const float> a, const Linear& linear,
            const MatmulOptions& options) {
  matmul_of(context, dst, a, linear, options);
}

void matmul(Context& context, View<std::uint16_t> dst, View<const float> a, const Linear& linear,
            const MatmulOptions& options) {
  matmul_of(context, dst, a, linear, options);
}

void mlp_block(Context& context, View<float> x, const Norm& norm, const Linear& fc1, const Linear& fc2) {
  if (hidden_in_bf16(context.table(), fc1, fc2)) {
    mlp_block_with<std::uint16_t>(context, x, norm, fc1, fc2);
  } else {
    mlp_block_with<float>(context, x, norm, fc1, fc2);
  }
}

void feed_forward_block(Context& context, View<float> x, const Linear& fc1, const Linear& fc2, const Norm& norm) {
  if (hidden_in_bf16(context.table(), fc1, fc2)) {
    feed_forward_with<std::uint16_t>(context, x, fc1, fc2);
  } else {
    feed_forward_with<float>(context, x, fc1, fc2);
  }
  layer_norm(context, x, x, norm);
}

}  // namespace florence2
