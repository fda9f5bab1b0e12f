// What a precision means for each weight, and that a whole model runs in each of them with every kernel table.
#include "model/precision.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "model/engine.hpp"
#include "tests/checkpoint_file.hpp"
#include "tests/kernel_support.hpp"
#include "tests/temp_folder.hpp"
#include "tests/tiny_model.hpp"

namespace florence2::test {
namespace {

const char* const kVisionWeight = "model.vision_tower.blocks.0.0.spatial_block.ffn.fc1";
const char* const kTextWeight = "model.language_model.encoder.layers.0.fc1";

TEST_CASE("weights are kept as the precision and the table say") {
  KernelTable plain = {}, with_bf16 = {};
  with_bf16.gemm_f32_bf16_bf16p = [](const GemmBlockBf16&) {};
  for (const DType stored : {DType::f32, DType::f16, DType::bf16}) {
    CAPTURE(name_of(stored));
    for (const KernelTable* table : {&plain, &with_bf16}) {
      const auto type = [&](Precision precision) {
        return PrecisionPlan{precision, precision}.weight_type(kVisionWeight, stored, *table);
      };
      CHECK(type(Precision::fp32).dtype == stored);
      CHECK_FALSE(type(Precision::fp32).paired);  // fp32 never multiplies bf16 by bf16, whatever the file holds
      CHECK(type(Precision::int8).dtype == DType::s8);
      CHECK_FALSE(type(Precision::int8).paired);
    }
    const PrecisionPlan bf16 = {Precision::bf16, Precision::bf16};
    CHECK(bf16.weight_type(kTextWeight, stored, plain).dtype == (stored == DType::f32 ? DType::bf16 : stored));
    CHECK_FALSE(bf16.weight_type(kTextWeight, stored, plain).paired);
    CHECK(bf16.weight_type(kTextWeight, stored, with_bf16).dtype == DType::bf16);
    CHECK(bf16.weight_type(kTextWeight, stored, with_bf16).paired);
  }
}

TEST_CASE("in int8 the third patch embedding and the projection stay in 16 bits") {
  KernelTable plain = {}, with_bf16 = {};
  with_bf16.gemm_f32_bf16_bf16p = [](const GemmBlockBf16&) {};
  const PrecisionPlan int8 = {Precision::int8, Precision::int8}, text_only = {Precision::fp32, Precision::int8};
  for (const char* name : {"model.vision_tower.convs.2.conv", "model.multi_modal_projector.image_projection"}) {
    CAPTURE(name);
    CHECK(int8.weight_type(name, DType::f32, plain).dtype == DType::bf16);
    CHECK(int8.weight_type(name, DType::f16, plain).dtype == DType::f16);
    CHECK(int8.weight_type(name, DType::f16, with_bf16).paired);
    CHECK(text_only.weight_type(name, DType::f32, plain).dtype == DType::f32);
  }
  CHECK(int8.weight_type("model.vision_tower.convs.3.conv", DType::f16, plain).dtype == DType::s8);
}

TEST_CASE("parts of a model have precisions of their own") {
  const KernelTable table = {};
  const PrecisionPlan plan = {Precision::int8, Precision::fp32};
  CHECK(plan.weight_type(kVisionWeight, DType::f16, table).dtype == DType::s8);
  CHECK(plan.weight_type(kTextWeight, DType::f16, table).dtype == DType::f16);
  CHECK(plan.weight_type("lm_head", DType::f16, table).dtype == DType::f16);
}

/// The image's features and the logits of one decode step, of the tiny model in `folder`.
std::vector<float> outcome(const std::string& folder, const KernelTable& table, const PrecisionPlan& precision) {
  ModelImpl model;
  model.config = tiny_config();
  model.table = &table;
  ModelInfo info;
  auto weights = load_weights(folder, model.config, table, precision, {.threads = 1}, info);
  INFO((weights ? "" : weights.error().text()));
  REQUIRE(weights);
  model.weights = std::move(weights).value();
  Engine engine(model, 1);
  const std::vector<float> pixels = random_pixels(model.config, 32);
  const std::int64_t side = model.config.image.side;
  const View<const float> image = engine.encode_image({pixels.data(), side * side, 3});
  std::vector<float> all(image.data, image.data + image.rows * image.cols);
  const View<const float> memory = engine.encode_prompt(image, std::vector<std::int32_t>{0, 11, 2});
  engine.decoder().start(engine.context(), model.weights.decoder, memory, 1, 1);
  const std::int32_t token = 2;
  const int parent = 0;
  const View<const float> logits =
      engine.decoder().step(engine.context(), model.weights.decoder, {&token, 1}, {&parent, 1});
  all.insert(all.end(), logits.data, logits.data + logits.cols);
  return all;
}

/// Root of the mean square of a - b, by that of a.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0, difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    squares += static_cast<double>(a[i]) * a[i];
    difference += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  }
  return std::sqrt(difference / squares);
}

TEST_CASE("a whole model in bf16 and in int8 stays near itself in fp32, with every table") {
  TinyTensors tensors{31};
  const Config config = tiny_config();
  tiny_weights(tensors, config, *tables_8bit().front());
  const TempFolder folder;
  CheckpointFile file;
  for (const auto& [name, tensor] : tensors.drawn()) {
    const std::string bytes(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * sizeof(float));
    file.add_bytes(name, tensor.shape, "F32", bytes);
  }
  folder.write("model.safetensors", file.bytes());
  const std::vector<float> exact = outcome(folder.path(), *tables_8bit().front(), {});
  for (const KernelTable* table : tables_8bit()) {
    CAPTURE(table->name);
    CHECK(distance(exact, outcome(folder.path(), *table, {})) < 1e-4);
    const double bf16 = distance(exact, outcome(folder.path(), *table, {Precision::bf16, Precision::bf16}));
    const double int8 = distance(exact, outcome(folder.path(), *table, {Precision::int8, Precision::int8}));
    CAPTURE(bf16, int8);
    // Roundings by up to 2^-8, and to 1/254 of a row's largest, which ten blocks in a row make several times larger.
    CHECK((bf16 > 0 && bf16 < 0.05));
    CHECK((int8 > 0 && int8 < 0.1));
  }
}

}  // namespace
}  // namespace florence2::test
