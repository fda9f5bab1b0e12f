// What decoding together saves: ten text passes about one picture one after another and in one batch, and what both
// cost beside the vision tower. Random weights of the true shapes.
//
//   batch_bench [size] [tokens] [threads] [rounds] [beams] [precision]      default: base 40 2 5 3 auto
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "core/stopwatch.hpp"
#include "model/batch.hpp"

namespace florence2 {
namespace {

constexpr std::size_t kJobs = 10;

struct Settings {
  std::string size;
  int tokens, threads, rounds, beams;
  std::string precision;
};

/// Medians are taken of wall time; the processor's own time is steadier where other jobs run.
struct Times {
  std::vector<double> vision, alone, batch;
  std::clock_t alone_clock = 0, batch_clock = 0;
};

/// Adds the processor time of its own lifetime.
class ClockScope {
 public:
  explicit ClockScope(std::clock_t& sum) : sum_(sum) {}
  ClockScope(const ClockScope&) = delete;
  ClockScope& operator=(const ClockScope&) = delete;
  ~ClockScope() { sum_ += std::clock() - start_; }

 private:
  std::clock_t& sum_;
  std::clock_t start_ = std::clock();
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Jobs with prompts of different lengths that decode exactly `tokens` tokens each.
std::vector<DecodeJob> make_jobs(View<const float> image, const Settings& settings) {
  std::vector<DecodeJob> jobs(kJobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].image = image;
    jobs[i].prompt = {0};
    for (std::size_t word = 0; word < 7 + i; ++word)
      jobs[i].prompt.push_back(static_cast<std::int32_t>(100 + 37 * word));
    jobs[i].prompt.push_back(2);
    jobs[i].rules.max_new_tokens = settings.tokens;
    jobs[i].rules.num_beams = settings.beams;
    jobs[i].rules.eos = jobs[i].rules.forced_eos = -1;  // random weights must not end early
  }
  return jobs;
}

bool same(const std::vector<Result<Decoded>>& a, const std::vector<Result<Decoded>>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
    return x && y && x->best.ids == y->best.ids && x->best.log_probs == y->best.log_probs;
  });
}

/// One after another, together, together, one after another: a machine that slows down slows both.
bool round(Engine& engine, BatchDecoder& decoder, View<const float> pixels, const Settings& settings, Times& times) {
  Stopwatch watch;
  const View<const float> image = engine.encode_image(pixels);
  times.vision.push_back(watch.lap());
  const std::vector<DecodeJob> jobs = make_jobs(image, settings);
  const auto alone = [&] {
    std::vector<Result<Decoded>> results;
    const ClockScope scope(times.alone_clock);
    watch.lap();
    for (const DecodeJob& job : jobs) results.push_back(std::move(decoder.run({&job, 1}).front()));
    times.alone.push_back(watch.lap());
    return results;
  };
  const auto together = [&] {
    const ClockScope scope(times.batch_clock);
    watch.lap();
    auto results = decoder.run(jobs);
    times.batch.push_back(watch.lap());
    return results;
  };
  const bool first = same(alone(), together());
  const auto batch = together();
  return same(alone(), batch) && first;
}

int run(const Settings& settings) {
  const auto model = seeded_model(settings.size, 1, DType::f16, {.precision = settings.precision});
  if (!model) return std::fprintf(stderr, "%s\n", model.error().text().c_str()), 1;
  const ModelImpl& impl = model->impl();
  Engine engine(impl, settings.threads);
  BatchDecoder decoder(engine, impl.weights.decoder);
  const std::int64_t side = impl.config.image.side;
  const std::vector<float> pixels(static_cast<std::size_t>(3 * side * side), 0.3f);
  Times times;
  bool equal = true;
  for (int i = 0; i < settings.rounds; ++i) {
    equal = round(engine, decoder, {pixels.data(), side * side, 3}, settings, times) && equal;
  }
  const double vision = median(times.vision), alone = median(times.alone), batch = median(times.batch);
  std::printf("%s %s, %d tokens, %d beams, %d threads, %s: vision %.0f ms, ten alone %.0f ms, batch %.0f ms (%.2f); ",
              settings.size.c_str(), model->info().precision.c_str(), settings.tokens, settings.beams, settings.threads,
              impl.table->name, vision, alone, batch, batch / alone);
  std::printf("(vision + batch) / (vision + alone) %.2f; batch / alone in processor time %.2f; answers %s\n",
              (vision + batch) / (vision + alone),
              static_cast<double>(times.batch_clock) / static_cast<double>(times.alone_clock),
              equal ? "equal bit for bit" : "DIFFER");
  return equal ? 0 : 1;
}

}  // namespace
}  // namespace florence2

int main(int argc, char** argv) {
  const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  return florence2::run({argc > 1 ? argv[1] : "base", number(2, 40), number(3, 2), number(4, 5), number(5, 3),
                         argc > 6 ? argv[6] : "auto"});
}
