#include "weights/adapter.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "weights/stored_values.hpp"
#include "weights/tensor_names.hpp"

namespace florence2 {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kBaseLayer = ".base_layer.";  // stands in front of what a changed module had before
constexpr std::string_view kWeight = ".weight", kBias = ".bias";

/// `name` in both layouts, Hugging Face's first.
std::array<std::string, 2> both_names(std::string_view hf_name) { return {std::string(hf_name), ms_name(hf_name)}; }

std::string_view without(std::string_view text, std::string_view suffix) {
  text.remove_suffix(suffix.size());
  return text;
}

std::int64_t product(std::span<const std::int64_t> shape) {
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape) elements *= extent;
  return elements;
}

}  // namespace

Result<Adapter> Adapter::open(const std::string& directory, float scale) {
  if (!std::isfinite(scale)) return Error{ErrorCode::argument, "an adapter's scale must be finite", directory};
  FL_ASSIGN(AdapterConfig config, read_adapter_config(directory + "/adapter_config.json"));
  FL_ASSIGN(TensorSource source, TensorSource::open(directory, "adapter_model", "adapter_model"));
  Adapter adapter(std::move(source), std::move(config), scale);
  for (const TensorInfo& info : adapter.source_.tensors()) FL_TRY(adapter.sort_in(info));
  return adapter;
}

Adapter::Adapter(TensorSource source, AdapterConfig config, float scale)
    : source_(std::move(source)), config_(std::move(config)), scale_(scale), used_(source_.tensors().size()) {}

Status Adapter::sort_in(const TensorInfo& info) {
  std::string_view name = info.name;
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  if (!dtype_named(info.dtype)) return wrong(info, " has dtype " + info.dtype + "; supported: F32, F16, BF16");
  struct Ending {
    std::string_view text;
    Part Module::*part;
  };
  constexpr Ending kEndings[] = {
      {".lora_A.weight", &Module::a},
      {".lora_B.weight", &Module::b},
      {".lora_embedding_A", &Module::embedding_a},
      {".lora_embedding_B", &Module::embedding_b},
      {".lora_magnitude_vector", &Module::magnitude},
      {".lora_magnitude_vector.weight", &Module::magnitude},
      {".lora_B.bias", &Module::bias},
  };
  for (const auto& [ending, part] : kEndings) {
    if (!name.ends_with(ending)) continue;
    modules_[std::string(without(name, ending))].*part = &info;
    return {};
  }
  if (name.find(".lora_") != name.npos) return wrong(info, " is no part of LoRA or DoRA that is supported");
  std::string whole(name);
  if (const std::size_t at = whole.rfind(kBaseLayer); at != whole.npos) whole.erase(at, kBaseLayer.size() - 1);
  replacements_[whole] = &info;
  return {};
}

Adapter::Module* Adapter::find_module(std::string_view hf_name) {
  for (const std::string& name : both_names(hf_name)) {
    const std::string_view ending = name.ends_with(kBias) ? kBias : kWeight;
    if (!name.ends_with(ending)) continue;
    const auto found = modules_.find(without(name, ending));
    if (found != modules_.end()) return &found->second;
  }
  return nullptr;
}

Adapter::Part Adapter::find_replacement(std::string_view hf_name) const {
  for (const std::string& name : both_names(hf_name)) {
    const auto found = replacements_.find(name);
    if (found != replacements_.end()) return found->second;
  }
  return nullptr;
}

bool Adapter::touches(std::string_view hf_name) const {
  return const_cast<Adapter*>(this)->find_module(hf_name) != nullptr || find_replacement(hf_name) != nullptr;
}

