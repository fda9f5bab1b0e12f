// Generation rules in force: what the caller asked for, else what the checkpoint says, else the reference's defaults.
#pragma once

#include "core/result.hpp"
#include "model/config.hpp"
#include "model/florence2.hpp"
#include "model/generate.hpp"

namespace florence2 {

inline constexpr int kMaxBeams = 16;
inline constexpr int kDefaultNewTokens = 1024;
inline constexpr int kMostNewTokens = 1'000'000;  ///< accepted; what is used is cut to the position table

/// Errors: argument, naming the option, the value and its range.
Result<GenerationRules> rules_in_force(const Config& config, const GenerationOptions& options);

}  // namespace florence2
