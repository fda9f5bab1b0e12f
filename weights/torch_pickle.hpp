// The pickle inside a torch file: which tensors there are and which part of which storage each shows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace florence2 {

struct TorchTensor {
  std::string name;
  std::string_view dtype;             // as safetensors names it
  std::string storage;                // its key
  std::int64_t storage_size = 0;      // elements
  std::int64_t first = 0;             // element of the storage
  std::vector<std::int64_t> shape;    // rank <= 8
  std::vector<std::int64_t> strides;  // in elements
  std::int64_t elements = 0;
};

/// The tensors of a pickled dictionary {name: tensor}, in its order. Nothing is executed: globals outside a short list
/// are errors that name them. Every element of an accepted tensor lies in its storage, and the storage has no fewer
/// elements than the tensor. Error model.
Result<std::vector<TorchTensor>> read_torch_pickle(std::span<const std::byte> pickle);

}  // namespace florence2
