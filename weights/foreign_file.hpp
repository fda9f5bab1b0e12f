// Files that people take for weights.
#pragma once

#include <string_view>

namespace florence2 {

/// What a file is, from its first bytes, as a message; empty when it looks like none of the usual mistakes.
std::string_view foreign_file(std::string_view head);

}  // namespace florence2
