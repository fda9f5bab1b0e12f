// safetensors files: the header, validated.
#pragma once

#include <string>

#include "core/result.hpp"
#include "weights/tensor_file.hpp"

namespace florence2 {

/// Opens and validates the whole header: length, JSON, dtypes, shapes, and offsets that cover the file without hole
/// or overlap. Every failure that robustness.md lists has its own message. Tensors come in file order. Errors:
/// not_found, permission, io, model.
Result<TensorFile> open_safetensors(const std::string& path);

}  // namespace florence2
