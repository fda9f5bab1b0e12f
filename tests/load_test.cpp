// From a safetensors file to working weights: sizes that the file corrects, tied and untied heads, aliases, warnings.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "kernels/isa.hpp"
#include "model/engine.hpp"
#include "tests/checkpoint_file.hpp"
#include "tests/forms.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"
#include "tests/tiny_model.hpp"
#include "weights/tensor_names.hpp"

namespace florence2 {
namespace {

using namespace test;

const std::string kShared = "model.language_model.shared.weight";

std::string bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

/// The tensors of a tiny model, to be changed and written as a checkpoint.
struct TinyFile {
  TinyFile() { expected = tiny_weights(tensors, config, table); }

  void write() const {
    CheckpointFile file;
    for (const auto& [name, tensor] : tensors.drawn()) {
      file.add_bytes(name == kShared ? shared_name : name, tensor.shape, "F32", bytes_of(tensor.values));
    }
    for (const auto& [name, tensor] : extra) file.add_bytes(name, tensor.shape, "F32", bytes_of(tensor.values));
    folder.write("model.safetensors", file.bytes());
  }
  Result<Weights> load() {
    write();
    return load_weights(folder.path(), loaded_config, table, {}, {.threads = 1}, info);
  }

  const KernelTable& table = *available_tables().back();
  Config config = tiny_config();
  Config loaded_config = config;
  TinyTensors tensors{31};
  Weights expected;
  std::map<std::string, Tensor> extra;
  std::string shared_name = kShared;
  ModelInfo info;
  TempFolder folder;
};

/// Logits of two decode steps after a whole run through the model.
std::vector<float> outcome(Weights weights, const Config& config, const KernelTable& table) {
  ModelImpl model;
  model.config = config;
  model.weights = std::move(weights);
  model.table = &table;
  Engine engine(model, 1);
  const std::vector<float> pixels = random_pixels(config, 32);
  const std::int64_t side = config.image.side;
  const View<const float> image = engine.encode_image({pixels.data(), side * side, 3});
  const View<const float> memory = engine.encode_prompt(image, std::vector<std::int32_t>{0, 11, 2});
  DecoderState& decoder = engine.decoder();
  decoder.start(engine.context(), model.weights.decoder, memory, 1, 2);
  std::vector<float> all;
  for (const std::int32_t token : {2, 40}) {
    const int parent = 0;
    const View<const float> logits = decoder.step(engine.context(), model.weights.decoder, {&token, 1}, {&parent, 1});
    all.insert(all.end(), logits.data, logits.data + logits.cols);
  }
  return all;
}

TEST_CASE("a file gives the weights that its tensors hold") {
  TinyFile file;
  auto weights = file.load();
  INFO((weights ? "" : weights.error().text()));
  REQUIRE(weights);
  CHECK(file.info.layout == "hf");
  CHECK(file.info.storage == "F32");
  CHECK(file.info.tied_head);
  CHECK(file.info.warnings.empty());
  std::int64_t elements = 0;
  for (const auto& [name, tensor] : file.tensors.drawn()) elements += static_cast<std::int64_t>(tensor.values.size());
  CHECK(file.info.parameters == elements);
  CHECK(file.info.weight_bytes >= elements * 4);
  CHECK(outcome(std::move(weights).value(), file.config, file.table) ==
        outcome(std::move(file.expected), file.config, file.table));
}

TEST_CASE("vocabulary and positions are the file's") {
  TinyFile file;
  file.loaded_config.text.vocabulary = 50;
  file.loaded_config.text.max_positions = 99;
  REQUIRE(file.load());
  CHECK(file.loaded_config.text.vocabulary == 67);
  CHECK(file.loaded_config.text.max_positions == 30);
}

TEST_CASE("a special token beyond the file's vocabulary is refused") {
  TinyFile file;
  file.loaded_config.text.vocabulary = 1'000'000;
  const auto [name, token] =
      GENERATE(table<const char*, int TextConfig::*>({{"bos_token_id", &TextConfig::bos},
                                                      {"pad_token_id", &TextConfig::pad},
                                                      {"eos_token_id", &TextConfig::eos},
                                                      {"decoder_start_token_id", &TextConfig::decoder_start},
                                                      {"forced_bos_token_id", &TextConfig::forced_bos},
                                                      {"forced_eos_token_id", &TextConfig::forced_eos}}));
  file.loaded_config.text.*token = 67;
  const auto weights = file.load();
  REQUIRE_FALSE(weights);
  CHECK(weights.error().code == ErrorCode::model);
  CHECK(weights.error().message == std::string(name) + " = 67, the vocabulary has 67 tokens");
}

TEST_CASE("the token embedding may stand under an alias") {
  TinyFile file;
  const std::string side = GENERATE("encoder", "decoder");
  file.shared_name = "model.language_model." + side + ".embed_tokens.weight";
  auto weights = file.load();
  REQUIRE(weights);
  CHECK(file.info.warnings.empty());
  CHECK(outcome(std::move(weights).value(), file.config, file.table) ==
        outcome(std::move(file.expected), file.config, file.table));
}

TEST_CASE("a head in the file is used instead of the embedding") {
  TinyFile file;
  Tensor doubled = file.tensors.get(kShared, {67, 24});
  for (float& value : doubled.values) value *= 2;
  file.extra["lm_head.weight"] = doubled;
  auto weights = file.load();
  REQUIRE(weights);
  CHECK_FALSE(file.info.tied_head);
  // Twice the head, the same embedding: twice the logits, exactly.
  std::vector<float> twice = outcome(std::move(file.expected), file.config, file.table);
  for (float& value : twice) value *= 2;
  CHECK(outcome(std::move(weights).value(), file.config, file.table) == twice);
}

TEST_CASE("final_logits_bias is added where it is not zero") {
  TinyFile file;
  file.extra["final_logits_bias"] = {{1, 67}, std::vector<float>(67, 0.0f)};
  auto without = file.load();
  REQUIRE(without);
  CHECK(without->decoder.head->bias.empty());
  file.extra["final_logits_bias"].values[5] = 3;
  auto with = file.load();
  REQUIRE(with);
  const std::vector<float> plain = outcome(std::move(without).value(), file.config, file.table);
  const std::vector<float> biased = outcome(std::move(with).value(), file.config, file.table);
  CHECK(biased[5] == plain[5] + 3);
  CHECK(biased[67 + 5] == plain[67 + 5] + 3);
  CHECK(std::equal(biased.begin() + 6, biased.begin() + 67, plain.begin() + 6));
}

TEST_CASE("unknown tensors are a warning, known leftovers are not") {
  TinyFile file;
  file.extra["model.vision_tower.norms.weight"] = {{2}, {1, 2}};
  file.extra["model.multi_modal_projector.visual_temporal_embed.pos_idx_to_embed"] = {{2}, {0, 1}};
  file.extra["model.language_model.encoder.embed_tokens.weight"] = {{1}, {1}};
  REQUIRE(file.load());
  CHECK(file.info.warnings.empty());
  file.extra["model.adapter.weight"] = {{1}, {1}};
  file.extra["model.adapter.bias"] = {{1}, {1}};
  REQUIRE(file.load());
  REQUIRE(file.info.warnings.size() == 1);
  CHECK(file.info.warnings[0] == "2 tensors not used (first: model.adapter.bias)");
}

TEST_CASE("weights of another width name both sizes") {
  TinyFile file;
  file.loaded_config.text.d_model = 1024;
  const auto weights = file.load();
  REQUIRE_FALSE(weights);
  CHECK(weights.error().code == ErrorCode::model);
  CHECK(weights.error().where == file.folder.file("model.safetensors"));
  CHECK(weights.error().message == "config.json says large (d_model 1024), weights look like another size (24)");
}

TEST_CASE("a tensor that other layers imply is missed by name") {
  TinyFile file;
  file.loaded_config.text.decoder_layers = 4;
  const auto weights = file.load();
  REQUIRE_FALSE(weights);
  CHECK(weights.error().code == ErrorCode::model);
  CHECK(weights.error().message.find("model.language_model.decoder.layers.3.") != std::string::npos);
}

// --- Forms (docs/weights.md) ----------------------------------------------------------------------------

/// The model's tensors as a checkpoint of the layout lists them.
std::vector<StoredTensor> listed(const TinyTensors& tensors, bool ms) {
  std::vector<StoredTensor> list;
  for (const auto& [name, tensor] : tensors.drawn()) {
    list.push_back({ms ? ms_name(name) : name, tensor.shape, DType::f32, bytes_of(tensor.values)});
    if (list.back().name != "image_projection") continue;
    std::vector<float> turned(tensor.values.size());
    const std::int64_t rows = tensor.shape[0], cols = tensor.shape[1];
    for (std::int64_t i = 0; i < rows * cols; ++i) {
      turned[static_cast<std::size_t>(i % cols * rows + i / cols)] = tensor.values[static_cast<std::size_t>(i)];
    }
    list.back().shape = {cols, rows};
    list.back().bytes = bytes_of(turned);
  }
  return list;
}

TEST_CASE("every form in both layouts gives the same model") {
  const bool ms = GENERATE(false, true), torch = GENERATE(false, true), sharded = GENERATE(false, true);
  const bool own_head = GENERATE(false, true);
  TinyFile tiny;
  std::vector<StoredTensor> tensors = listed(tiny.tensors, ms);
  if (own_head) {  // the same numbers, but listed
    const Tensor& shared = tiny.tensors.get(kShared, {67, 24});
    tensors.push_back(
        {ms ? ms_name("lm_head.weight") : "lm_head.weight", shared.shape, DType::f32, bytes_of(shared.values)});
  }
  write_weights(tiny.folder, tensors, {torch, sharded});
  auto weights = load_weights(tiny.folder.path(), tiny.loaded_config, tiny.table, {}, {.threads = 1}, tiny.info);
  INFO("ms " << ms << " torch " << torch << " sharded " << sharded << (weights ? "" : weights.error().text()));
  REQUIRE(weights);
  CHECK(tiny.info.layout == (ms ? "ms" : "hf"));
  CHECK(tiny.info.tied_head == !own_head);
  CHECK(tiny.info.warnings.empty());
  CHECK(outcome(std::move(weights).value(), tiny.config, tiny.table) ==
        outcome(std::move(tiny.expected), tiny.config, tiny.table));
}

}  // namespace
}  // namespace florence2
