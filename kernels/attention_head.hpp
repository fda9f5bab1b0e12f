// Attention of one head on the calling thread: the piece that whole-sequence and window attention share.
#pragma once

#include <cstdint>

#include "core/view.hpp"
#include "kernels/table.hpp"

namespace florence2 {

/// dst[m, d] = softmax(scale * q k^T) v for q[m, d] and k, v[s, d]; scale > 0. `scratch` holds
/// attention_head_scratch(table, s, d) floats.
void attention_head(const KernelTable& table, float* scratch, View<float> dst, View<const float> q, View<const float> k,
                    View<const float> v, float scale);
std::int64_t attention_head_scratch(const KernelTable& table, std::int64_t length, std::int64_t head_dim);

}  // namespace florence2
