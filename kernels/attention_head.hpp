// Attention of one head on the calling thread: the piece that whole-sequence, window and cross-attention share.
#pragma once

#include <cstdint>

#include "core/view.hpp"
#include "kernels/attention.hpp"
#include "kernels/table.hpp"

namespace florence2 {

/// Attention over `length` keys and values of `head_dim` channels: they are packed once and met by any number of
/// queries. What a query's result is does not depend on the others.
class HeadAttention {
 public:
  HeadAttention(const KernelTable& table, Arithmetic arithmetic, std::int64_t length, std::int64_t head_dim)
      : table_(table), arithmetic_(arithmetic), length_(length), head_dim_(head_dim) {}

  /// Floats of packed keys and values, a whole number of cache lines.
  std::int64_t packed_floats() const;
  /// Scratch of pack and of attend with this many queries, a whole number of cache lines.
  std::int64_t scratch_floats(std::int64_t queries) const;

  /// packed = k and v, both [length, head_dim].
  void pack(float* packed, float* scratch, View<const float> k, View<const float> v) const;
  /// dst = softmax(scale * q k^T) v; dst and q: [m, head_dim], scale > 0.
  void attend(View<float> dst, View<const float> q, const float* packed, float* scratch, float scale) const;

  /// The same from bf16, where qkv_in_bf16 allows it.
  void pack(float* packed, float* scratch, View<const std::uint16_t> k, View<const std::uint16_t> v) const;
  void attend(View<float> dst, View<const std::uint16_t> q, const float* packed, float* scratch, float scale) const;

 private:
  const KernelTable& table_;
  Arithmetic arithmetic_;
  std::int64_t length_, head_dim_;
};

}  // namespace florence2
