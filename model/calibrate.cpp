#include "model/calibrate.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <numeric>
#include <set>
#include <utility>

#include "kernels/isa.hpp"
#include "model/convert.hpp"
#include "model/guarded.hpp"
#include "model/matrix_list.hpp"
#include "model/probe.hpp"

namespace florence2 {
namespace {

// Parts are compared on the pictures that suffer most, which are enough to tell large errors from small ones; whether
// the budget holds is measured on all.
constexpr std::size_t kRankingPictures = 2;

using Tensors = std::set<std::string, std::less<>>;

/// A matrix or a block of them.
struct Part {
  std::string name;
  std::vector<const MatrixEntry*> matrices;
  double divergence = 0;
};

Tensors tensors_of(std::span<const Part> parts) {
  Tensors tensors;
  for (const Part& part : parts) {
    for (const MatrixEntry* matrix : part.matrices) tensors.insert(matrix->tensors.begin(), matrix->tensors.end());
  }
  return tensors;
}

/// The name as far as its last number: "vision_tower.blocks.2.3", "decoder.layers.5"; else all of it.
std::string block_of(const std::string& name) {
  std::size_t end = name.size();
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t stop = std::min(name.find('.', begin), name.size());
    if (std::isdigit(static_cast<unsigned char>(name[begin])) != 0) end = stop;
    begin = stop + 1;
  }
  return name.substr(0, end);
}

ProbeStart start_of(const Part& part) {
  ProbeStart start = ProbeStart::decoder;
  for (const MatrixEntry* matrix : part.matrices) {
    const std::string& name = matrix->name;
    if (name.starts_with("vision_tower.") || name.starts_with("multi_modal_projector.")) return ProbeStart::vision;
    // The token embedding counts as the encoder's, whose prompts are looked up in it.
    const bool late = name.starts_with("decoder.layers.") || name.starts_with("lm_head");
    if (!late) start = ProbeStart::encoder;
  }
  return start;
}

double sum_of(std::span<const Part> parts) {
  double sum = 0;
  for (const Part& part : parts) sum += part.divergence;
  return sum;
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The indices of the largest values, kRankingPictures of them at most.
std::vector<std::size_t> largest(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  order.resize(std::min(order.size(), kRankingPictures));
  return order;
}

/// How many of `parts`, which stand worst first, to keep so that the others make up `share` of the sum at most; at
/// least `first`.
std::size_t enough(std::span<const Part> parts, std::size_t first, double share) {
  const double allowed = share * sum_of(parts);
  std::size_t count = first;
  while (count < parts.size() && sum_of(parts.subspan(count)) > allowed) ++count;
  return count;
}

class Calibrator {
 public:
  Calibrator(Probe probe, PrecisionPlan plan, std::vector<MatrixEntry> matrices, const CalibrationOptions& options)
      : probe_(std::move(probe)), plan_(std::move(plan)), matrices_(std::move(matrices)), options_(options) {
    for (int i = 0; i < probe_.pictures(); ++i) all_.push_back(static_cast<std::size_t>(i));
  }

  Result<Calibration> run();

 private:
  Result<std::vector<double>> measure(const std::string& what, const Tensors& kept, ProbeStart start,
                                      std::span<const std::size_t> pictures) const;
  Result<double> measure_left(std::span<const Part> kept) const;
  Status measure_alone(std::vector<Part>& parts) const;
  std::vector<Part> blocks() const;
  Result<std::vector<Part>> ranked_parts(double share) const;

  const Probe probe_;
  const PrecisionPlan plan_;
  const std::vector<MatrixEntry> matrices_;  // those in 8 bits
  const CalibrationOptions& options_;
  std::vector<std::size_t> all_;    // pictures
  std::vector<std::size_t> worst_;  // those on which parts are ranked
};

Result<std::vector<double>> Calibrator::measure(const std::string& what, const Tensors& kept, ProbeStart start,
                                                std::span<const std::size_t> pictures) const {
  PrecisionPlan plan = plan_;
  plan.kept.insert(kept.begin(), kept.end());
  return probe_.measure(plan, start, pictures, [&] { return !options_.on_progress || options_.on_progress(what); });
}

/// All in 8 bits but what is kept, on all pictures.
Result<double> Calibrator::measure_left(std::span<const Part> kept) const {
  FL_ASSIGN(const std::vector<double> found, measure("what is left", tensors_of(kept), ProbeStart::vision, all_));
  return mean_of(found);
}

/// Each part in 8 bits with all others as stored, and puts the worst in front.
Status Calibrator::measure_alone(std::vector<Part>& parts) const {
  for (Part& part : parts) {
    Tensors others;
    for (const MatrixEntry& matrix : matrices_) others.insert(matrix.tensors.begin(), matrix.tensors.end());
    for (const std::string& own : tensors_of({&part, 1})) others.erase(own);
    FL_ASSIGN(const std::vector<double> found, measure(part.name, others, start_of(part), worst_));
    part.divergence = mean_of(found);
  }
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.divergence > b.divergence; });
  return {};
}

