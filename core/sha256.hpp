// SHA-256 (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace florence2 {

class Sha256 {
 public:
  Sha256();
  void add(std::span<const std::byte> bytes);
  /// The digest in lower-case hexadecimal; nothing may be added afterwards.
  std::string finish();

 private:
  const std::array<std::uint32_t, 64>* constants_;
  std::array<std::uint32_t, 8> state_{};
  std::array<std::uint8_t, 64> block_{};
  std::size_t filled_ = 0;
  std::uint64_t size_ = 0;
};

/// The digest of some bytes.
inline std::string sha256(std::span<const std::byte> bytes) {
  Sha256 sum;
  sum.add(bytes);
  return sum.finish();
}

}  // namespace florence2
