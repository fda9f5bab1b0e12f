// Task names as people type them.
#pragma once

#include <string>

#include "model/florence2.hpp"

namespace florence2 {

/// ASCII letters in lower case.
inline std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

/// "od" for <OD>.
inline std::string short_name(const TaskInfo& info) { return lower_case(info.token.substr(1, info.token.size() - 2)); }

}  // namespace florence2
