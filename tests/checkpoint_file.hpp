// Writes small safetensors files for tests, with values that every storage type holds exactly.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"

namespace florence2::test {

/// Element i of the tensor called `name`: a whole number in [-127, 127], never the same run for two names.
inline float test_value(std::string_view name, std::int64_t i) {
  const std::uint64_t seed = std::hash<std::string_view>{}(name) % 1009;
  return static_cast<float>((static_cast<std::uint64_t>(i) * (2 * seed + 37) + seed) % 255) - 127.0f;
}

/// The bits of a value that the type holds exactly and not as a subnormal.
inline std::string stored_bytes(DType dtype, float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  std::uint32_t stored = bits;
  if (dtype == DType::bf16) stored = bits >> 16;
  if (dtype == DType::f16) {
    const std::uint32_t magnitude = (bits & 0x7FFFFFFFu) >> 13;
    stored = (bits >> 16 & 0x8000u) | (magnitude == 0 ? 0 : magnitude - (112u << 10));
  }
  std::string bytes;
  for (std::size_t i = 0; i < size_of(dtype); ++i) bytes += static_cast<char>(stored >> (8 * i));
  return bytes;
}

class CheckpointFile {
 public:
  /// A tensor of test_value(value_name, i), by default of its own name.
  void add(const std::string& name, const std::vector<std::int64_t>& shape, DType dtype, std::string value_name = "") {
    if (value_name.empty()) value_name = name;
    std::int64_t elements = 1;
    for (const std::int64_t extent : shape) elements *= extent;
    std::string bytes;
    for (std::int64_t i = 0; i < elements; ++i) bytes += stored_bytes(dtype, test_value(value_name, i));
    add_bytes(name, shape, std::string(name_of(dtype)), bytes);
  }
  void add_bytes(const std::string& name, const std::vector<std::int64_t>& shape, const std::string& dtype,
                 const std::string& bytes) {
    std::string text;
    for (const std::int64_t extent : shape) text += (text.empty() ? "" : ",") + std::to_string(extent);
    header_ += (header_.empty() ? "{\"" : ",\"") + name + R"(":{"dtype":")" + dtype + R"(","shape":[)" + text +
               R"(],"data_offsets":[)" + std::to_string(data_.size()) + "," +
               std::to_string(data_.size() + bytes.size()) + "]}";
    data_ += bytes;
  }
  std::string bytes() const {
    const std::string header = header_ + "}";
    std::string prefix;
    for (int i = 0; i < 8; ++i) prefix += static_cast<char>(header.size() >> (8 * i));
    return prefix + header + data_;
  }

 private:
  std::string header_, data_;
};

}  // namespace florence2::test
