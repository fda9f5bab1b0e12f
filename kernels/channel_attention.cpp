// The channel block's attention in two passes over row panels: the first makes q, k and v and adds up q^T k, the second
// mixes the channels of v and projects. q and k never leave the cache.
#include <algorithm>
#include <cmath>

#include "kernels/attention.hpp"
#include "kernels/attention_head.hpp"
#include "kernels/paired.hpp"
#include "kernels/panels.hpp"
#include "kernels/rows.hpp"

namespace florence2 {
namespace {

/// Rows of a panel. They depend on the channels alone: each panel has a partial sum of its own, and the order in which
/// these are added must not depend on the threads.
std::int64_t panel_rows(std::int64_t c) { return std::clamp<std::int64_t>((std::int64_t{1} << 16) / c, 48, 192); }

struct Sizes {
  std::int64_t n, c, groups, width;  // width: channels of a group
  std::int64_t rows, panels;

  Sizes(View<const float> x, int groups_)
      : n(x.rows), c(x.cols), groups(groups_), width(c / groups_), rows(panel_rows(c)), panels((n + rows - 1) / rows) {}
  std::int64_t count(std::int64_t panel) const { return std::min(rows, n - panel * rows); }
};

/// Each kind of arithmetic: Scratch, with room for one panel; add_up, partial[groups * width, width] = q^T k of a
/// panel's rows; keep, which puts v into `values` as mix reads it; Mixer, the groups' matrices, packed; and mix.
struct InF32 {
  struct Scratch {
    float *queries, *keys;
    Scratch(const KernelTable& table, const Sizes& s, Pieces& memory)
        : queries(memory.take<float>(s.c * s.rows)),  // [c, rows], one wide panel
          keys(memory.take<float>(panel_floats(table.nr, s.width, s.rows))) {}
  };
  static void add_up(const KernelTable& table, const Sizes& s, View<float> partial, View<const float> q,
                     View<const float> k, const Scratch& scratch) {
    pack_panels(scratch.queries, q, static_cast<int>(q.rows));
    for (std::int64_t g = 0; g < s.groups; ++g) {
      pack_panels_transposed(scratch.keys, k.col_range(g * s.width, s.width), table.nr);
      multiply_panels(table, partial.row_range(g * s.width, s.width),
                      View<const float>(scratch.queries + g * s.width * q.rows, s.width, q.rows), scratch.keys);
    }
  }
  static void keep(const KernelTable&, View<float> values, View<const float> v) {
    for (std::int64_t r = 0; r < v.rows; ++r) std::copy_n(v.row(r), v.cols, values.row(r));
  }
  struct Mixer {
    float* panels;
    std::int64_t group;
    Mixer(const KernelTable& table, const Sizes& s, Pieces& memory) : group(panel_floats(table.nr, s.width, s.width)) {
      panels = memory.take<float>(s.groups * group);
    }
    void pack(const KernelTable& table, std::int64_t g, View<const float> matrix, const Scratch&) const {
      pack_panels(panels + g * group, matrix, table.nr);
    }
  };
  static void mix(const KernelTable& table, const Sizes& s, View<float> mixed, View<const float> values,
                  const Mixer& mixer) {
    for (std::int64_t g = 0; g < s.groups; ++g) {
      multiply_panels(table, mixed.col_range(g * s.width, s.width), values.col_range(g * s.width, s.width),
                      mixer.panels + g * mixer.group);
    }
  }
};

/// A group is a panel wide.
struct InBf16 {
  struct Scratch {
    std::uint16_t *queries, *keys, *rows;
    Scratch(const KernelTable& table, const Sizes& s, Pieces& memory)
        : queries(memory.take<std::uint16_t>(s.c * paired_stride(table, s.rows))),
          keys(memory.take<std::uint16_t>(paired_elements(table, s.c, s.rows))),
          rows(memory.take<std::uint16_t>((s.rows / 2 + 2) * 2 * paired_depth(table, s.c))) {}
  };
  template <typename Element>
  static void add_up(const KernelTable& table, const Sizes& s, View<float> partial, View<Element> q, View<Element> k,
                     const Scratch& scratch) {
    const std::int64_t stride = paired_stride(table, q.rows), panel = paired_elements(table, s.width, q.rows);
    round_columns(table, scratch.queries, View<const Element>(q), scratch.rows);
    pack_paired_transposed(table, scratch.keys, View<const Element>(k), scratch.rows);
    for (std::int64_t g = 0; g < s.groups; ++g) {
      multiply_paired(table, partial.row_range(g * s.width, s.width),
                      {scratch.queries + g * s.width * stride, s.width, q.rows, stride}, scratch.keys + g * panel);
    }
  }
  static View<std::uint16_t> halves(View<float> values) {
    return {reinterpret_cast<std::uint16_t*>(values.data), values.rows, values.cols, 2 * values.stride};
  }
  static void keep(const KernelTable& table, View<float> values, View<const float> v) {
    for (std::int64_t r = 0; r < v.rows; ++r) table.round_row(halves(values).row(r), v.row(r), v.cols);
  }
  static void keep(const KernelTable&, View<float> values, View<const std::uint16_t> v) {
    for (std::int64_t r = 0; r < v.rows; ++r) std::copy_n(v.row(r), v.cols, halves(values).row(r));
  }
  struct Mixer {
    std::uint16_t* panels;
    std::int64_t group;
    Mixer(const KernelTable& table, const Sizes& s, Pieces& memory) : group(paired_elements(table, s.width, s.width)) {
      panels = memory.take<std::uint16_t>(s.groups * group);
    }
    void pack(const KernelTable& table, std::int64_t g, View<const float> matrix, const Scratch& scratch) const {
      pack_paired(table, panels + g * group, matrix, scratch.rows);
    }
  };
  static void mix(const KernelTable& table, const Sizes& s, View<float> mixed, View<float> values, const Mixer& mixer) {
    for (std::int64_t g = 0; g < s.groups; ++g) {
      multiply_paired(table, mixed.col_range(g * s.width, s.width), halves(values).col_range(g * s.width, s.width),
                      mixer.panels + g * mixer.group);
    }
  }
};

/// A thread's memory for one panel of rows. Element: of q, k and v.
template <typename In, typename Element>
struct PanelBuffers {
  float *spare, *scratch;
  RowConverter normed, converted;
  View<Element> qkv;  // [rows, 3c]
  View<float> mixed;  // [rows, c]
  typename In::Scratch products;

