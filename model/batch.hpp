// Many questions through the text model together: each is encoded alone, then all take their decode steps side by side,
// so that a step reads the weights once.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/result.hpp"
#include "core/stopwatch.hpp"
#include "model/answer_grammar.hpp"
#include "model/engine.hpp"
#include "model/generate.hpp"

namespace florence2 {

/// One question as the text model sees it; what it refers to outlives the decoding.
struct DecodeJob {
  View<const float> image;  // [image_tokens, d]
  std::vector<std::int32_t> prompt;
  GenerationRules rules;
  const AnswerGrammar* grammar = nullptr;
  /// After each step (`more` false: the last), and once before the first. An error ends this job, not the others.
  std::function<Status(Search& search, bool more)> after_step;
};

struct Decoded {
  Hypothesis best;
  double prefill_ms = 0, generate_ms = 0;
};

/// Results in the order of the jobs. Hypotheses are bit for bit what each job gives alone. Jobs join while others run,
/// as far as kMostRows and kMostJobs allow, and leave when they are done.
class BatchDecoder {
 public:
  static constexpr int kMostRows = 64;  // beams of all running jobs
  static constexpr std::size_t kMostJobs = 16;

  BatchDecoder(Engine& engine, const DecoderWeights& weights) : engine_(engine), weights_(weights) {}

  std::vector<Result<Decoded>> run(std::span<const DecodeJob> jobs);

 private:
  struct Running {
    std::size_t index = 0;  // of the job
    const DecodeJob* job = nullptr;
    std::unique_ptr<DecoderCache> cache;
    std::unique_ptr<Search> search;
    Decoded decoded;
    Stopwatch watch;
  };
  using Results = std::vector<Result<Decoded>>;

  Status start(const DecodeJob& job, Running& running);
  void admit(std::span<const DecodeJob> jobs, Results& results);
  void step(Results& results);
  std::unique_ptr<DecoderCache> take_cache();

  Engine& engine_;
  const DecoderWeights& weights_;
  std::vector<Running> running_;
  std::vector<std::unique_ptr<DecoderCache>> idle_;  // kept for their memory
  std::size_t next_ = 0;                             // job to admit
  std::vector<DecoderCache*> caches_;                // arguments of a step
  std::vector<std::int32_t> tokens_;
  std::vector<int> parents_;
};

}  // namespace florence2
