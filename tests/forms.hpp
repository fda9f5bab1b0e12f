// Writes a checkpoint's tensors and its tokenizer in the forms that people hold them in (docs/weights.md).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.hpp"
#include "core/json.hpp"
#include "tests/temp_folder.hpp"

namespace florence2::test {

struct StoredTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  DType dtype;  // f32, f16 or bf16
  std::string bytes;
};

struct WeightForm {
  bool torch = false;    // pytorch_model.bin, else model.safetensors
  bool sharded = false;  // two shards and an index
};

/// Writes the tensors into the folder as `form` says.
void write_weights(const TempFolder& folder, std::span<const StoredTensor> tensors, const WeightForm& form);

/// Writes what the tokenizer.json `document` says in the older files. Tokens of the vocabulary itself are special by
/// their role alone; the others go to added_tokens.json and, where special, to special_tokens_map.json.
void write_tokenizer_parts(const TempFolder& folder, const json::Value& document);

}  // namespace florence2::test
