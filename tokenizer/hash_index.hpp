// Finds keys in a list by hash: open addressing over positions, while the keys stay in the owner's list. One block of
// memory for a whole vocabulary, where a node-based map would allocate for every key.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace florence2 {

class HashIndex {
 public:
  static constexpr std::int32_t kNone = -1;

  /// Room for `capacity` keys; inserting more is a mistake.
  explicit HashIndex(std::size_t capacity) : slots_(std::bit_ceil(2 * capacity + 2), kNone) {}

  /// The position inserted with `hash` for which is_key(position) holds, or kNone.
  template <typename IsKey>
  std::int32_t find(std::uint64_t hash, IsKey is_key) const {
    std::size_t slot = first_slot(hash);
    while (slots_[slot] != kNone && !is_key(slots_[slot])) slot = next_slot(slot);
    return slots_[slot];
  }

  /// The key must not be there yet.
  void insert(std::uint64_t hash, std::int32_t position) {
    std::size_t slot = first_slot(hash);
    while (slots_[slot] != kNone) slot = next_slot(slot);
    slots_[slot] = position;
  }

 private:
  /// The high bits of a product depend on all bits of the hash (the multiplier is 2^64 over the golden ratio).
  std::size_t first_slot(std::uint64_t hash) const {
    return (hash * 0x9E3779B97F4A7C15u) >> (64 - std::countr_zero(slots_.size()));
  }
  std::size_t next_slot(std::size_t slot) const { return (slot + 1) & (slots_.size() - 1); }

  std::vector<std::int32_t> slots_;  // a power of two, at most half of them taken
};

}  // namespace florence2
