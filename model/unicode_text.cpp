#include "model/unicode_text.hpp"

#include <algorithm>
#include <iterator>

#include "core/utf8.hpp"

namespace florence2 {
namespace {

/// The zeros of all decimal digits (category Nd of Unicode 14); each is followed by its one to nine.
constexpr char32_t kZeros[] = {0x30,    0x660,   0x6F0,   0x7C0,   0x966,   0x9E6,   0xA66,   0xAE6,   0xB66,   0xBE6,
                               0xC66,   0xCE6,   0xD66,   0xDE6,   0xE50,   0xED0,   0xF20,   0x1040,  0x1090,  0x17E0,
                               0x1810,  0x1946,  0x19D0,  0x1A80,  0x1A90,  0x1B50,  0x1BB0,  0x1C40,  0x1C50,  0xA620,
                               0xA8D0,  0xA900,  0xA9D0,  0xA9F0,  0xAA50,  0xABF0,  0xFF10,  0x104A0, 0x10D30, 0x11066,
                               0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0,
                               0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2,
                               0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0};

constexpr char32_t kSpaces[] = {0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};

/// Bytes of the last character of `text`, which is not empty; one byte where that is broken UTF-8.
std::size_t last_size(std::string_view text) {
  for (std::size_t size = 1; size <= std::min<std::size_t>(4, text.size()); ++size) {
    const Utf8Step step = utf8_step(text.substr(text.size() - size));
    if (step.valid && step.size == size) return size;
  }
  return 1;
}

}  // namespace

bool is_space(char32_t code_point) {
  if (code_point <= ' ') return code_point == ' ' || (code_point >= '\t' && code_point <= '\r') || code_point >= 0x1C;
  if (code_point >= 0x2000 && code_point <= 0x200A) return true;
  return std::binary_search(std::begin(kSpaces), std::end(kSpaces), code_point);
}

std::optional<int> digit_value(char32_t code_point) {
  const char32_t* above = std::upper_bound(std::begin(kZeros), std::end(kZeros), code_point);
  if (above == std::begin(kZeros) || code_point - above[-1] > 9) return std::nullopt;
  return static_cast<int>(code_point - above[-1]);
}

std::string_view strip_left(std::string_view text) {
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (!is_space(step.code_point)) break;
    text.remove_prefix(step.size);
  }
  return text;
}

std::string_view strip(std::string_view text) {
  text = strip_left(text);
  while (!text.empty()) {
    const std::size_t size = last_size(text);
    if (!is_space(utf8_step(text.substr(text.size() - size)).code_point)) break;
    text.remove_suffix(size);
  }
  return text;
}

std::string_view cut(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

}  // namespace florence2
