#include "model/candidates.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace florence2 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// A score below this cannot reach `worst`. The sum grows with the row's score even when rounded; the slack covers the
/// rounding of its three f32 operations (each below 2^-24 of the magnitudes involved) and of the bound itself.
float bound_of(double worst, double running, const LogSumExp& sum) {
  const double exact = worst - running + sum.log_sum + sum.max;
  const double slack = 1e-6 * (std::abs(worst) + std::abs(running) + std::abs(sum.log_sum) + std::abs(sum.max));
  return static_cast<float>(exact - slack);
}

float bound_of(const TopCandidates& top, const BeamRow& row) {
  return top.full() ? bound_of(top.worst(), row.running, row.sum) : -kInfinity;
}

/// Under a grammar a banned token is no candidate at all; else it is one that no other falls behind, as in the
/// reference.
void offer_token(TopCandidates& top, const BeamRow& row, std::int32_t token) {
  const bool banned = row.limits->is_banned(token);
  if (banned && row.limits->constrained()) return;
  const float log_prob = banned ? -kInfinity : row.sum.log_softmax(row.scores[token]);
  top.offer({row.running + log_prob, log_prob, row.beam, token});
}

}  // namespace

void TopCandidates::offer(const Candidate& candidate) {
  if (full() && !(candidate.score > worst())) return;
  const auto place = std::upper_bound(items_.begin(), items_.end(), candidate,
                                      [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  items_.insert(place, candidate);
  if (items_.size() > limit_) items_.pop_back();
}

void offer_row(const KernelTable& table, TopCandidates& top, const BeamRow& row) {
  constexpr std::int32_t kBlock = 256;
  for (const IdRange& range : row.limits->ranges()) {
    for (std::int32_t first = range.begin; first < range.end; first += kBlock) {
      const std::int32_t end = std::min(first + kBlock, range.end);
      float bound = bound_of(top, row);
      if (top.full() && table.max(row.scores + first, end - first) < bound) continue;
      for (std::int32_t token = first; token < end; ++token) {
        if (!(row.scores[token] >= bound)) continue;
        offer_token(top, row, token);
        if (top.full()) bound = bound_of(top, row);
      }
    }
  }
}

}  // namespace florence2
