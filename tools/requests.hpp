// Pictures and what to ask about each, from a file of JSON lines (README, "Requests").
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/inputs.hpp"
#include "tools/run_settings.hpp"

namespace florence2 {

/// What to ask about one picture.
struct Assignment {
  Input input;
  std::vector<Job> jobs;
};

/// Reads a file with one object a line: "image", then "task" (with "text" or "region": [x0, y0, x1, y1], where the task
/// takes it) or "prompt". Consecutive requests about one picture become one assignment; empty lines are left out. "-"
/// reads standard input. Errors: not_found (also without any request), permission, io; data, naming the line, for what
/// `florence2 run` would refuse as options. `shared`: what all jobs have in common.
Result<std::vector<Assignment>> read_requests(const std::string& file, const RunOptions& shared);

}  // namespace florence2