  PanelBuffers(const KernelTable& table, const Sizes& s, const AttentionWeights& weights, Pieces& memory)
      : spare(memory.take<float>(RowConverter::spare_floats(weights.qkv.weight))),
        scratch(memory.take<float>(multiply_rows_scratch(table))),
        normed(table, weights.qkv.weight, s.rows, false, memory),
        converted(converter_of<float>(table, weights.proj.weight, s.rows, memory)),
        qkv(memory.take<Element>(s.rows * (3 * s.c + 32)), s.rows, 3 * s.c, 3 * s.c + 32),
        mixed(memory.take<float>(s.rows * padded_stride(s.c)), s.rows, s.c, padded_stride(s.c)),
        products(table, s, memory) {}
};

/// What the threads share: each panel's q^T k, and what becomes of their sum.
template <typename In>
struct SharedBuffers {
  float* partials;  // [panels][c, width]
  typename In::Mixer mixer;

  SharedBuffers(const KernelTable& table, const Sizes& s, Pieces& memory)
      : partials(memory.take<float>(s.panels * s.c * s.width)), mixer(table, s, memory) {}
};

template <typename In, typename Element>
void attend_channels(Context& context, View<float> x, View<float> v, const AttentionWeights& weights) {
  using Buffers = PanelBuffers<In, Element>;
  const KernelTable& table = context.table();
  const Sizes s(x, weights.heads);
  const auto buffers_in = [&](Pieces& memory) { return Buffers(table, s, weights, memory); };
  context.reserve(floats_taken(buffers_in));
  const auto buffers_of = [&](int thread) {
    Pieces memory(context.scratch(thread));
    return buffers_in(memory);
  };
  const auto shared_in = [&](Pieces& memory) { return SharedBuffers<In>(table, s, memory); };
  Pieces memory(context.shared(floats_taken(shared_in)));
  const SharedBuffers<In> shared = shared_in(memory);

  context.parallel_for(s.panels, [&](std::int64_t p, int thread) {
    const Buffers b = buffers_of(thread);
    const std::int64_t rows = s.count(p);
    const View<Element> qkv = b.qkv.row_range(0, rows);
    b.normed.put_normed(0, x.row_range(p * s.rows, rows), weights.norm, b.spare);
    multiply_rows(table, b.scratch, qkv, b.normed.rows(rows), weights.qkv);
    In::keep(table, v.row_range(p * s.rows, rows), qkv.col_range(2 * s.c, s.c));
    In::add_up(table, s, View<float>(shared.partials + p * s.c * s.width, s.c, s.width), qkv.col_range(0, s.c),
               qkv.col_range(s.c, s.c), b.products);
  });
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.n));
  context.parallel_for(s.groups, [&](std::int64_t g, int thread) {
    const View<float> matrix(shared.partials + g * s.width * s.width, s.width, s.width);
    for (std::int64_t p = 1; p < s.panels; ++p) {
      table.add(matrix.data, matrix.data + p * s.c * s.width, s.width * s.width);
    }
    for (std::int64_t i = 0; i < s.width; ++i) table.softmax(matrix.row(i), s.width, scale);
    shared.mixer.pack(table, g, matrix, buffers_of(thread).products);
  });
  context.parallel_for(s.panels, [&](std::int64_t p, int thread) {
    const Buffers b = buffers_of(thread);
    const View<float> mixed = b.mixed.row_range(0, s.count(p)), panel = x.row_range(p * s.rows, s.count(p));
    In::mix(table, s, mixed, v.row_range(p * s.rows, s.count(p)), shared.mixer);
    const Rows rows = rows_of(mixed, weights.proj.weight, b.converted, nullptr);
    multiply_rows(table, b.scratch, panel, rows, weights.proj, {.residual = panel});
  });
}

}  // namespace

void channel_attention_block(Context& context, View<float> x, View<float> v, const AttentionWeights& weights) {
  const KernelTable& table = context.table();
  const std::int64_t width = x.cols / weights.heads;
  const bool panel_wide = width == table.nr && paired_depth(table, width) == width;
  if (arithmetic_of(table, weights.qkv) != Arithmetic::bf16 || !panel_wide) {
    attend_channels<InF32, float>(context, x, v, weights);
  } else if (qkv_in_bf16(table, weights.qkv, width)) {
    attend_channels<InBf16, std::uint16_t>(context, x, v, weights);
  } else {
    attend_channels<InBf16, float>(context, x, v, weights);
  }
}

}  // namespace florence2
