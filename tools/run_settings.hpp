// What `florence2 run` was asked to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/florence2.hpp"
#include "tools/inputs.hpp"

namespace florence2 {

/// In the order of all_formats().
enum class Format : std::uint8_t { text, json, jsonl, csv, coco, yolo, voc, labelme, svg, txt };

/// One question to every picture.
struct Job {
  std::optional<Task> task = {};  ///< none: `prompt` is sent as it is
  std::string prompt = {};
  std::string text = {};  ///< of tasks that take text; location tokens for those that take a region
  std::optional<Box> region = {};

  /// "<OD>", or empty without a task.
  std::string_view task_token() const { return task ? task_info(*task).token : std::string_view(); }
};

struct RunSettings {
  std::string model;
  std::string precision = "auto";
  InputNames inputs;
  std::vector<Job> jobs;
  PictureOptions picture;
  GenerationOptions generation;
  Compat compat = Compat::none;
  int threads = 0;
  bool check_weights = false;

  Format format = Format::text;
  std::string output;  ///< file or folder; empty: standard output, or beside the pictures
  bool overwrite = false;
  std::string draw;          ///< file or folder for annotated pictures; empty: none
  std::string masks, crops;  ///< folders; empty: none
  bool quiet = false, verbose = false, timings = false;
};

/// Reads the command line; empty when help or version was asked for and printed. Everything that can be checked without
/// model and pictures is checked.
Result<std::optional<RunSettings>> parse_run_settings(int argc, char** argv);

}  // namespace florence2
