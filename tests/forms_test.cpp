// The table of docs/weights.md: one seeded model in every form that people hold it in, each loaded and answering.
// Oracles: the reference's goldens where the numbers are the goldens' own; else a file that must give the same bits.
#include "tests/forms.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/isa.hpp"
#include "model/convert.hpp"
#include "model/image.hpp"
#include "tests/golden_check.hpp"
#include "tests/support.hpp"
#include "weights/tensor_names.hpp"
#include "weights/tensor_source.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;
using namespace test;

std::string named(const std::string& hf_name, const std::string& layout) {
  return layout == "ms" ? ms_name(hf_name) : hf_name;
}

std::vector<StoredTensor> tensors_of(const std::string& folder) {
  const auto source = TensorSource::open(folder, "model", "pytorch_model");
  REQUIRE(source);
  std::vector<StoredTensor> tensors;
  for (const TensorInfo& info : source->tensors()) {
    const auto dtype = dtype_named(info.dtype);
    REQUIRE(dtype);
    tensors.push_back({info.name, info.shape, *dtype, std::string(static_cast<std::size_t>(info.bytes), '\0')});
    REQUIRE(source->read(info, 0, std::as_writable_bytes(std::span(tensors.back().bytes))));
  }
  return tensors;
}

/// Everything but the weights.
void copy_small_files(const std::string& folder, const TempFolder& copy) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename() != "model.safetensors") fs::copy(entry.path(), copy.path());
  }
}

void replace_tokenizer_by_parts(const TempFolder& folder) {
  const json::Value document = load_json(folder.file("tokenizer.json"));
  fs::remove(folder.file("tokenizer.json"));
  write_tokenizer_parts(folder, document);
}

/// The LM head as a tensor of its own: `factor` times the embedding.
void add_head(std::vector<StoredTensor>& tensors, const std::string& layout, float factor) {
  const std::string head_name = named("lm_head.weight", layout);
  const std::string shared_name = named("model.language_model.shared.weight", layout);
  std::erase_if(tensors, [&](const StoredTensor& tensor) { return tensor.name == head_name; });
  const auto shared = std::ranges::find(tensors, shared_name, &StoredTensor::name);
  REQUIRE(shared != tensors.end());
  StoredTensor head = *shared;
  head.name = head_name;
  std::vector<float> values(head.bytes.size() / sizeof(float));
  std::memcpy(values.data(), head.bytes.data(), head.bytes.size());
  for (float& value : values) value *= factor;
  std::memcpy(head.bytes.data(), values.data(), head.bytes.size());
  tensors.push_back(std::move(head));
}

