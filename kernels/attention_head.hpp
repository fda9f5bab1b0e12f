// Attention of one head on the calling thread: the piece that whole-sequence and window attention share.
#pragma once

#include <cstdint>

#include "core/view.hpp"
#include "kernels/attention.hpp"
#include "kernels/table.hpp"

namespace florence2 {

struct HeadViews {
  View<float> dst;      ///< [m, d]
  View<const float> q;  ///< [m, d]
  View<const float> k;  ///< [s, d]
  View<const float> v;  ///< [s, d]
};

/// dst = softmax(scale * q k^T) v; scale > 0. `scratch` holds attention_head_scratch(table, s, d) floats.
void attention_head(const KernelTable& table, float* scratch, const HeadViews& head, float scale,
                    Arithmetic arithmetic);
std::int64_t attention_head_scratch(const KernelTable& table, std::int64_t length, std::int64_t head_dim);

}  // namespace florence2
