// The best continuations of a beam search's step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/rowwise.hpp"
#include "kernels/table.hpp"
#include "model/token_limits.hpp"

namespace florence2 {

/// A continuation of one running sequence.
struct Candidate {
  float score = 0;     // running score + log_prob
  float log_prob = 0;  // processed
  int beam = 0;
  std::int32_t token = 0;
};

/// The best `limit` candidates, best first; among equals the one offered first stays ahead.
class TopCandidates {
 public:
  explicit TopCandidates(std::size_t limit) : limit_(limit) { items_.reserve(limit + 1); }

  void clear() { items_.clear(); }
  bool full() const { return items_.size() == limit_; }
  std::span<const Candidate> items() const { return items_; }
  float worst() const { return items_.back().score; }
  void offer(const Candidate& candidate);

 private:
  std::size_t limit_;
  std::vector<Candidate> items_;
};

/// One beam's row of the search: everything needed to score a token.
struct BeamRow {
  const float* scores = nullptr;
  LogSumExp sum;  // makes log-probabilities of the scores
  const TokenLimits* limits = nullptr;
  int beam = 0;
  float running = 0;
};

/// Offers the tokens of one row, skipping whole blocks whose largest score cannot get in.
void offer_row(const KernelTable& table, TopCandidates& top, const BeamRow& row);

}  // namespace florence2
