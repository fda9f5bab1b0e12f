#include "core/sha256.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace florence2 {
namespace {

constexpr std::array<int, 64> first_primes() {
  std::array<int, 64> primes{};
  std::size_t count = 0;
  for (int n = 2; count < primes.size(); ++n) {
    bool prime = true;
    for (std::size_t i = 0; i < count; ++i) prime = prime && n % primes[i] != 0;
    if (prime) primes[count++] = n;
  }
  return primes;
}

/// The first 32 bits of the fractional part. Long double has 64 bits, of which at most 5 hold the whole part.
std::uint32_t fraction_bits(long double x) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(std::floor((x - std::floor(x)) * 0x1p32L)));
}

using State = std::array<std::uint32_t, 8>;

void add_block(State& state, const std::uint8_t* block, const std::array<std::uint32_t, 64>& constants) {
  std::array<std::uint32_t, 64> w{};
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t j = 0; j < 4; ++j) w[i] = w[i] << 8 | block[4 * i + j];
  }
  for (std::size_t i = 16; i < 64; ++i) {
    const std::uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (std::size_t i = 0; i < 64; ++i) {
    const std::uint32_t t1 =
        h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + constants[i] + w[i];
    const std::uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const State update{a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < 8; ++i) state[i] += update[i];
}

}  // namespace

Sha256::Sha256() {
  static constexpr auto kPrimes = first_primes();
  static const auto constants = [] {
    std::array<std::uint32_t, 64> values{};
    for (std::size_t i = 0; i < 64; ++i) values[i] = fraction_bits(std::cbrt(static_cast<long double>(kPrimes[i])));
    return values;
  }();
  constants_ = &constants;
  for (std::size_t i = 0; i < 8; ++i) state_[i] = fraction_bits(std::sqrt(static_cast<long double>(kPrimes[i])));
}

void Sha256::add(std::span<const std::byte> bytes) {
  size_ += bytes.size();
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  std::size_t left = bytes.size();
  while (left > 0) {
    const std::size_t taken = std::min(left, block_.size() - filled_);
    std::copy_n(data, taken, block_.begin() + static_cast<std::ptrdiff_t>(filled_));
    data += taken;
    left -= taken;
    filled_ += taken;
    if (filled_ < block_.size()) break;
    add_block(state_, block_.data(), *constants_);
    filled_ = 0;
  }
}

std::string Sha256::finish() {
  const std::uint64_t bits = size_ * 8;
  std::array<std::byte, 72> tail{std::byte{0x80}};
  // A one bit, zeros up to 8 bytes before the end of a block, the length.
  const std::size_t zeros = (block_.size() + 55 - filled_) % block_.size();
  for (std::size_t i = 0; i < 8; ++i) tail[1 + zeros + i] = static_cast<std::byte>(bits >> (56 - 8 * i));
  add(std::span(tail).first(zeros + 9));
  std::string text;
  for (const std::uint32_t word : state_) {
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
  }
  return text;
}

}  // namespace florence2
