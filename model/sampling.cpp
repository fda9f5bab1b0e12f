#include "model/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace florence2 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

double weight(float score, float largest) {
  return std::exp(static_cast<double>(score) - static_cast<double>(largest));
}

void cut_below(std::span<float> scores, float least) {
  for (float& score : scores) {
    if (score < least) score = -kInfinity;
  }
}

}  // namespace

void Sampler::warp(std::span<float> scores) {
  // Relative to the largest, whose quotient would be infinite at the lowest temperatures.
  const float largest = *std::max_element(scores.begin(), scores.end());
  for (float& score : scores) score = (score - largest) / rules_.temperature;
  if (rules_.top_k > 0 && static_cast<std::size_t>(rules_.top_k) < scores.size()) cut_to_top_k(scores);
  if (rules_.top_p < 1) cut_to_top_p(scores);
}

/// Scores equal to the k-th stay.
void Sampler::cut_to_top_k(std::span<float> scores) {
  sorted_.assign(scores.begin(), scores.end());
  const auto last = sorted_.begin() + (rules_.top_k - 1);
  std::nth_element(sorted_.begin(), last, sorted_.end(), std::greater<>());
  cut_below(scores, *last);
}

/// Cuts the smallest scores that together have at most 1 - top_p of the probability. The reference may cut only some of
/// several equal scores; here they stay together.
void Sampler::cut_to_top_p(std::span<float> scores) {
  sorted_.assign(scores.begin(), scores.end());
  std::erase(sorted_, -kInfinity);
  std::sort(sorted_.begin(), sorted_.end());
  double total = 0;
  for (const float score : sorted_) total += weight(score, sorted_.back());
  const double limit = (1.0 - static_cast<double>(rules_.top_p)) * total;
  double sum = 0;
  std::size_t cut = 0;
  while (cut + 1 < sorted_.size() && (sum += weight(sorted_[cut], sorted_.back())) <= limit) ++cut;
  cut_below(scores, sorted_[cut]);
}

std::int32_t Sampler::draw(std::span<const float> scores) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (const float score : scores) total += weight(score, largest);
  double left = uniform() * total;
  std::size_t last = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] == -kInfinity) continue;
    last = i;
    left -= weight(scores[i], largest);
    if (left < 0) break;
  }
  return static_cast<std::int32_t>(last);
}

double Sampler::uniform() {
  state_ += 0x9E3779B97F4A7C15u;
  std::uint64_t bits = state_;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  bits ^= bits >> 31;
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace florence2
