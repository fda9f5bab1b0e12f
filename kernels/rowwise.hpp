// Operations on the rows of a matrix.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/context.hpp"
#include "kernels/matmul.hpp"

namespace florence2 {

/// dst = layer_norm(src) row by row; dst may be src.
void layer_norm(Context& context, View<float> dst, View<const float> src, const Norm& norm);

/// log(sum(exp(row))) with the maximum subtracted, one value a row: normalizer[rows]. log_softmax is
/// row - max - log(sum), so both parts are returned.
struct LogSumExp {
  float max = 0;
  float log_sum = 0;  ///< log(sum(exp(x - max)))
  float log_softmax(float x) const { return x - max - log_sum; }
};
void log_sum_exp(Context& context, std::span<LogSumExp> dst, View<const float> src);

}  // namespace florence2
