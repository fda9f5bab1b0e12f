// Times of the engine's stages, one after the other as one question runs through them.
#pragma once

#include <functional>

#include "model/florence2.hpp"

namespace florence2 {

struct BenchSettings {
  int threads = 1;
  int rounds = 9;  ///< measured; up to two more are run before
  int beams = 3;
  int tokens = 20;  ///< of the caption stage
  int batch = 1;    ///< pictures in the caption stage, one after the other
};

/// Milliseconds, over the rounds.
struct Spread {
  double median = 0, min = 0, max = 0;
};

struct BenchTimes {
  Spread preprocess;  ///< 8-bit RGB of 1024 x 683 -> tensor
  Spread vision;      ///< tensor -> image tokens
  Spread prefill;     ///< image tokens and 10 text tokens -> encoder and cross keys and values
  Spread decode;      ///< a token: each round's median over steps 10 to 60, search included
  Spread caption;     ///< tensor -> `tokens` tokens, for each picture of the batch
};

/// `on_round` is told the round about to start (from 1), warm-up included. Errors as generate().
Result<BenchTimes> measure_stages(const Model& model, const BenchSettings& settings,
                                  const std::function<void(int)>& on_round);

}  // namespace florence2
