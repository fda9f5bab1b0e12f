// Runs a checkpoint and compares every stage and every generation with what the reference recorded for it
// (reference/README.md describes the format).
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "model/engine.hpp"
#include "model/florence2.hpp"
#include "model/generate.hpp"

namespace florence2::test {

/// The folder of a seeded checkpoint, e.g. {"mini", "hf", "f32"}; made by the reference's script when it is not in the
/// cache ($FLORENCE2_TEST_CACHE, else a folder in the temporary directory). Empty, with a WARN, when the reference data
/// or Python is missing.
std::optional<std::string> checkpoint(const std::string& size, const std::string& layout, const std::string& dtype,
                                      int side = 768);

class GoldenCheck {
 public:
  /// `precision`: golden whose "float64_check" bounds the errors; `golden` itself when it has one.
  GoldenCheck(const Model& model, const json::Value& golden, const json::Value& precision, int threads);

  /// Everything of all pictures, which lie in `folder`.
  void run(const std::string& folder);
  /// "183 runs: 169 decided, 169 equal; 14 near-ties, 13 equal; worst error 0.3 of its tolerance (logits0)"
  std::string summary() const;

 private:
  void check_picture(const json::Value& golden, const Picture& picture);
  void check_case(const json::Value& golden, const EncodedImage& image);
  void check_run(const json::Value& golden, View<const float> memory);
  void check_hypotheses(const json::Value& golden, const std::vector<Hypothesis>& actual, bool decided);
  /// The recorded text's answers by both references' rules.
  void check_answers(const json::Value& golden, const json::Value& run, const EncodedImage& image);
  /// The same beam search through the public API, whose rules come from the checkpoint.
  void check_runner(const json::Value& golden, const EncodedImage& image);
  /// The 32 recorded values and the statistics of a tensor. Columns or elements beyond the view's are left out.
  void check_probe(const std::string& stage, const json::Value& golden, View<const float> actual);
  void check_value(const std::string& stage, double actual, double expected, double tolerance);
  double tolerance(const std::string& stage, double absmax) const;
  std::vector<float> first_logits(View<const float> memory, const std::vector<std::int32_t>& ids);

  const Model& model_;
  const json::Value& golden_;
  const json::Value& precision_;
  Engine engine_;
  Runner runner_;
  std::map<std::string, double> worst_;  // by stage: largest error in tolerances
  int runs_ = 0, decided_ = 0, decided_equal_ = 0, near_ = 0, near_equal_ = 0;
  double worst_log_prob_ = 0;
};

}  // namespace florence2::test