StoredTensor widened(const StoredTensor& tensor) {
  StoredTensor wide{tensor.name, tensor.shape, DType::f32, {}};
  for (std::size_t i = 0; i < tensor.bytes.size(); i += sizeof(std::uint16_t)) {
    std::uint16_t bits;
    std::memcpy(&bits, tensor.bytes.data() + i, sizeof bits);
    const float value = tensor.dtype == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
    wide.bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return wide;
}

Model load(const std::string& folder, const ModelOptions& options = {.threads = 1, .precision = "fp32"}) {
  auto model = Model::load(folder, options);
  INFO(folder << ": " << (model ? "" : model.error().text()));
  REQUIRE(model);
  return std::move(model).value();
}

/// Logits of three steps of a caption of the first picture.
std::vector<float> logits_of(const Model& model) {
  const ModelImpl& impl = model.impl();
  const auto picture = Picture::open(*reference_dir() + "/images/scene-640x480-1.png");
  REQUIRE(picture);
  const std::int64_t side = impl.config.image.side;
  std::vector<float> pixels(static_cast<std::size_t>(3 * side * side));
  preprocess(pixels.data(), picture->view(), impl.config.image);
  Engine engine(impl, 1);
  const View<const float> image = engine.encode_image({pixels.data(), side * side, 3});
  const auto ids = impl.tokenizer->encode("What does the image describe?");
  REQUIRE(ids);
  const View<const float> memory = engine.encode_prompt(image, *ids);
  DecoderState& decoder = engine.decoder();
  decoder.start(engine.context(), impl.weights.decoder, memory, 1, 3);
  std::vector<float> all;
  for (const std::int32_t token : {2, 0, 250}) {
    const int parent = 0;
    const View<const float> logits = decoder.step(engine.context(), impl.weights.decoder, {&token, 1}, {&parent, 1});
    all.insert(all.end(), logits.data, logits.data + logits.cols);
  }
  return all;
}

/// The golden's first picture with its first two tasks, without their variants: golden_test has the rest.
json::Value few_cases(const json::Value& golden) {
  const json::Value& first = (*at(golden, "images").array())[0];
  json::Array cases;
  for (std::size_t i = 0; i < 2; ++i) {
    json::Object one = *(*at(first, "cases").array())[i].object();
    std::erase_if(one, [](const json::Member& member) { return member.first == "variants"; });
    cases.emplace_back(std::move(one));
  }
  json::Object image = *first.object();
  std::ranges::find(image, "cases", &json::Member::first)->second = std::move(cases);
  return json::Object{{"float64_check", at(golden, "float64_check")}, {"images", json::Array{std::move(image)}}};
}

struct Form {
  const char* name;
  WeightForm weights;
  bool own_head = false;
  bool tokenizer_parts = false;
};
constexpr Form kForms[] = {{"model.safetensors", {}},
                           {"shards of safetensors", {.sharded = true}},
                           {"pytorch_model.bin", {.torch = true}},
                           {"shards of pytorch_model.bin", {.torch = true, .sharded = true}},
                           {"LM head listed, equal to the embedding", {}, true},
                           {"vocab.json and merges.txt", {}, false, true}};

TEST_CASE("every form of f32 weights answers as the goldens say") {
  const std::string layout = GENERATE("hf", "ms");
  const auto folder = checkpoint("mini", layout, "f32");
  if (!folder) return;
  const json::Value golden = few_cases(load_json(*reference_dir() + "/model/mini-1.json"));
  for (const Form& form : kForms) {
    INFO(form.name << ", " << layout);
    const TempFolder copy;
    copy_small_files(*folder, copy);
    std::vector<StoredTensor> tensors = tensors_of(*folder);
    if (form.own_head) add_head(tensors, layout, 1);
    write_weights(copy, tensors, form.weights);
    if (form.tokenizer_parts) replace_tokenizer_by_parts(copy);
    const Model model = load(copy.path());
    CHECK(model.info().layout == layout);
    CHECK(model.info().warnings.empty());
    CHECK(model.info().tied_head == !form.own_head);
    GoldenCheck check(model, golden, golden, 1);
    check.run(*reference_dir() + "/images");
  }
}

// Twice the embedding is exact, and so is every sum of products with it.
TEST_CASE("an LM head of its own is the one that is used") {
  const std::string layout = GENERATE("hf", "ms");
  const auto folder = checkpoint("mini", layout, "f32");
  if (!folder) return;
  const TempFolder copy;
  copy_small_files(*folder, copy);
  std::vector<StoredTensor> tensors = tensors_of(*folder);
  add_head(tensors, layout, 2);
  write_weights(copy, tensors, {});
  std::vector<float> expected = logits_of(load(*folder));
  for (float& logit : expected) logit *= 2;
  CHECK(logits_of(load(copy.path())) == expected);
}

// The oracle is a file of the same numbers widened, which is exact.
TEST_CASE("half precision in every form gives the bits of its numbers in f32") {
  const std::string layout = GENERATE("hf", "ms"), dtype = GENERATE("f16", "bf16");
  const auto folder = checkpoint("mini", layout, dtype);
  if (!folder) return;
  const std::vector<StoredTensor> tensors = tensors_of(*folder);
  std::vector<StoredTensor> wide;
  std::ranges::transform(tensors, std::back_inserter(wide), widened);
  const TempFolder f32;
  copy_small_files(*folder, f32);
  write_weights(f32, wide, {});
  const Model original = load(f32.path());
  const std::vector<float> expected = logits_of(original);
  for (const WeightForm form : {WeightForm{}, WeightForm{.sharded = true}, WeightForm{.torch = true}}) {
    INFO(layout << " " << dtype << " torch " << form.torch << " sharded " << form.sharded);
    const TempFolder copy;
    copy_small_files(*folder, copy);
    write_weights(copy, tensors, form);
    const Model model = load(copy.path());
    CHECK(logits_of(model) == expected);
    CHECK(model.impl().weights.vision_id == original.impl().weights.vision_id);
  }
}

TEST_CASE("pictures encoded by one layout are another's, by another checkpoint they are not") {
  const auto hf = checkpoint("mini", "hf", "f32"), ms = checkpoint("mini", "ms", "f32");
  if (!hf || !ms) return;
  const std::uint32_t id = load(*hf).impl().weights.vision_id;
  CHECK(load(*ms).impl().weights.vision_id == id);
  // A merged low-rank change touches matrices alone.
  for (const char* const changed : {"fc1.weight", "image_projection", "norm.bias"}) {
    std::vector<StoredTensor> tensors = tensors_of(*hf);
    const auto one = std::ranges::find_if(tensors, [&](const StoredTensor& tensor) {
      return tensor.name.find("language_model") == tensor.name.npos && tensor.name.find(changed) != tensor.name.npos;
    });
    REQUIRE(one != tensors.end());
    INFO(one->name);
    one->bytes[0] ^= 1;
    const TempFolder other;
    copy_small_files(*hf, other);
    write_weights(other, tensors, {});
    CHECK(load(other.path()).impl().weights.vision_id != id);
  }
}

// The oracle is the original, quantised while it is loaded, with kernels of the limits that converted files keep.
TEST_CASE("a converted file gives the bits of its original in 8 bits") {
  const std::string layout = GENERATE("hf", "ms");
  const auto folder = checkpoint("mini", layout, "f32");
  if (!folder) return;
  const auto tables = available_tables();
  const auto table = std::ranges::find_if(tables, [](const KernelTable* one) { return one->quad_limit > 0; });
  if (table == tables.end()) {
    WARN("no kernels that converted files are made with: not checked");
    return;
  }
  const ModelOptions options{.isa = (*table)->name, .threads = 1, .precision = "int8"};
  const TempFolder converted;
  REQUIRE(convert_model(*folder, converted.path(), {.threads = 1}));
  const Model original = load(*folder, options), model = load(converted.path(), options);
  CHECK(logits_of(model) == logits_of(original));
  CHECK(model.impl().weights.vision_id == original.impl().weights.vision_id);
  CHECK(model.impl().weights.vision_id == load(*folder).impl().weights.vision_id);  // in fp32
}

}  // namespace
}  // namespace florence2
