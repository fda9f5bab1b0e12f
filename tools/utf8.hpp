// Reading UTF-8 one character at a time, broken input included.
#pragma once

#include <cstddef>
#include <string_view>

namespace florence2 {

struct CodePoint {
  char32_t value = 0xFFFD;  ///< U+FFFD where the bytes are not UTF-8
  std::size_t bytes = 1;    ///< that it takes up; 1 where the bytes are not UTF-8
  bool valid = false;
};

/// The first character of `text`, which must not be empty.
CodePoint first_code_point(std::string_view text);

/// Number of characters; a broken byte counts as one.
std::size_t count_code_points(std::string_view text);

}  // namespace florence2
