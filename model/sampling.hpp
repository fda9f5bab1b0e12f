// Drawing tokens: temperature, top-k and top-p in the reference's order (specification, section 10.7).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace florence2 {

struct SamplingRules {
  float temperature = 1.0f;
  int top_k = 50;      // 0: off
  float top_p = 1.0f;  // 1: off
  std::uint64_t seed = 0;
};

/// Draws one token a call; the same seed draws the same numbers.
class Sampler {
 public:
  explicit Sampler(const SamplingRules& rules) : rules_(rules), state_(rules.seed) {}

  /// Divides `scores` by the temperature and sets what top-k and top-p cut off to -infinity; at least one token stays.
  void warp(std::span<float> scores);
  /// A token of the softmax of `scores`.
  std::int32_t draw(std::span<const float> scores);

 private:
  void cut_to_top_k(std::span<float> scores);
  void cut_to_top_p(std::span<float> scores);
  /// In [0, 1): SplitMix64 (Steele, Lea and Flood 2014), the upper 53 bits.
  double uniform();

  SamplingRules rules_;
  std::uint64_t state_;
  std::vector<float> sorted_;
};

}  // namespace florence2
