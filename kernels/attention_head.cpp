#include "kernels/attention_head.hpp"

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "kernels/paired.hpp"
#include "kernels/panels.hpp"
#include "kernels/pieces.hpp"
#include "kernels/product.hpp"
#include "kernels/rows.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kQueryRows = 96;  // rows of the score tile that lies in L2

struct Shape {
  const KernelTable& table;
  std::int64_t length, head_dim;
};

/// Each kind of arithmetic: Packed, what keys and values become; Scratch, with room for `queries` rows; pack; and
/// attend for a tile of at most kQueryRows queries.
struct InF32 {
  struct Packed {
    float *keys, *values;
    Packed(const Shape& s, Pieces& memory)
        : keys(memory.take<float>(panel_floats(s.table.nr, s.length, s.head_dim))),
          values(memory.take<float>(panel_floats(s.table.nr, s.head_dim, s.length))) {}
  };
  struct Scratch {
    float* scores;
    Scratch(const Shape& s, Pieces& memory, std::int64_t queries) : scores(memory.take<float>(queries * s.length)) {}
  };
  static void pack(const Shape& s, const Packed& packed, const Scratch&, View<const float> k, View<const float> v) {
    pack_panels(packed.keys, k, s.table.nr);
    pack_panels_transposed(packed.values, v, s.table.nr);
  }
  static void attend(const Shape& s, View<float> dst, View<const float> q, const Packed& packed, const Scratch& scratch,
                     float scale) {
    const View<float> scores(scratch.scores, q.rows, s.length);
    multiply_panels(s.table, scores, q, packed.keys);
    for (std::int64_t r = 0; r < q.rows; ++r) s.table.softmax(scores.row(r), s.length, scale);
    multiply_panels(s.table, dst, scores, packed.values);
  }
};

/// Elements of the rows that are converted for the moment: a panel of keys, a pair of rows of values; then a tile of
/// queries, and after it the softmax weights.
std::int64_t converted_elements(const Shape& s, std::int64_t queries) {
  return std::max({s.table.nr * paired_depth(s.table, s.head_dim), 2 * paired_depth(s.table, s.head_dim),
                   queries * paired_stride(s.table, s.head_dim), queries * paired_stride(s.table, s.length)});
}

struct InBf16 {
  struct Packed {
    std::uint16_t *keys, *values;
    Packed(const Shape& s, Pieces& memory)
        : keys(memory.take<std::uint16_t>(paired_elements(s.table, s.length, s.head_dim))),
          values(memory.take<std::uint16_t>(paired_elements(s.table, s.head_dim, s.length))) {}
  };
  struct Scratch {
    std::uint16_t* rows;
    float *scores, *inverse;
    Scratch(const Shape& s, Pieces& memory, std::int64_t queries)
        : rows(memory.take<std::uint16_t>(converted_elements(s, queries))),
          scores(memory.take<float>(queries * s.length)),
          inverse(memory.take<float>(queries)) {}
  };
  static void pack(const Shape& s, const Packed& packed, const Scratch& scratch, View<const float> k,
                   View<const float> v) {
    pack_paired(s.table, packed.keys, k, scratch.rows);
    pack_paired_transposed(s.table, packed.values, v, scratch.rows);
  }
  static void pack(const Shape& s, const Packed& packed, const Scratch& scratch, View<const std::uint16_t> k,
                   View<const std::uint16_t> v) {
    pack_paired(s.table, packed.keys, k);
    pack_paired_transposed(s.table, packed.values, v, scratch.rows);
  }
  static void attend(const Shape& s, View<float> dst, View<const float> q, const Packed& packed, const Scratch& scratch,
                     float scale) {
    round_rows(s.table, scratch.rows, q);
    attend(s, dst, {scratch.rows, q.rows, s.head_dim, paired_stride(s.table, s.head_dim)}, packed, scratch, scale);
  }
  static void attend(const Shape& s, View<float> dst, View<const std::uint16_t> q, const Packed& packed,
                     const Scratch& scratch, float scale) {
    const View<float> scores(scratch.scores, q.rows, s.length);
    multiply_paired(s.table, scores, q, packed.keys);
    const std::int64_t stride = paired_stride(s.table, s.length);
    s.table.softmax_bf16({scratch.rows, stride, scratch.inverse, scores.data, scores.stride, q.rows, s.length, scale});
    multiply_paired(s.table, dst, {scratch.rows, q.rows, s.length, stride}, packed.values);
    for (std::int64_t r = 0; r < q.rows; ++r) s.table.scale(dst.row(r), dst.cols, scratch.inverse[r]);
  }
};

