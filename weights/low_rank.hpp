// Low-rank changes of weight matrices, as adapters hold them: LoRA, rsLoRA (another scale) and DoRA (rescaled after).
#pragma once

#include <cstdint>
#include <span>

#include "core/buffer.hpp"
#include "kernels/thread_pool.hpp"

namespace florence2 {

/// W [rows, cols] becomes W + scale left right. With a magnitude each row of that (each column where `by_column`) is
/// then scaled to it: multiplied by magnitude / |row of W as stored + scale left right| (DoRA, arXiv 2402.09353,
/// formula 5; the norm is that of the unmerged weight also where several adapters follow one another, as in PEFT).
struct LowRank {
  std::int64_t rows = 0, rank = 0, cols = 0;
  Buffer<float> left;   // [rows, rank]
  Buffer<float> right;  // [rank, cols]
  float scale = 1;
  Buffer<float> magnitude = {};  // [rows] or [cols]; empty: none
  bool by_column = false;
};

/// The same change of W's transpose.
LowRank transposed(const LowRank& change);

/// Applies the changes to `weight` [rows, cols] in their order.
void merge(std::span<const LowRank> changes, float* weight, ThreadPool& pool);

}  // namespace florence2
