// What `florence2 compare` was asked to do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/contestant.hpp"
#include "tools/run_settings.hpp"

namespace florence2 {

struct CompareSettings {
  RunSettings run;                          ///< pictures, jobs, generation, threads, output
  std::vector<ContestantSpec> contestants;  ///< the first is what the others are compared with
  bool json = false;
  std::string html;  ///< file of the report; empty: none
};

/// Reads the command line; empty when help or version was asked for and printed.
Result<std::optional<CompareSettings>> parse_compare_settings(int argc, char** argv);

}  // namespace florence2
