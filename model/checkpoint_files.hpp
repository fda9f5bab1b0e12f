// The names of the files in a model's folder.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace florence2 {

/// Beside the weights, where a checkpoint has them.
inline constexpr std::array<std::string_view, 9> kSmallFiles = {
    "config.json",    "generation_config.json", "preprocessor_config.json",
    "tokenizer.json", "tokenizer_config.json",  "vocab.json",
    "merges.txt",     "added_tokens.json",      "special_tokens_map.json",
};

/// Whether a file of this name in the folder of a model or an adapter belongs to it.
inline bool is_checkpoint_file(std::string_view name) {
  constexpr std::array<std::string_view, 3> endings = {".safetensors", ".bin", ".index.json"};
  return std::ranges::find(kSmallFiles, name) != kSmallFiles.end() || name == "adapter_config.json" ||
         std::ranges::any_of(endings, [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace florence2
