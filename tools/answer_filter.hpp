// What the options change about answers before they are written.
#pragma once

#include "tools/run_settings.hpp"

namespace florence2 {

/// Leaves out things with a score below settings.min_score, whose classes may then be absent; puts words in reading
/// order for settings.ocr_lines.
void filter_result(TaskResult& result, const RunSettings& settings);

}  // namespace florence2
