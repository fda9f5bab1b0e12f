// safetensors files: a validated header and reads by name. Nothing is mapped, so a file that shrinks meanwhile is a
// read error, never a signal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/dtype.hpp"
#include "core/file.hpp"
#include "core/result.hpp"

namespace florence2 {

struct TensorInfo {
  std::string name;
  std::string dtype;                // as written: "F16", "I64", …
  std::vector<std::int64_t> shape;  // rank <= 8
  std::int64_t offset = 0;          // in the file
  std::int64_t bytes = 0;
};

class SafetensorsFile {
 public:
  /// Opens and validates the whole header: length, JSON, dtypes, shapes, and offsets that cover the file without hole
  /// or overlap. Every failure that robustness.md lists has its own message. Errors: not_found, permission, io, model.
  static Result<SafetensorsFile> open(const std::string& path);

  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // in file order
  const TensorInfo* find(std::string_view name) const;
  const File& file() const { return file_; }

 private:
  explicit SafetensorsFile(File file) : file_(std::move(file)) {}
  File file_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string_view, const TensorInfo*> by_name_;  // keys live in tensors_
};

}  // namespace florence2
