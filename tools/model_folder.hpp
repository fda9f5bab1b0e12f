// Which checkpoint to use.
#pragma once

#include <string>

#include "core/result.hpp"

namespace florence2 {

/// `named` (-m) if not empty: a folder, or a name of the hub (parse_repository) that is in its cache. Else
/// $FLORENCE2_MODEL, else the demo checkpoint that ships with the program, which is then said on standard error unless
/// `quiet`. Error not_found when there is none.
Result<std::string> find_model(const std::string& named, bool quiet);

}  // namespace florence2
