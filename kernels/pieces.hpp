// Scratch memory handed out piece by piece.
#pragma once

#include <cstdint>

namespace florence2 {

/// Hands out memory in pieces of whole cache lines. Without memory it only counts, so that one function can both say
/// what it needs and take it.
class Pieces {
 public:
  explicit Pieces(float* memory = nullptr) : memory_(memory) {}

  template <typename T>
  T* take(std::int64_t count) {
    constexpr std::int64_t line = 64, line_floats = line / std::int64_t{sizeof(float)};
    const std::int64_t begin = used_;
    used_ += (count * static_cast<std::int64_t>(sizeof(T)) + line - 1) / line * line_floats;
    return memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + begin);
  }

  std::int64_t floats() const { return used_; }

 private:
  float* memory_;
  std::int64_t used_ = 0;
};

/// Floats that taker(pieces) takes.
template <typename Taker>
std::int64_t floats_taken(const Taker& taker) {
  Pieces counted;
  taker(counted);
  return counted.floats();
}

}  // namespace florence2
