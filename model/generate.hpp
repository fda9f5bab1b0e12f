// Greedy and beam search with the reference's rules: forced tokens, no repeated n-grams, early stopping modes, length
// penalty (specification, section 10).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/result.hpp"
#include "core/view.hpp"
#include "kernels/context.hpp"
#include "model/florence2.hpp"

namespace florence2 {

/// All parameters in force.
struct GenerationRules {
  int num_beams = 3;
  int max_new_tokens = 1024;  // counts forced <s> and </s>; total length is one more
  int no_repeat_ngram = 3;    // 0: off
  float length_penalty = 1.0f;
  EarlyStopping early_stopping = EarlyStopping::yes;
  int start = 2, eos = 2;
  int forced_bos = 0, forced_eos = 2;  // -1: not forced
};

/// A finished sequence.
struct Hypothesis {
  std::vector<std::int32_t> ids;  // from the start token to eos
  std::vector<float> log_probs;   // per generated token: beam search: of the processed log-softmax (forced: 0);
                                  // greedy: log-softmax of the processed logits
  float score = 0;                // sum / length^penalty (greedy: the same of its log_probs)
  bool complete = true;           // ended by the model's own choice of eos, not by the length limit
};

/// Logits [num_beams, vocabulary] after appending tokens[b] to the sequence of beam parents[b] (the DecoderState's
/// step).
using StepFunction =
    std::function<View<const float>(std::span<const std::int32_t> tokens, std::span<const int> parents)>;

/// All finished hypotheses, best first (one for greedy). `on_step(tokens so far)` false cancels: error cancelled.
/// Error model: non-finite logits, with the step.
Result<std::vector<Hypothesis>> generate(Context& context, const GenerationRules& rules, const StepFunction& step,
                                         const std::function<bool(int)>& on_step = {});

}  // namespace florence2