std::vector<Part> Calibrator::blocks() const {
  std::vector<Part> blocks;
  for (const MatrixEntry& matrix : matrices_) {
    const std::string name = block_of(matrix.name);
    const auto found = std::find_if(blocks.begin(), blocks.end(), [&](const Part& part) { return part.name == name; });
    if (found != blocks.end()) {
      found->matrices.push_back(&matrix);
    } else {
      blocks.push_back({name, {&matrix}});
    }
  }
  return blocks;
}

/// Blocks, and in place of the worst, without which `share` of the sum is left, their matrices; worst first.
Result<std::vector<Part>> Calibrator::ranked_parts(double share) const {
  std::vector<Part> parts = blocks();
  FL_TRY(measure_alone(parts));
  const auto split = static_cast<std::ptrdiff_t>(enough(parts, 0, share));
  std::vector<Part> single;
  for (auto block = parts.begin(); block != parts.begin() + split; ++block) {
    for (const MatrixEntry* matrix : block->matrices) single.push_back({matrix->name, {matrix}});
  }
  parts.erase(parts.begin(), parts.begin() + split);
  FL_TRY(measure_alone(single));
  std::vector<Part> all;
  std::merge(single.begin(), single.end(), parts.begin(), parts.end(), std::back_inserter(all),
             [](const Part& a, const Part& b) { return a.divergence > b.divergence; });
  return all;
}

Result<Calibration> Calibrator::run() {
  Calibration calibration{probe_.pictures(), probe_.tokens(), options_.budget, 0, 0, {}, options_.keep};
  FL_ASSIGN(const std::vector<double> plain, measure("all in 8 bits", {}, ProbeStart::vision, all_));
  calibration.plain = calibration.final = mean_of(plain);
  if (calibration.plain <= options_.budget) return calibration;
  worst_ = largest(plain);
  double share = options_.budget / calibration.plain;
  FL_ASSIGN(const std::vector<Part> parts, ranked_parts(share));
  // Divergences of parts add up only nearly, so what is left is measured and, while it is too much, more is kept.
  std::size_t count = 0;
  while (calibration.final > options_.budget && count < parts.size()) {
    count = enough(parts, count + 1, share);
    FL_ASSIGN(calibration.final, measure_left(std::span(parts).first(count)));
    const double left = sum_of(std::span(parts).subspan(count)) / sum_of(parts);
    share = std::min(share, left * options_.budget / calibration.final);
  }
  for (const Part& part : parts) {
    PartError error{part.name, {}, part.divergence, calibration.parts.size() < count};
    for (const MatrixEntry* matrix : part.matrices) {
      error.matrices.push_back(matrix->name);
      if (error.kept) calibration.keep.push_back(matrix->name);
    }
    calibration.parts.push_back(std::move(error));
  }
  return calibration;
}

/// What the plan quantises.
Result<std::vector<MatrixEntry>> quantized_matrices(const std::string& directory, PrecisionPlan& plan,
                                                    const KernelTable& table, const CalibrationOptions& options) {
  FL_ASSIGN(Config config, load_config(directory));
  FL_ASSIGN(WeightReader reader, WeightReader::open(directory, {}));
  FL_TRY(adopt_sizes(reader, config.text));
  FL_ASSIGN(std::vector<MatrixEntry> matrices, list_matrices(reader, config, table));
  FL_ASSIGN(plan.kept, matching_tensors(matrices, options.keep));
  std::erase_if(matrices, [&](const MatrixEntry& matrix) {
    return plan.weight_type(matrix.tensors[0], DType::f32, table).dtype != DType::s8;
  });
  if (!matrices.empty()) return matrices;
  return Error{ErrorCode::argument,
               "nothing to calibrate: precision " + options.precision + " leaves nothing in 8 bits", ""};
}

Result<Calibration> calibrate(const std::string& directory, std::span<const ImageView> pictures,
                              const CalibrationOptions& options) {
  if (pictures.empty()) return Error{ErrorCode::argument, "calibration needs a picture", ""};
  FL_TRY(check_threads(options.threads));
  FL_ASSIGN(const KernelTable* table, portable_table());
  FL_ASSIGN(PrecisionPlan plan, parse_precision(options.precision == "auto" ? "int8" : options.precision, *table));
  FL_ASSIGN(std::vector<MatrixEntry> matrices, quantized_matrices(directory, plan, *table, options));
  FL_ASSIGN(Probe probe, Probe::create(directory, pictures, *table, options.threads,
                                       [&] { return !options.on_progress || options.on_progress("full precision"); }));
  return Calibrator(std::move(probe), std::move(plan), std::move(matrices), options).run();
}

}  // namespace

Result<Calibration> calibrate_model(const std::string& directory, std::span<const ImageView> pictures,
                                    const CalibrationOptions& options) {
  return guarded([&] { return calibrate(directory, pictures, options); });
}

}  // namespace florence2
