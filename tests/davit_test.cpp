// The vision tower and the projector, stage by stage, against the formulas in double.
#include "model/davit.hpp"

#include <catch2/catch.hpp>

#include "kernels/isa.hpp"
#include "model/projector.hpp"
#include "tests/support.hpp"
#include "tests/tiny_model.hpp"

namespace florence2 {
namespace {

using namespace test;

// Each stage is about 30 f32 operations deep; every one adds a rounding error of a few 2^-24 of its magnitude, which
// the norms carry on with a factor near 1. Measured errors are near 1e-6 of the largest value; 30 * 2 * 2^-24 = 3.6e-6.
constexpr double kTolerance = 4e-6;

std::vector<std::vector<float>> run_stages(const Config& config, const Weights& weights, Context& context,
                                           const std::vector<float>& pixels) {
  std::vector<std::vector<float>> outputs;
  DavitBuffers buffers;
  const std::int64_t side = config.image.side;
  run_davit(context, weights.vision, config.vision, config.image.side, {pixels.data(), side * side, 3}, buffers,
            [&](int stage, View<const float> x) {
              REQUIRE(stage == static_cast<int>(outputs.size()));
              REQUIRE(x.stride == x.cols);
              outputs.emplace_back(x.data, x.data + x.rows * x.cols);
            });
  return outputs;
}

TEST_CASE("every stage of the tower equals the formulas") {
  const KernelTable* table = GENERATE(from_range(available_tables()));
  // 40: maps of 10, 5, 3, 2 with padded windows; 128: 32, 16, 8, 4, all multiples of the 4x4 window.
  const int side = GENERATE(40, 128);
  INFO(table->name << ", side " << side);
  Config config = tiny_config();
  config.image.side = side;
  TinyTensors tensors(1);
  const Weights weights = tiny_weights(tensors, config, *table);
  Context context(*table, 2);
  const std::vector<float> pixels = random_pixels(config, 2);

  const auto outputs = run_stages(config, weights, context, pixels);
  const auto expected = ReferenceModel(tensors, config).stages(to_matrix(pixels.data(), side * side, 3));
  REQUIRE(outputs.size() == kVisionStages);
  for (std::size_t s = 0; s < kVisionStages; ++s) {
    INFO("stage " << s);
    CHECK(relative_difference({outputs[s].data(), expected[s].rows, expected[s].cols}, expected[s]) < kTolerance);
  }
}

TEST_CASE("image tokens equal the formulas") {
  const KernelTable* table = GENERATE(from_range(available_tables()));
  const Config config = tiny_config();
  TinyTensors tensors(3);
  const Weights weights = tiny_weights(tensors, config, *table);
  Context context(*table, 1);
  const std::int64_t channels = config.image_width();
  const std::vector<float> map = Random(4).floats(4 * channels);
  std::vector<float> tokens(static_cast<std::size_t>(5 * config.text.d_model));
  const View<float> dst(tokens.data(), 5, config.text.d_model);

  ProjectorBuffers buffers;
  run_projector(context, dst, {map.data(), 4, channels}, {2, 2}, weights.projector, buffers);
  const Matrix expected = ReferenceModel(tensors, config).image_tokens(to_matrix(map.data(), 4, channels));
  CHECK(relative_difference(dst, expected) < kTolerance);
}

TEST_CASE("the tower's bits do not depend on the number of threads") {
  const KernelTable* table = GENERATE(from_range(available_tables()));
  const Config config = tiny_config();
  TinyTensors tensors(5);
  const Weights weights = tiny_weights(tensors, config, *table);
  const std::vector<float> pixels = random_pixels(config, 6);
  Context one(*table, 1);
  Context three(*table, 3);
  CHECK(run_stages(config, weights, one, pixels) == run_stages(config, weights, three, pixels));
}

}  // namespace
}  // namespace florence2
