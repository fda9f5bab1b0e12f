#include "tools/npy.hpp"

#include <bit>

namespace florence2 {
namespace {

static_assert(std::endian::native == std::endian::little);

/// Magic, version 1.0, length of the dictionary, and the dictionary padded to a multiple of 64 bytes in all.
std::string header(const char* type, std::span<const std::int64_t> shape) {
  std::string dictionary = std::string("{'descr': '") + type + "', 'fortran_order': False, 'shape': (";
  for (const std::int64_t size : shape) dictionary += std::to_string(size) + ", ";
  dictionary += "), }";
  constexpr std::size_t kPreamble = 10;
  const std::size_t unpadded = kPreamble + dictionary.size() + 1;
  dictionary.append((64 - unpadded % 64) % 64, ' ') += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(dictionary.size() & 0xFF);
  bytes += static_cast<char>(dictionary.size() >> 8);
  return bytes + dictionary;
}

std::string encode(const char* type, std::span<const std::byte> elements, std::span<const std::int64_t> shape) {
  return header(type, shape).append(reinterpret_cast<const char*>(elements.data()), elements.size());
}

}  // namespace

std::string encode_npy(std::span<const std::uint8_t> elements, std::span<const std::int64_t> shape) {
  return encode("|u1", std::as_bytes(elements), shape);
}

std::string encode_npy(std::span<const float> elements, std::span<const std::int64_t> shape) {
  return encode("<f4", std::as_bytes(elements), shape);
}

}  // namespace florence2
