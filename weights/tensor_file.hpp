// What every format of weights comes down to: a file, and where in it the bytes of each tensor lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.hpp"
#include "core/dtype.hpp"
#include "core/file.hpp"

namespace florence2 {

struct TensorInfo {
  std::string name;
  std::string dtype;                // as safetensors names it: "F16", "I64", …
  std::vector<std::int64_t> shape;  // rank <= 8, row-major
  std::int64_t offset = 0;          // in the file
  std::int64_t bytes = 0;
  /// The values themselves, where the file holds them in another order; then offset means nothing.
  std::shared_ptr<const Buffer<std::byte>> values = nullptr;
};

/// The element type that we compute with of safetensors' name; nothing for others.
std::optional<DType> dtype_named(std::string_view name);
/// "[2, 3]".
std::string shape_text(std::span<const std::int64_t> shape);

/// Only 8-bit strips of our own files are mapped (TensorSource::map); a file that shrinks while others are read is an
/// error, never a signal.
struct TensorFile {
  File file;
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata = {};  // what the writer wrote about the file
};

}  // namespace florence2
