#include "weights/low_rank.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace florence2 {
namespace {

/// dst[0, cols) += row `row` of scale left right.
void add_row(const LowRank& change, std::int64_t row, float* dst) {
  for (std::int64_t k = 0; k < change.rank; ++k) {
    const float factor = change.scale * change.left[row * change.rank + k];
    const float* right = change.right.data() + k * change.cols;
    for (std::int64_t j = 0; j < change.cols; ++j) dst[j] += factor * right[j];
  }
}

/// magnitude / norm of each column of weight + scale left right.
std::vector<float> column_factors(const LowRank& change, const float* weight) {
  std::vector<double> squares(static_cast<std::size_t>(change.cols));
  std::vector<float> changed(static_cast<std::size_t>(change.cols));
  for (std::int64_t row = 0; row < change.rows; ++row) {
    std::copy_n(weight + row * change.cols, change.cols, changed.begin());
    add_row(change, row, changed.data());
    for (std::size_t j = 0; j < changed.size(); ++j) squares[j] += double{changed[j]} * changed[j];
  }
  std::vector<float> factors(squares.size());
  for (std::size_t j = 0; j < factors.size(); ++j) {
    factors[j] = change.magnitude[static_cast<std::int64_t>(j)] / static_cast<float>(std::sqrt(squares[j]));
  }
  return factors;
}

/// magnitude / norm of row `row` of weight + scale left right; `stored` is that row of weight, `changed` scratch.
float row_factor(const LowRank& change, std::int64_t row, const float* stored, float* changed) {
  std::copy_n(stored, change.cols, changed);
  add_row(change, row, changed);
  double square = 0;
  for (std::int64_t j = 0; j < change.cols; ++j) square += double{changed[j]} * changed[j];
  return change.magnitude[row] / static_cast<float>(std::sqrt(square));
}

void transpose(const float* src, std::int64_t rows, std::int64_t cols, float* dst) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < cols; ++j) dst[j * rows + i] = src[i * cols + j];
  }
}

}  // namespace

LowRank transposed(const LowRank& change) {
  LowRank result{
      change.cols, change.rank, change.rows, Buffer<float>(change.right.size()), Buffer<float>(change.left.size()),
      change.scale};
  transpose(change.right.data(), change.rank, change.cols, result.left.data());
  transpose(change.left.data(), change.rows, change.rank, result.right.data());
  result.by_column = !change.by_column;
  if (change.magnitude.empty()) return result;
  result.magnitude = Buffer<float>(change.magnitude.size());
  std::copy_n(change.magnitude.data(), change.magnitude.size(), result.magnitude.data());
  return result;
}

void merge(std::span<const LowRank> changes, float* weight, ThreadPool& pool) {
  if (changes.empty()) return;
  std::vector<std::vector<float>> by_column;
  for (const LowRank& change : changes) {
    const bool needed = change.by_column && !change.magnitude.empty();
    by_column.push_back(needed ? column_factors(change, weight) : std::vector<float>());
  }
  const std::int64_t cols = changes[0].cols;
  // A thread's row as stored, and its scratch.
  std::vector<std::vector<float>> rows(static_cast<std::size_t>(pool.threads()),
                                       std::vector<float>(static_cast<std::size_t>(2 * cols)));
  pool.parallel_for(changes[0].rows, [&](std::int64_t row, int thread) {
    float* stored = rows[static_cast<std::size_t>(thread)].data();
    float* dst = weight + row * cols;
    std::copy_n(dst, cols, stored);
    for (std::size_t c = 0; c < changes.size(); ++c) {
      const LowRank& change = changes[c];
      add_row(change, row, dst);
      if (change.magnitude.empty()) continue;
      const float factor = change.by_column ? 1 : row_factor(change, row, stored, stored + cols);
      for (std::int64_t j = 0; j < cols; ++j) {
        dst[j] *= change.by_column ? by_column[c][static_cast<std::size_t>(j)] : factor;
      }
    }
  });
}

}  // namespace florence2
