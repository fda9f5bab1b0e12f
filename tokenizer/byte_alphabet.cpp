#include "tokenizer/byte_alphabet.hpp"

#include "core/utf8.hpp"

namespace florence2 {
namespace {

constexpr int kBytes = 256;
constexpr int kShifted = 68;

constexpr bool stands_for_itself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

constexpr std::array<unsigned char, kShifted> shifted_bytes() {
  std::array<unsigned char, kShifted> bytes{};
  std::size_t count = 0;
  for (int byte = 0; byte < kBytes; ++byte) {
    if (!stands_for_itself(byte)) bytes[count++] = static_cast<unsigned char>(byte);
  }
  return bytes;
}

constexpr auto kShiftedBytes = shifted_bytes();

/// The byte of a character of the alphabet, or -1.
int byte_of(char32_t code_point) {
  if (code_point < kBytes) return stands_for_itself(static_cast<int>(code_point)) ? static_cast<int>(code_point) : -1;
  return code_point < kBytes + kShifted ? kShiftedBytes[code_point - kBytes] : -1;
}

/// UTF-8 of a code point below U+0800.
std::string short_utf8(int code_point) {
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3F))};
}

std::array<std::string, kBytes> make_alphabet() {
  std::array<std::string, kBytes> alphabet;
  for (int byte = 0; byte < kBytes; ++byte) alphabet[byte] = short_utf8(byte);
  for (int i = 0; i < kShifted; ++i) alphabet[kShiftedBytes[i]] = short_utf8(kBytes + i);
  return alphabet;
}

}  // namespace

const std::array<std::string, kBytes>& byte_alphabet() {
  static const std::array<std::string, kBytes> alphabet = make_alphabet();
  return alphabet;
}

void append_token_bytes(std::string_view token, std::string& out) {
  const std::size_t start = out.size();
  for (std::string_view rest = token; !rest.empty();) {
    const Utf8Step step = utf8_step(rest);
    const int byte = byte_of(step.code_point);
    if (byte < 0) {
      out.resize(start);
      out += token;
      return;
    }
    out += static_cast<char>(byte);
    rest.remove_prefix(step.size);
  }
}

}  // namespace florence2
