// Arrays in NumPy's .npy format, version 1.0.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace florence2 {

/// A C-ordered little-endian array; the elements must fill the shape.
std::string encode_npy(std::span<const std::uint8_t> elements, std::span<const std::int64_t> shape);
std::string encode_npy(std::span<const float> elements, std::span<const std::int64_t> shape);

}  // namespace florence2
