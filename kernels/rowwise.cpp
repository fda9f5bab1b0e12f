#include "kernels/rowwise.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace florence2 {
namespace {

constexpr std::int64_t kRowsATask = 32;  // small enough to share, large enough to pay for it
constexpr std::int64_t kChunk = 8192;    // columns of one partial log-sum-exp

}  // namespace

void layer_norm(Context& context, View<float> dst, View<const float> src, const Norm& norm) {
  const std::int64_t tasks = (src.rows + kRowsATask - 1) / kRowsATask;
  context.parallel_for(tasks, [&](std::int64_t task, int) {
    const std::int64_t row = task * kRowsATask, rows = std::min(kRowsATask, src.rows - row);
    context.table().layer_norm({dst.row(row), dst.stride, src.row(row), src.stride, rows, src.cols, norm.gamma.data(),
                                norm.beta.data(), norm.eps});
  });
}

void log_sum_exp(Context& context, std::span<LogSumExp> dst, View<const float> src) {
  // The chunks are fixed by the row's length, so the sums do not depend on the threads.
  const std::int64_t chunks = (src.cols + kChunk - 1) / kChunk;
  float* partial = context.shared(2 * src.rows * chunks);  // [rows][chunks] pairs of maximum and sum
  context.parallel_for(src.rows * chunks, [&](std::int64_t index, int) {
    const float* x = src.row(index / chunks) + index % chunks * kChunk;
    const std::int64_t n = std::min(kChunk, src.cols - index % chunks * kChunk);
    const float max = context.table().max(x, n);
    partial[2 * index] = max;
    // A chunk of banned tokens alone has no maximum to subtract. Its sum counts for nothing below, unless it is NaN.
    partial[2 * index + 1] = context.table().sum_exp(x, n, max == -std::numeric_limits<float>::infinity() ? 0 : max);
  });
  for (std::int64_t row = 0; row < src.rows; ++row) {
    const float* p = partial + 2 * row * chunks;
    float max = p[0];
    for (std::int64_t c = 1; c < chunks; ++c) max = std::max(max, p[2 * c]);
    double sum = 0;
    for (std::int64_t c = 0; c < chunks; ++c) sum += p[2 * c + 1] * std::exp(double{p[2 * c]} - max);
    dst[static_cast<std::size_t>(row)] = {max, static_cast<float>(std::log(sum))};
  }
}

}  // namespace florence2
