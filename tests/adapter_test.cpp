// LoRA, rsLoRA and DoRA against PEFT: tests/golden/adapters holds a tiny checkpoint, adapters, and what PEFT computed.
#include "weights/adapter.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kernels/isa.hpp"
#include "model/engine.hpp"
#include "tests/checkpoint_file.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"
#include "weights/tensor_source.hpp"
#include "weights/weight_reader.hpp"

namespace florence2 {
namespace {

using namespace test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

std::string golden() { return source_dir() + "/tests/golden/adapters/"; }

std::string bytes_of(const TensorSource& source, const TensorInfo& info) {
  std::string bytes(static_cast<std::size_t>(info.bytes), '\0');
  REQUIRE(source.read(info, 0, std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

/// A safetensors file with every tensor of `source` under the name that `rename` gives it. In both layouts'
/// image_projection is transposed when it changes its name.
template <typename Rename>
void write_renamed(const TensorSource& source, const std::string& path, const Rename& rename) {
  CheckpointFile file;
  for (const TensorInfo& info : source.tensors()) {
    const std::string name = rename(info.name);
    std::string bytes = bytes_of(source, info);
    std::vector<std::int64_t> shape = info.shape;
    if (name == "image_projection") {
      const std::string rows = bytes;
      const auto size = static_cast<std::int64_t>(bytes.size()) / (shape[0] * shape[1]);
      for (std::int64_t i = 0; i < shape[0] * shape[1]; ++i) {
        const std::int64_t to = i % shape[1] * shape[0] + i / shape[1];
        std::copy_n(rows.data() + i * size, size, bytes.data() + to * size);
      }
      std::swap(shape[0], shape[1]);
    }
    file.add_bytes(name, shape, info.dtype, bytes);
  }
  std::ofstream(path, std::ios::binary) << file.bytes();
}

/// The checkpoint in Microsoft's layout.
void write_ms_base(const TempFolder& folder) {
  fs::copy(golden() + "base", folder.path(), fs::copy_options::recursive);
  const auto base = TensorSource::open(golden() + "base", "model", "");
  REQUIRE(base);
  write_renamed(*base, folder.file("model.safetensors"), [](const std::string& name) { return ms_name(name); });
}

void replace_in_file(const std::string& path, const std::string& from, const std::string& to) {
  auto text = read_file(path, 1 << 20);
  REQUIRE(text);
  if (const std::size_t at = text->find(from); at != text->npos) text->replace(at, from.size(), to);
  std::ofstream(path, std::ios::binary) << *text;
}

/// The adapter as one that was trained on Microsoft's code.
void write_ms_adapter(const TempFolder& folder, const std::string& name) {
  fs::copy(golden() + name, folder.path(), fs::copy_options::recursive);
  replace_in_file(folder.file("adapter_config.json"), "\"conv\": 1", "\"proj\": 1");
  const auto adapter = TensorSource::open(golden() + name, "adapter_model", "");
  REQUIRE(adapter);
  write_renamed(*adapter, folder.file("adapter_model.safetensors"), [](const std::string& key) {
    const std::string prefix = "base_model.model.";
    if (key.find("image_projection") != key.npos) return key;  // no layer in that code
    const std::size_t part = std::min({key.find(".lora_"), key.find(".base_layer."), key.rfind('.')});
    const std::string module = key.substr(prefix.size(), part - prefix.size());
    const std::string renamed = ms_name(module + ".weight");
    return prefix + renamed.substr(0, renamed.size() - std::string(".weight").size()) + key.substr(part);
  });
}

struct Expected {
  std::map<std::string, std::vector<float>> values;
  std::map<std::string, std::vector<std::int64_t>> shapes;

  Expected() {
    const auto source = TensorSource::open(golden().substr(0, golden().size() - 1), "expected", "");
    REQUIRE(source);
    for (const TensorInfo& info : source->tensors()) {
      std::vector<float>& list = values[info.name];
      list.resize(static_cast<std::size_t>(info.bytes) / sizeof(float));
      REQUIRE(source->read(info, 0, std::as_writable_bytes(std::span(list))));
      shapes[info.name] = info.shape;
    }
  }
};

double largest_difference(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  double difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double off = std::abs(double{a[i]} - b[i]);
    if (std::isnan(off)) return off;
    difference = std::max(difference, off);
  }
  return difference;
}

Result<std::vector<float>> logits_of(const std::string& directory, std::vector<AdapterOptions> adapters) {
  ModelImpl model;
  model.table = available_tables().back();
  FL_ASSIGN(model.config, load_config(directory));
  ModelInfo info;
  const ModelOptions options{.threads = 1, .adapters = std::move(adapters)};
  FL_ASSIGN(model.weights, load_weights(directory, model.config, *model.table, {}, options, info));
  CHECK(info.warnings.empty());
  Engine engine(model, 1);
  const std::int64_t side = model.config.image.side;
  std::vector<float> pixels(static_cast<std::size_t>(3 * side * side));
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<float>(static_cast<int>((i * 37 + 11) % 255) - 127) / 64;
  }
  const View<const float> image = engine.encode_image({pixels.data(), side * side, 3});
  const View<const float> memory = engine.encode_prompt(image, std::vector<std::int32_t>{0, 11, 2});
  DecoderState& decoder = engine.decoder();
  decoder.start(engine.context(), model.weights.decoder, memory, 1, 2);
  std::vector<float> all;
  for (const std::int32_t token : {2, 7}) {
    const int parent = 0;
    const View<const float> logits = decoder.step(engine.context(), model.weights.decoder, {&token, 1}, {&parent, 1});
    all.insert(all.end(), logits.data, logits.data + logits.cols);
  }
  return all;
}

const char* const kAdapters[] = {"lora", "rslora", "dora", "saved", "biased"};

TEST_CASE("logits with an adapter are PEFT's, in both layouts and both namings") {
  const Expected expected;
  const bool ms_checkpoint = GENERATE(false, true), ms_adapter = GENERATE(false, true);
  const TempFolder base, adapter;
  std::string base_path = golden() + "base";
  if (ms_checkpoint) {
    fs::remove_all(base.path());
    write_ms_base(base);
    base_path = base.path();
  }
  const auto plain = logits_of(base_path, {});
  INFO((plain ? "" : plain.error().text()));
  REQUIRE(plain);
  CHECK(largest_difference(*plain, expected.values.at("base.logits")) < 1e-4);
  for (const std::string name : kAdapters) {
    std::string path = golden() + name;
    if (ms_adapter) {
      fs::remove_all(adapter.path());
      write_ms_adapter(adapter, name);
      path = adapter.path();
    }
    const auto logits = logits_of(base_path, {{.directory = path}});
    INFO(name << " ms checkpoint " << ms_checkpoint << " ms adapter " << ms_adapter
              << (logits ? "" : logits.error().text()));
    REQUIRE(logits);
    CHECK(largest_difference(*logits, expected.values.at(name + ".logits")) < 1e-4);
    CHECK(largest_difference(*logits, *plain) > 1e-2);
  }
}

TEST_CASE("merged tensors are PEFT's") {
  const Expected expected;
  int compared = 0;
  for (const std::string name : kAdapters) {
    auto reader = WeightReader::open(golden() + "base", {.threads = 2});
    REQUIRE(reader);
    auto adapter = Adapter::open(golden() + name, 1);
    REQUIRE(adapter);
    reader->add(std::move(*adapter));
    reader->tie("lm_head.weight", "model.language_model.shared.weight");
    reader->tie("model.language_model.decoder.embed_tokens.weight", "model.language_model.shared.weight");
    const std::string prefix = name + ".merged.";
    for (const auto& [key, values] : expected.values) {
      if (!key.starts_with(prefix)) continue;
      const std::string tensor = key.substr(prefix.size());
      const std::vector<std::int64_t> shape = expected.shapes.at(key);
      INFO(key);
      Result<Buffer<float>> merged = Error{};
      if (shape.size() == 1) merged = reader->tensor(tensor, {shape[0]});
      if (shape.size() == 2) merged = reader->tensor(tensor, {shape[0], shape[1]});
      if (shape.size() == 4) merged = reader->tensor(tensor, {shape[0], shape[1], shape[2], shape[3]});
      INFO((merged ? "" : merged.error().text()));
      REQUIRE(merged);
      // Values of order 1, sums of at most 200 products: a few units in the last place of f32.
      CHECK(largest_difference(merged->span(), values) < 4e-6);
      ++compared;
    }
  }
  CHECK(compared > 60);
}

TEST_CASE("adapters add up, and their scale counts") {
  const std::string base = golden() + "base";
  const auto plain = logits_of(base, {});
  const auto off = logits_of(base, {{.directory = golden() + "lora", .scale = 0}});
  const auto twice =
      logits_of(base, {{golden() + "lora", 0.25f}, {golden() + "rslora", 0}, {golden() + "lora", 0.75f}});
  const auto once = logits_of(base, {{.directory = golden() + "lora"}});
  REQUIRE(off);
  REQUIRE(twice);
  REQUIRE(once);
  CHECK(largest_difference(*off, *plain) == 0);
  CHECK(largest_difference(*twice, *once) < 1e-4);
}

struct BadAdapter {
  std::string config;
  std::vector<std::string> tensors;  // of [2, 2]
  std::string message;
};

TEST_CASE("the model's facts name adapters and what they change") {
  auto config = load_config(golden() + "base");
  REQUIRE(config);
  const KernelTable& table = *available_tables().back();
  const ModelOptions options{.threads = 1, .adapters = {{golden() + "lora", 0.5f}, {golden() + "saved", 1}}};
  ModelInfo info;
  REQUIRE(load_weights(golden() + "base", *config, table, {}, options, info));
  REQUIRE(info.adapters.size() == 2);
  CHECK(info.adapters[0].directory == golden() + "lora");
  CHECK(info.adapters[0].scale == 0.5f);
  for (const AdapterInfo& adapter : info.adapters) {
    CHECK(std::ranges::is_sorted(adapter.modules));
    const auto source = TensorSource::open(adapter.directory, "adapter_model", "adapter_model");
    REQUIRE(source);
    REQUIRE_FALSE(adapter.modules.empty());
    for (const std::string& module : adapter.modules) {
      INFO(module);
      CHECK(std::ranges::any_of(
          source->tensors(), [&](const TensorInfo& tensor) { return tensor.name.find(module) != tensor.name.npos; }));
    }
  }
}

TEST_CASE("adapters that do not fit are refused") {
  const std::string lora = R"({"peft_type":"LORA","lora_alpha":2})";
  const std::string k_proj = "base_model.model.model.language_model.encoder.layers.0.self_attn.k_proj.";
  const auto bad = GENERATE_COPY(values<BadAdapter>({
      {"[]", {}, "expected an object, found an array"},
      {"{}", {}, "peft_type none not supported; expected \"LORA\""},
      {R"({"peft_type":"IA3"})", {}, "peft_type \"IA3\" not supported"},
      {R"({"peft_type":"LORA"})", {}, "lora_alpha is missing or no number"},
      {R"({"peft_type":"LORA","lora_alpha":2,"use_qalora":true})", {}, "use_qalora is not supported"},
      {R"({"peft_type":"LORA","lora_alpha":2,"layer_replication":[[0,1]]})", {}, "layer_replication is not supported"},
      {R"({"peft_type":"LORA","lora_alpha":2,"init_lora_weights":"pissa_niter_4"})",
       {},
       "init_lora_weights \"pissa_niter_4\" changes the base weights too"},
      {R"({"peft_type":"LORA","lora_alpha":2,"alpha_pattern":{"q|k":2}})", {}, "\"q|k\" is a regular expression"},
      {R"({"peft_type":"LORA","lora_alpha":2,"alpha_pattern":{"q":"x"}})", {}, "alpha_pattern: \"q\" is no number"},
      {lora, {k_proj + "lora_A.weight"}, "has but one of lora_A and lora_B"},
      {lora, {k_proj + "lora_A.weight", k_proj + "lora_B.weight"}, "is [2, 2], which does not fit a weight of [8, 8]"},
      {lora, {k_proj + "lora_C.weight"}, "is no part of LoRA or DoRA that is supported"},
      {lora, {k_proj + "weight"}, "is [2, 2], the model has [8, 8]"},
      {lora, {"base_model.model.text_projection.lora_A.weight"}, "has no counterpart in this model"},
      {lora, {"base_model.model.classifier.weight"}, "has no counterpart in this model"},
  }));
  const TempFolder folder;
  CheckpointFile file;
  for (const std::string& name : bad.tensors) file.add(name, {2, 2}, DType::f32);
  if (!bad.tensors.empty()) folder.write("adapter_model.safetensors", file.bytes());
  folder.write("adapter_config.json", bad.config);
  const auto logits = logits_of(golden() + "base", {{.directory = folder.path()}});
  INFO(bad.config);
  REQUIRE_FALSE(logits);
  CHECK(logits.error().code == ErrorCode::model);
  CHECK_THAT(logits.error().where, Contains(folder.path()));
  CHECK_THAT(logits.error().message, Contains(bad.message));
}

const char* const kPlainLora = R"({"peft_type":"LORA","lora_alpha":1})";

struct TensorShape {
  std::string name;
  std::vector<std::int64_t> shape;
};

void write_adapter(const TempFolder& folder, const std::vector<TensorShape>& tensors) {
  CheckpointFile file;
  for (const TensorShape& tensor : tensors) file.add("base_model.model." + tensor.name, tensor.shape, DType::f32);
  folder.write("adapter_model.safetensors", file.bytes());
  folder.write("adapter_config.json", kPlainLora);
}

TEST_CASE("an adapter of vision weights encodes pictures differently, one of the text model does not") {
  const auto id = [](std::vector<AdapterOptions> adapters) {
    auto config = load_config(golden() + "base");
    REQUIRE(config);
    ModelInfo info;
    const ModelOptions options{.threads = 1, .adapters = std::move(adapters)};
    const auto weights = load_weights(golden() + "base", *config, *available_tables().back(), {}, options, info);
    REQUIRE(weights);
    return weights->vision_id;
  };
  const std::set<std::uint32_t> ids = {id({}), id({{golden() + "lora", 1}}), id({{golden() + "lora", 0.5f}}),
                                       id({{golden() + "dora", 1}})};
  CHECK(ids.size() == 4);
  CHECK(id({{golden() + "lora", 1}}) == id({{golden() + "lora", 1}}));
  CHECK(id({{golden() + "lora", 0}}) == id({}));
  const TempFolder text;
  const std::string module = "model.language_model.encoder.layers.0.self_attn.k_proj.";
  write_adapter(text, {{module + "lora_A.weight", {2, 8}}, {module + "lora_B.weight", {8, 2}}});
  CHECK(id({{text.path(), 1}}) == id({}));
  // The same factors on two blocks are two changes.
  std::set<std::uint32_t> blocks;
  for (const char* const block : {"spatial_block", "channel_block"}) {
    const TempFolder vision;
    const std::string fc1 = std::string("model.vision_tower.blocks.0.0.") + block + ".ffn.fc1.";
    write_adapter(vision, {{fc1 + "lora_A.weight", {2, 4}}, {fc1 + "lora_B.weight", {8, 2}}});
    blocks.insert(id({{vision.path(), 1}}));
  }
  CHECK(blocks.size() == 2);
  CHECK_FALSE(blocks.contains(id({})));
}

struct BadChange {
  std::vector<TensorShape> tensors;
  std::string asked;
  std::vector<std::int64_t> shape;
  std::string message;
};

TEST_CASE("changes of another shape than the tensor's are refused") {
  const auto bad = GENERATE(values<BadChange>({
      {{{"m.lora_A.weight", {1}}, {"m.lora_B.weight", {8}}},
       "m.weight",
       {8},
       "m.lora_A.weight\" is [1], which does not fit a weight of [8]"},
      {{{"m.lora_A.weight", {2, 4}}, {"m.lora_B.weight", {16}}},
       "m.weight",
       {8, 4},
       "m.lora_B.weight\" is [16], which does not fit lora_A [2, 4]"},
      {{{"m.lora_B.weight", {}}, {"m.lora_B.bias", {8}}},
       "m.bias",
       {8},
       "m.lora_B.weight\" is [], which does not fit a bias of [8]"},
      {{{"m.lora_B.weight", {4, 2}}, {"m.lora_B.bias", {8}}},
       "m.bias",
       {8},
       "m.lora_B.weight\" is [4, 2], which does not fit a bias of [8]"},
      {{{"m.lora_B.weight", {8, 2}}, {"m.lora_B.bias", {4}}}, "m.bias", {8}, "m.lora_B.bias\" is [4], expected [8]"},
  }));
  const TempFolder folder;
  write_adapter(folder, bad.tensors);
  auto adapter = Adapter::open(folder.path(), 1);
  REQUIRE(adapter);
  const auto change = adapter->change(bad.asked, bad.shape);
  INFO(bad.message);
  REQUIRE_FALSE(change);
  CHECK(change.error().code == ErrorCode::model);
  CHECK_THAT(change.error().message, Contains(bad.message));
}

const std::string kFc1 = "model.language_model.encoder.layers.0.fc1";

/// A reader of the golden checkpoint with these adapters.
WeightReader reader_with(const std::vector<std::string>& adapters, const WeightReader::Options& options) {
  auto reader = WeightReader::open(golden() + "base", options);
  REQUIRE(reader);
  for (const std::string& directory : adapters) {
    auto adapter = Adapter::open(directory, 1);
    REQUIRE(adapter);
    reader->add(std::move(*adapter));
  }
  return std::move(*reader);
}

TEST_CASE("a whole tensor takes the place of what earlier adapters made") {
  const TempFolder whole;
  const std::string name = kFc1 + ".weight";
  write_adapter(whole, {{name, {12, 8}}});
  WeightReader reader = reader_with({golden() + "lora", whole.path()}, {});
  const auto weight = reader.tensor(name, {12, 8});
  REQUIRE(weight);
  int wrong = 0;
  for (std::int64_t i = 0; i < weight->size(); ++i) {
    wrong += (*weight)[i] == test_value("base_model.model." + name, i) ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("values that adapters make are checked as the file's are") {
  const TempFolder folder;
  const auto add_values = [](CheckpointFile& file, const std::string& name, std::vector<std::int64_t> shape,
                             float second) {
    std::vector<float> values(static_cast<std::size_t>(shape[0] * shape[1]), 1.0f);
    values[1] = second;
    std::string bytes;
    for (const float value : values) bytes += stored_bytes(DType::f32, value);
    file.add_bytes("base_model.model." + kFc1 + name, shape, "F32", bytes);
  };
  const float bad = GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  CheckpointFile file;
  add_values(file, ".lora_A.weight", {1, 8}, bad);
  add_values(file, ".lora_B.weight", {12, 1}, 1);
  folder.write("adapter_model.safetensors", file.bytes());
  folder.write("adapter_config.json", kPlainLora);
  CHECK(reader_with({folder.path()}, {}).tensor(kFc1 + ".weight", {12, 8}));
  const auto checked = reader_with({folder.path()}, {.check_values = true}).tensor(kFc1 + ".weight", {12, 8});
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == ErrorCode::model);
  CHECK_THAT(checked.error().message, Contains(std::isnan(bad) ? "changed by adapters: NaN at element 1"
                                                               : "changed by adapters: infinity at element 1"));
}

TEST_CASE("an adapter's scale is a finite number") {
  const float scale = GENERATE(std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity());
  const auto adapter = Adapter::open(golden() + "lora", scale);
  REQUIRE_FALSE(adapter);
  CHECK(adapter.error().code == ErrorCode::argument);
  CHECK(adapter.error().where == golden() + "lora");
}

TEST_CASE("an adapter folder without its files is named") {
  const TempFolder folder;
  const auto none = Adapter::open(folder.path(), 1);
  REQUIRE_FALSE(none);
  CHECK(none.error().where == folder.file("adapter_config.json"));
  folder.write("adapter_config.json", R"({"peft_type":"LORA","lora_alpha":2})");
  const auto no_weights = Adapter::open(folder.path(), 1);
  REQUIRE_FALSE(no_weights);
  CHECK(no_weights.error().text() == folder.file("adapter_model.safetensors") + ": no such file");
}

}  // namespace
}  // namespace florence2
