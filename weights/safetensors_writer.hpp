// Writing safetensors files: all tensors are announced first, because the header stands in front, then written in
// order.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/atomic_file.hpp"
#include "core/dtype.hpp"
#include "core/result.hpp"

namespace florence2 {

class SafetensorsWriter {
 public:
  /// Announces the next tensor.
  void add(std::string name, DType dtype, std::vector<std::int64_t> shape);
  std::int64_t bytes() const { return bytes_; }  ///< of all tensors announced

  /// Writes the header. Errors: cannot_create, io.
  Status begin(const std::string& path, const std::map<std::string, std::string>& metadata);
  /// The next bytes of the tensors, which follow each other in the order they were announced.
  Status write(std::span<const std::byte> bytes);
  /// The file appears under its name now. All bytes announced must have been written.
  Status finish();

 private:
  struct Entry {
    std::string name;
    DType dtype;
    std::vector<std::int64_t> shape;
    std::int64_t begin, end;  // bytes of the data
  };
  std::vector<Entry> entries_;
  std::optional<AtomicFile> file_;
  std::int64_t bytes_ = 0, written_ = 0;
};

}  // namespace florence2
