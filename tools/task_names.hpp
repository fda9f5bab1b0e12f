// Task names as people type them.
#pragma once

#include <string>

#include "model/florence2.hpp"

namespace florence2 {

/// "od" for <OD>.
inline std::string short_name(const TaskInfo& info) {
  std::string name(info.token.substr(1, info.token.size() - 2));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name;
}

}  // namespace florence2