std::vector<std::string> Adapter::modules() const {
  std::vector<std::string> names;
  for (const auto& [name, parts] : modules_) names.push_back(name);
  for (const auto& [name, part] : replacements_) {
    const std::string_view ending = name.ends_with(kBias) ? kBias : name.ends_with(kWeight) ? kWeight : "";
    names.emplace_back(without(name, ending));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Error Adapter::wrong(const TensorInfo& info, const std::string& what) const {
  return {ErrorCode::model, "tensor \"" + info.name + "\"" + what, source_.path_of(info)};
}

Result<Buffer<float>> Adapter::floats(const TensorInfo& info) {
  const DType dtype = *dtype_named(info.dtype);
  const auto size = static_cast<std::int64_t>(size_of(dtype));
  const std::int64_t elements = info.bytes / size;
  Buffer<float> values(elements);
  // A value to be widened is read into the second half of the memory that it will fill.
  auto* bytes =
      reinterpret_cast<std::byte*>(values.data()) + elements * (static_cast<std::int64_t>(sizeof(float)) - size);
  FL_TRY(source_.read(info, 0, {bytes, static_cast<std::size_t>(info.bytes)}));
  if (dtype != DType::f32) widen_in_place(values.data(), dtype, elements);
  used_[source_.index_of(info)] = true;
  return values;
}

Result<std::optional<Adapter::Replacement>> Adapter::replacement(std::string_view hf_name,
                                                                 std::span<const std::int64_t> shape) {
  const Part part = find_replacement(hf_name);
  if (part == nullptr) return std::optional<Replacement>();
  if (!std::ranges::equal(part->shape, shape)) {
    return wrong(*part, " is " + shape_text(part->shape) + ", the model has " + shape_text(shape));
  }
  FL_ASSIGN(Buffer<float> values, floats(*part));
  return std::optional(Replacement{std::move(values), part->name.find(kBaseLayer) != std::string::npos});
}

Result<std::optional<LowRank>> Adapter::change(std::string_view hf_name, std::span<const std::int64_t> shape) {
  for (const std::string& name : both_names(hf_name)) {
    const std::string_view ending = name.ends_with(kBias) ? kBias : kWeight;
    if (!name.ends_with(ending)) continue;
    const std::string module(without(name, ending));
    const auto found = modules_.find(module);
    if (found == modules_.end()) continue;
    const Module& parts = found->second;
    if (ending == kBias) {
      if (parts.bias == nullptr) continue;
      FL_ASSIGN(LowRank bias, bias_change(module, parts, shape));
      return std::optional(std::move(bias));
    }
    FL_ASSIGN(LowRank weight, parts.embedding_a != nullptr ? embedding_change(module, parts, shape)
                                                           : layer_change(module, parts, shape));
    return std::optional(std::move(weight));
  }
  return std::optional<LowRank>();
}

Result<LowRank> Adapter::layer_change(const std::string& module, const Module& parts,
                                      std::span<const std::int64_t> shape) {
  if (parts.a == nullptr || parts.b == nullptr) {
    return Error{ErrorCode::model, "module \"" + module + "\" has but one of lora_A and lora_B", source_.path()};
  }
  const std::vector<std::int64_t>&a = parts.a->shape, &b = parts.b->shape;
  LowRank change;
  change.rows = shape[0];
  change.cols = product(shape.subspan(1));
  change.rank = a.empty() ? 0 : a[0];
  // A convolution's A is one too, its B has a kernel of one pixel.
  const bool a_fits =
      shape.size() >= 2 && a.size() == shape.size() && std::equal(a.begin() + 1, a.end(), shape.begin() + 1);
  if (change.rank < 1 || !a_fits) {
    return wrong(*parts.a, " is " + shape_text(a) + ", which does not fit a weight of " + shape_text(shape));
  }
  const bool b_fits =
      b.size() == shape.size() && b[0] == change.rows && b[1] == change.rank && product(b) == change.rows * change.rank;
  if (!b_fits) return wrong(*parts.b, " is " + shape_text(b) + ", which does not fit lora_A " + shape_text(a));
  FL_ASSIGN(change.left, floats(*parts.b));
  FL_ASSIGN(change.right, floats(*parts.a));
  change.scale = scale_ * config_.scale(module, change.rank);
  if (parts.magnitude == nullptr) return change;
  if (product(parts.magnitude->shape) != change.rows) {
    return wrong(*parts.magnitude,
                 " is " + shape_text(parts.magnitude->shape) + ", expected " + std::to_string(change.rows) + " values");
  }
  FL_ASSIGN(change.magnitude, floats(*parts.magnitude));
  return change;
}

/// The change of an embedding [vocabulary, width] is kept as that of its transpose, and DoRA's norms with it.
Result<LowRank> Adapter::embedding_change(const std::string& module, const Module& parts,
                                          std::span<const std::int64_t> shape) {
  Module layer = parts;
  layer.a = std::exchange(layer.embedding_a, nullptr);
  layer.b = std::exchange(layer.embedding_b, nullptr);
  if (shape.size() != 2) return wrong(*layer.a, " is an embedding's, the weight is " + shape_text(shape));
  FL_ASSIGN(const LowRank change, layer_change(module, layer, std::array{shape[1], shape[0]}));
  return transposed(change);
}

Result<LowRank> Adapter::bias_change(const std::string& module, const Module& parts,
                                     std::span<const std::int64_t> shape) {
  if (parts.b == nullptr || !std::ranges::equal(parts.bias->shape, shape)) {
    return wrong(*parts.bias, " is " + shape_text(parts.bias->shape) + ", expected " + shape_text(shape));
  }
  const std::vector<std::int64_t>& b = parts.b->shape;
  if (b.size() < 2 || b[0] != shape[0] || b[1] < 1) {
    return wrong(*parts.b, " is " + shape_text(b) + ", which does not fit a bias of " + shape_text(shape));
  }
  LowRank change{shape[0], 1, 1, {}, Buffer<float>(1), scale_ * config_.scale(module, b[1])};
  change.right[0] = 1;
  FL_ASSIGN(change.left, floats(*parts.bias));
  return change;
}

Status Adapter::check_all_used() const {
  for (const TensorInfo& info : source_.tensors()) {
    // The encoder is given rows of the embedding, never tokens: this module is not called.
    if (used_[source_.index_of(info)] || info.name.find("encoder.embed_tokens.") != info.name.npos) continue;
    return wrong(info, " has no counterpart in this model; was the adapter made for another one?");
  }
  return {};
}

}  // namespace florence2
