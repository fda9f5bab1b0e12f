#include "tools/markup.hpp"

#include "core/utf8.hpp"

namespace florence2 {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::string_view escaped(char32_t character) {
  switch (character) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\t':
      return "&#9;";
    case '\n':
      return "&#10;";
    case '\r':
      return "&#13;";
    default:
      return {};
  }
}

}  // namespace

std::string escape_markup(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const std::string_view replaced = escaped(step.code_point);
    const bool allowed =
        step.valid && step.code_point >= 0x20 && step.code_point != 0xFFFE && step.code_point != 0xFFFF;
    if (!replaced.empty()) {
      out += replaced;
    } else {
      out += allowed ? text.substr(0, step.size) : kReplacement;
    }
    text.remove_prefix(step.size);
  }
  return out;
}

}  // namespace florence2
