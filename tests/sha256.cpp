#include "tests/sha256.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace florence2::test {
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

std::string sha256(std::span<const std::byte> bytes) {
  static constexpr auto primes = first_primes();
  static const auto constants = [] {
    std::array<std::uint32_t, 64> values{};
    for (std::size_t i = 0; i < 64; ++i) values[i] = fraction_bits(std::cbrt(static_cast<long double>(primes[i])));
    return values;
  }();
  State state{};
  for (std::size_t i = 0; i < 8; ++i) state[i] = fraction_bits(std::sqrt(static_cast<long double>(primes[i])));

  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const std::size_t whole = bytes.size() / 64 * 64;
  for (std::size_t at = 0; at < whole; at += 64) add_block(state, data + at, constants);
  std::vector<std::uint8_t> tail(data + whole, data + bytes.size());
  tail.push_back(0x80);
  tail.resize(tail.size() + (120 - tail.size()) % 64);
  const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) tail.push_back(static_cast<std::uint8_t>(bits >> shift));
  for (std::size_t at = 0; at < tail.size(); at += 64) add_block(state, tail.data() + at, constants);

  std::string text;
  for (const std::uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
  }
  return text;
}

}  // namespace florence2::test
