// From the options that say what to ask to the jobs of a run.
#pragma once

#include <string>
#include <vector>

#include "tools/run_settings.hpp"

namespace florence2 {

/// What the options say before they are put together as jobs.
struct JobOptions {
  std::vector<std::string> tasks;  ///< names, of the table or of `task_file`
  std::string task_file;
  std::vector<std::string> prompts;
  std::string text;
  std::vector<Box> regions;
};

/// A job for each task and region, in the order asked; prompts last. Without any: open-vocabulary detection when
/// classes are given, text with quadrilaterals when lines are asked for, else a caption. Errors: argument for unknown
/// tasks, inputs that nobody takes, tasks that miss theirs; those of load_tasks(); data for two tasks of one name.
Result<std::vector<Job>> make_jobs(const JobOptions& question, const RunSettings& settings);

}  // namespace florence2
