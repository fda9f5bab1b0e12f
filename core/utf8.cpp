#include "core/utf8.hpp"

#include "core/check.hpp"

namespace florence2 {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr std::string_view kReplacementBytes = "\xEF\xBF\xBD";

struct ByteRange {
  unsigned low, high;
};

/// What may follow `lead`: narrower than 80..BF where that would give an overlong form, a surrogate or too large a
/// code point.
ByteRange second_byte(unsigned lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {0x80, 0xBF};
  }
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
  FL_DCHECK(!text.empty());
  const unsigned lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1, true};
  if (lead < 0xC2 || lead > 0xF4) return {kReplacement, 1, false};
  const std::size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t code_point = lead & (0x7Fu >> size);
  ByteRange range = second_byte(lead);
  for (std::size_t i = 1; i < size; ++i) {
    const unsigned byte = i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
    if (byte < range.low || byte > range.high) return {kReplacement, i, false};
    code_point = code_point << 6 | (byte & 0x3F);
    range = {0x80, 0xBF};
  }
  return {code_point, size, true};
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = utf8_step(text.substr(at));
    if (!step.valid) return at;
    at += step.size;
  }
  return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    out += step.valid ? text.substr(0, step.size) : kReplacementBytes;
    text.remove_prefix(step.size);
  }
  return out;
}

}  // namespace florence2
