// Text inside XML and SVG.
#pragma once

#include <string>
#include <string_view>

namespace florence2 {

/// `text` for element content and attribute values: &, <, > and quotes escaped, what XML 1.0 cannot hold (most control
/// characters, broken UTF-8) replaced by U+FFFD, line breaks as character references.
std::string escape_markup(std::string_view text);

}  // namespace florence2
