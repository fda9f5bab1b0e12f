// FNV-1a, 64 bits: a quick hash for telling things apart, not against intent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace florence2 {

inline constexpr std::uint64_t kFnvStart = 0xCBF29CE484222325u;

/// The hash of what `hash` has seen, followed by `bytes`.
inline std::uint64_t fnv1a(std::uint64_t hash, std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001B3u;
  return hash;
}

}  // namespace florence2
