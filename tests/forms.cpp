#include "tests/forms.hpp"

#include <utility>

#include "tests/checkpoint_file.hpp"
#include "tests/support.hpp"
#include "tests/torch_writer.hpp"

namespace florence2::test {
namespace {

std::string safetensors_of(std::span<const StoredTensor> tensors) {
  CheckpointFile file;
  for (const auto& [name, shape, dtype, bytes] : tensors) {
    file.add_bytes(name, shape, std::string(name_of(dtype)), bytes);
  }
  return file.bytes();
}

std::string torch_of(std::span<const StoredTensor> tensors) {
  std::string items;
  std::vector<ZipEntry> storages;
  for (const auto& [name, tensor_shape, dtype, bytes] : tensors) {
    const auto elements = static_cast<std::int64_t>(bytes.size() / size_of(dtype));
    std::string shape, strides;
    std::int64_t stride = elements;
    for (const std::int64_t extent : tensor_shape) {
      stride /= extent;
      shape += p_long(extent);
      strides += p_long(stride);
    }
    const std::string key = std::to_string(storages.size());
    const char* type = dtype == DType::f32 ? "FloatStorage" : dtype == DType::f16 ? "HalfStorage" : "BFloat16Storage";
    items += p_text(name) + p_tensor(p_storage(type, key, elements), 0, p_tuple(shape), p_tuple(strides));
    storages.push_back({key, bytes});
  }
  return torch_file_of(p_dict(items), storages);
}

}  // namespace

void write_weights(const TempFolder& folder, std::span<const StoredTensor> tensors, const WeightForm& form) {
  const std::string stem = form.torch ? "pytorch_model" : "model";
  const std::string extension = form.torch ? ".bin" : ".safetensors";
  const auto content = form.torch ? torch_of : safetensors_of;
  if (!form.sharded) {
    folder.write(stem + extension, content(tensors));
    return;
  }
  json::Object map;
  const std::size_t half = tensors.size() / 2;
  for (int shard = 0; shard < 2; ++shard) {
    const auto part = shard == 0 ? tensors.first(half) : tensors.subspan(half);
    const std::string name = stem + "-0000" + std::to_string(shard + 1) + "-of-00002" + extension;
    folder.write(name, content(part));
    for (const StoredTensor& tensor : part) map.emplace_back(tensor.name, name);
  }
  folder.write(stem + extension + ".index.json", json::dump(json::Object{{"weight_map", std::move(map)}}));
}

void write_tokenizer_parts(const TempFolder& folder, const json::Value& document) {
  const json::Value& model = at(document, "model");
  const json::Value& vocab = at(model, "vocab");
  std::string merges = "#version: 0.2\n";
  for (const json::Value& merge : *at(model, "merges").array()) {
    const json::Array* halves = merge.array();
    merges += (halves == nullptr ? *merge.string() : *(*halves)[0].string() + " " + *(*halves)[1].string()) + "\n";
  }
  json::Object added;
  json::Array special;
  const auto known = static_cast<std::int64_t>(vocab.object()->size());
  for (const json::Value& token : *at(document, "added_tokens").array()) {
    if (int_of(at(token, "id")) < known) continue;
    added.emplace_back(text_of(at(token, "content")), at(token, "id"));
    if (*at(token, "special").boolean()) special.push_back(at(token, "content"));
  }
  folder.write("vocab.json", json::dump(vocab));
  folder.write("merges.txt", merges);
  folder.write("added_tokens.json", json::dump(added));
  folder.write("special_tokens_map.json", json::dump(json::Object{{"additional_special_tokens", special}}));
}

}  // namespace florence2::test
