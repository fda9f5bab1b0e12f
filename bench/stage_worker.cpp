// One contestant's process of bench/compare.py: holds a model and times its stages on request. One command a line on
// standard input, one line of JSON each on standard output.
//
//   load DIR THREADS [PRECISION]     weights and configuration of a folder (a tokenizer is not needed)
//   pixels FILE                      f32 [3, side, side]
//   vision N [OUT]                   N times: pixels -> image tokens; OUT receives them as f32
//   prefill N ID...                  N times: image tokens + prompt ids -> encoder, cross-attention keys and values
//   decode ROWS FIRST COUNT          COUNT steps from step FIRST on, ROWS beams
//   caption TOKENS ID...             pixels to greedy tokens: time to the first and to all
//   forced OUT ID...                 logits of each step when these ids are fed one after the other, as f32
//   rss                              peak resident memory
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "model/engine.hpp"

namespace {

using namespace florence2;
using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

std::vector<std::int32_t> read_ids(std::istream& in) {
  std::vector<std::int32_t> ids;
  for (std::int32_t id = 0; in >> id;) ids.push_back(id);
  return ids;
}

json::Value times_json(const std::vector<double>& times) {
  json::Array values(times.begin(), times.end());
  return json::Object{{"ms", std::move(values)}};
}

void write_floats(const std::string& path, View<const float> values) {
  std::ofstream out(path, std::ios::binary | std::ios::app);
  for (std::int64_t r = 0; r < values.rows; ++r) {
    out.write(reinterpret_cast<const char*>(values.row(r)), values.cols * static_cast<std::streamsize>(sizeof(float)));
  }
}

class Worker {
 public:
  json::Value answer(const std::string& command, std::istream& in) {
    if (command == "load") return load(in);
    if (command == "rss") return peak_memory();
    if (!engine_) return json::Object{{"error", "load a model first"}};
    if (command == "pixels") return pixels(in);
    if (command == "vision") return vision(in);
    if (command == "prefill") return prefill(in);
    if (command == "decode") return decode(in);
    if (command == "caption") return caption(in);
    if (command == "forced") return forced(in);
    return json::Object{{"error", "unknown command " + command}};
  }

 private:
  json::Value load(std::istream& in) {
    std::string directory;
    std::string precision = "fp32";
    int threads = 0;
    in >> directory >> threads >> precision;
    const auto start = Clock::now();
    auto table = choose_table({});
    if (!table) return json::Object{{"error", table.error().text()}};
    auto config = load_config(directory);
    if (!config) return json::Object{{"error", config.error().text()}};
    model_.table = *table;
    model_.config = *config;
    auto plan = parse_precision(precision.empty() ? "fp32" : precision, *model_.table);
    if (!plan) return json::Object{{"error", plan.error().text()}};
    const ModelOptions options{.threads = threads};
    auto weights = load_weights(directory, model_.config, *model_.table, *plan, options, model_.info);
    if (!weights) return json::Object{{"error", weights.error().text()}};
    model_.weights = std::move(*weights);
    engine_ = std::make_unique<Engine>(model_, threads);
    return json::Object{{"ms", milliseconds_since(start)}, {"isa", model_.table->name}};
  }

  json::Value pixels(std::istream& in) {
    std::string path;
    in >> path;
    const std::int64_t plane = std::int64_t{1} * model_.config.image.side * model_.config.image.side;
    std::vector<float> planes(static_cast<std::size_t>(3 * plane));
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(planes.data()), 3 * plane * static_cast<std::streamsize>(sizeof(float)));
    if (!file) return json::Object{{"error", path + ": not [3, side, side] floats"}};
    pixels_.resize(planes.size());
    for (std::size_t i = 0; i < planes.size(); ++i) {
      const std::size_t channel = i / static_cast<std::size_t>(plane), pixel = i % static_cast<std::size_t>(plane);
      pixels_[3 * pixel + channel] = planes[i];
    }
    return json::Object{{"ok", true}};
  }

