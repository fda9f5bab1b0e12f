#include "model/generate.hpp"

#include <numeric>

#include "model/beam_search.hpp"
#include "model/greedy_search.hpp"

namespace florence2 {

Search::Search(int beams, std::int32_t start)
    : tokens_(static_cast<std::size_t>(beams), start), parents_(static_cast<std::size_t>(beams)) {
  std::iota(parents_.begin(), parents_.end(), 0);
}

std::unique_ptr<Search> make_search(Context& context, const GenerationRules& rules, const AnswerGrammar* grammar) {
  if (rules.num_beams == 1) return std::make_unique<GreedySearch>(context, rules, grammar);
  return std::make_unique<BeamSearch>(context, rules, grammar);
}

Result<std::vector<Hypothesis>> generate(Context& context, const GenerationRules& rules, const StepFunction& step,
                                         const std::function<bool(int)>& on_step) {
  const auto search = make_search(context, rules);
  while (true) {
    FL_ASSIGN(const bool more, search->advance(step(search->tokens(), search->parents())));
    if (on_step && !on_step(search->steps())) return cancelled();
    if (!more) return search->take();
  }
}

Error cancelled() { return {ErrorCode::cancelled, "cancelled by the caller", ""}; }

}  // namespace florence2