/// Queries and keys have a scale a row, values one for all; softmax weights are multiples of 1 / 32767. The weights of
/// a row add up to 32767 and what rounding adds, which leaves the values all or nearly all of their 16 bits.
struct InFixedPoint {
  struct Packed {
    std::int16_t *keys, *values;
    float *key_scales, *value_scale;  // the latter [nr], all the same
    Packed(const Shape& s, Pieces& memory)
        : keys(memory.take<std::int16_t>(paired_elements(s.table, s.length, s.head_dim))),
          values(memory.take<std::int16_t>(paired_elements(s.table, s.head_dim, s.length))),
          key_scales(memory.take<float>(ceil_div(s.length, s.table.nr) * s.table.nr)),
          value_scale(memory.take<float>(s.table.nr)) {}
  };
  struct Scratch {
    std::int16_t* rows;
    float *scores, *row_scales;
    Scratch(const Shape& s, Pieces& memory, std::int64_t queries)
        : rows(memory.take<std::int16_t>(converted_elements(s, queries))),
          scores(memory.take<float>(queries * s.length)),
          row_scales(memory.take<float>(queries)) {}
  };
  static std::int32_t value_limit(std::int64_t length) {
    constexpr std::int64_t one = std::numeric_limits<std::int16_t>::max();
    return static_cast<std::int32_t>(std::min(one, INT32_MAX / (one + length / 2 + 1)));
  }
  static void pack(const Shape& s, const Packed& packed, const Scratch& scratch, View<const float> k,
                   View<const float> v) {
    pack_fixed(s.table, packed.keys, packed.key_scales, k, fixed_limit(s.head_dim), scratch.rows);
    const float scale = pack_fixed_transposed(s.table, packed.values, v, value_limit(s.length), scratch.rows);
    std::fill_n(packed.value_scale, s.table.nr, scale);
  }
  static void attend(const Shape& s, View<float> dst, View<const float> q, const Packed& packed, const Scratch& scratch,
                     float scale) {
    const View<float> scores(scratch.scores, q.rows, s.length);
    fix_rows(s.table, scratch.rows, scratch.row_scales, q, fixed_limit(s.head_dim));
    multiply_fixed(s.table, scores, scratch.rows, scratch.row_scales, s.head_dim,
                   {packed.keys, packed.key_scales, false});
    const std::int64_t stride = paired_stride(s.table, s.length);
    for (std::int64_t r = 0; r < q.rows; ++r) {
      scratch.row_scales[r] = s.table.softmax_fixed(scratch.rows + r * stride, scores.row(r), s.length, scale);
    }
    multiply_fixed(s.table, dst, scratch.rows, scratch.row_scales, s.length, {packed.values, packed.value_scale, true});
  }
};

/// Calls body(In...{}) for the arithmetic.
template <typename Body>
decltype(auto) with_arithmetic(Arithmetic arithmetic, const Body& body) {
  if (arithmetic == Arithmetic::bf16) return body(InBf16{});
  if (arithmetic == Arithmetic::fixed) return body(InFixedPoint{});
  return body(InF32{});
}

/// HeadAttention's pack and attend in one kind of arithmetic, from floats or bf16.
template <typename In, typename Element>
void pack_in(const Shape& shape, float* packed, float* scratch, View<const Element> k, View<const Element> v) {
  Pieces result(packed), rest(scratch);
  In::pack(shape, typename In::Packed(shape, result), typename In::Scratch(shape, rest, 1), k, v);
}

template <typename In, typename Element>
void attend_in(const Shape& shape, View<float> dst, View<const Element> q, const float* packed, float* scratch,
               float scale) {
  Pieces result(const_cast<float*>(packed)), rest(scratch);
  const typename In::Packed operands(shape, result);
  const typename In::Scratch buffers(shape, rest, std::min(q.rows, kQueryRows));
  for (std::int64_t first = 0; first < q.rows; first += kQueryRows) {
    const std::int64_t rows = std::min(kQueryRows, q.rows - first);
    In::attend(shape, dst.row_range(first, rows), q.row_range(first, rows), operands, buffers, scale);
  }
}

}  // namespace

std::int64_t HeadAttention::packed_floats() const {
  return with_arithmetic(arithmetic_, [&](auto in) {
    return floats_taken([&](Pieces& pieces) { typename decltype(in)::Packed({table_, length_, head_dim_}, pieces); });
  });
}

std::int64_t HeadAttention::scratch_floats(std::int64_t queries) const {
  return with_arithmetic(arithmetic_, [&](auto in) {
    return floats_taken([&](Pieces& pieces) {
      typename decltype(in)::Scratch({table_, length_, head_dim_}, pieces, std::min(queries, kQueryRows));
    });
  });
}

void HeadAttention::pack(float* packed, float* scratch, View<const float> k, View<const float> v) const {
  with_arithmetic(arithmetic_, [&](auto in) {
    pack_in<decltype(in)>(Shape{table_, length_, head_dim_}, packed, scratch, k, v);
  });
}

void HeadAttention::pack(float* packed, float* scratch, View<const std::uint16_t> k,
                         View<const std::uint16_t> v) const {
  pack_in<InBf16>(Shape{table_, length_, head_dim_}, packed, scratch, k, v);
}

void HeadAttention::attend(View<float> dst, View<const float> q, const float* packed, float* scratch,
                           float scale) const {
  with_arithmetic(arithmetic_, [&](auto in) {
    attend_in<decltype(in)>(Shape{table_, length_, head_dim_}, dst, q, packed, scratch, scale);
  });
}

void HeadAttention::attend(View<float> dst, View<const std::uint16_t> q, const float* packed, float* scratch,
                           float scale) const {
  attend_in<InBf16>(Shape{table_, length_, head_dim_}, dst, q, packed, scratch, scale);
}

bool qkv_in_bf16(const KernelTable& table, const Linear& qkv, std::int64_t head_dim) {
  return gives_bf16(table, qkv) && arithmetic_of(table, qkv) == Arithmetic::bf16 &&
         paired_depth(table, head_dim) == head_dim;
}

}  // namespace florence2