  View<const float> pixel_view() const { return {pixels_.data(), static_cast<std::int64_t>(pixels_.size()) / 3, 3}; }

  json::Value vision(std::istream& in) {
    int count = 1;
    std::string path;
    in >> count >> path;
    std::vector<double> times;
    for (int i = 0; i < count; ++i) {
      const auto start = Clock::now();
      image_ = engine_->encode_image(pixel_view());
      times.push_back(milliseconds_since(start));
    }
    if (!path.empty()) write_floats(path, image_);
    return times_json(times);
  }

  void start_prompt(std::span<const std::int32_t> ids, int beams, std::int64_t steps) {
    memory_ = engine_->encode_prompt(image_, ids);
    engine_->decoder().start(engine_->context(), model_.weights.decoder, memory_, beams, steps);
  }

  json::Value prefill(std::istream& in) {
    int count = 1;
    in >> count;
    const auto ids = read_ids(in);
    std::vector<double> times;
    for (int i = 0; i < count; ++i) {
      const auto start = Clock::now();
      start_prompt(ids, 1, kSteps);
      times.push_back(milliseconds_since(start));
    }
    return times_json(times);
  }

  json::Value decode(std::istream& in) {
    int rows = 1, first = 0, count = 1;
    in >> rows >> first >> count;
    engine_->decoder().start(engine_->context(), model_.weights.decoder, memory_, rows, first + count);
    const std::vector<std::int32_t> tokens(static_cast<std::size_t>(rows), 5);
    std::vector<int> parents(tokens.size());
    for (std::size_t b = 0; b < parents.size(); ++b) parents[b] = static_cast<int>(b);
    std::vector<double> times;
    for (int i = 0; i < first + count; ++i) {
      const auto start = Clock::now();
      engine_->decoder().step(engine_->context(), model_.weights.decoder, tokens, parents);
      if (i >= first) times.push_back(milliseconds_since(start));
    }
    return times_json(times);
  }

  std::int32_t step_greedy(std::int32_t token) {
    const int parent = 0;
    const auto logits = step(token, parent);
    return static_cast<std::int32_t>(std::max_element(logits.data, logits.data + logits.cols) - logits.data);
  }

  View<const float> step(std::int32_t token, int parent) {
    return engine_->decoder().step(engine_->context(), model_.weights.decoder, {&token, 1}, {&parent, 1});
  }

  json::Value caption(std::istream& in) {
    int tokens = 1;
    in >> tokens;
    const auto ids = read_ids(in);
    const auto start = Clock::now();
    image_ = engine_->encode_image(pixel_view());
    start_prompt(ids, 1, tokens);
    std::int32_t token = model_.config.text.decoder_start;
    double first = 0;
    for (int i = 0; i < tokens; ++i) {
      token = step_greedy(token);
      if (i == 0) first = milliseconds_since(start);
    }
    return json::Object{{"first", first}, {"ms", json::Array{milliseconds_since(start)}}};
  }

  json::Value forced(std::istream& in) {
    std::string path;
    in >> path;
    engine_->decoder().start(engine_->context(), model_.weights.decoder, memory_, 1, kSteps);
    for (const std::int32_t id : read_ids(in)) write_floats(path, step(id, 0));
    return json::Object{{"ok", true}};
  }

  json::Value peak_memory() const {
    rusage usage = {};
    getrusage(RUSAGE_SELF, &usage);
    return json::Object{{"VmHWM", static_cast<double>(usage.ru_maxrss) / 1024}};
  }

  static constexpr std::int64_t kSteps = 64;

  ModelImpl model_;
  std::unique_ptr<Engine> engine_;
  std::vector<float> pixels_;  // [side * side, 3]
  View<const float> image_, memory_;
};

}  // namespace

int main() {
  Worker worker;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string command;
    in >> command;
    std::puts(json::dump(worker.answer(command, in)).c_str());
    std::fflush(stdout);
  }
}
