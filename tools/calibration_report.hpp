// What `florence2 convert --calibrate` found, for people and for programs (docs/precision.md, "Calibration").
#pragma once

#include <string>

#include "core/json.hpp"
#include "model/calibrate.hpp"
#include "model/convert.hpp"

namespace florence2 {

/// A table of the parts, worst first, and the sums before and after.
std::string calibration_text(const Calibration& calibration, const ConvertReport& converted);

/// The contents of calibration.json.
json::Value calibration_json(const Calibration& calibration, const ConvertReport& converted);

}  // namespace florence2
