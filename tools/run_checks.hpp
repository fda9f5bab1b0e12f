// Options of `florence2 run` that do not go together, found before a model is loaded.
#pragma once

#include "tools/job_options.hpp"
#include "tools/run_settings.hpp"

namespace florence2 {

/// Pictures and questions come from the options or from a file of requests, not from both. Error argument.
Status check_sources(const RunSettings& settings, const JobOptions& question);

/// The same for all other options; settings.jobs are made. Error argument.
Status check_combinations(const RunSettings& settings, const JobOptions& question);

}  // namespace florence2
