#include "model/batch.hpp"

#include <algorithm>
#include <utility>

#include "model/guarded.hpp"

namespace florence2 {

namespace {

/// A callback's exception is the failure of its job alone.
Status report(const DecodeJob& job, Search& search, bool more) {
  return job.after_step ? guarded([&] { return job.after_step(search, more); }) : Status();
}

/// One step of a search on its rows. True: it goes on.
Result<bool> advance(const DecodeJob& job, Search& search, View<const float> logits) {
  FL_ASSIGN(const bool more, search.advance(logits));
  FL_TRY(report(job, search, more));
  return more;
}

}  // namespace

std::unique_ptr<DecoderCache> BatchDecoder::take_cache() {
  if (idle_.empty()) return std::make_unique<DecoderCache>();
  std::unique_ptr<DecoderCache> cache = std::move(idle_.back());
  idle_.pop_back();
  return cache;
}

Status BatchDecoder::start(const DecodeJob& job, Running& running) {
  running.job = &job;
  running.search = make_search(engine_.context(), job.rules, job.grammar);
  FL_TRY(report(job, *running.search, true));
  running.cache = take_cache();
  const View<const float> memory = engine_.encode_prompt(job.image, job.prompt);
  engine_.decoder().start(engine_.context(), weights_, *running.cache, memory, job.rules.num_beams,
                          job.rules.max_new_tokens);
  running.decoded.prefill_ms = running.watch.lap();
  return {};
}

void BatchDecoder::admit(std::span<const DecodeJob> jobs, Results& results) {
  int rows = 0;
  for (const Running& running : running_) rows += running.cache->beams();
  for (; next_ < jobs.size() && running_.size() < kMostJobs; ++next_) {
    rows += jobs[next_].rules.num_beams;
    if (rows > kMostRows && !running_.empty()) return;
    Running running;
    running.index = next_;
    const Status started = start(jobs[next_], running);
    if (started) {
      running_.push_back(std::move(running));
    } else {
      rows -= jobs[next_].rules.num_beams;
      results[next_] = started.error();
    }
  }
}

/// One step of all running jobs; those that are over leave.
void BatchDecoder::step(Results& results) {
  caches_.clear();
  tokens_.clear();
  parents_.clear();
  for (const Running& running : running_) {
    caches_.push_back(running.cache.get());
    const auto tokens = running.search->tokens();
    const auto parents = running.search->parents();
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    parents_.insert(parents_.end(), parents.begin(), parents.end());
  }
  const View<const float> logits = engine_.decoder().step(engine_.context(), weights_, caches_, tokens_, parents_);
  std::int64_t first = 0;
  for (Running& running : running_) {
    const std::int64_t rows = running.cache->beams();
    const Result<bool> more = advance(*running.job, *running.search, logits.row_range(first, rows));
    first += rows;
    if (more && *more) continue;
    if (more) {
      running.decoded.best = std::move(running.search->take().front());
      running.decoded.generate_ms = running.watch.lap();
      results[running.index] = std::move(running.decoded);
    } else {
      results[running.index] = more.error();
    }
    idle_.push_back(std::move(running.cache));
  }
  std::erase_if(running_, [](const Running& running) { return running.cache == nullptr; });
}

std::vector<Result<Decoded>> BatchDecoder::run(std::span<const DecodeJob> jobs) {
  Results results(jobs.size(), Error{});
  running_.clear();
  next_ = 0;
  while (true) {
    admit(jobs, results);
    if (running_.empty()) return results;
    step(results);
  }
}

}  // namespace florence2
