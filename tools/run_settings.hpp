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

/// One question to every picture: a task, a task from a file, or a prompt that is sent as it is.
struct Job {
  std::optional<Task> task = {};
  std::optional<CustomTask> custom = {};
  std::string prompt = {};
  AnswerKind answer = AnswerKind::text;
  std::string text = {};  ///< of tasks that take text; location tokens for those that take a region
  std::optional<Box> region = {};

  /// "<OD>", or empty for a prompt.
  std::string_view task_token() const;
  /// "od", a custom task's name, or "prompt".
  std::string name() const;
  TaskInput input() const;
};

struct RunSettings {
  std::string model;
  std::vector<AdapterOptions> adapters;
  std::string precision = "auto";
  InputNames inputs;
  std::vector<Job> jobs;                ///< about every input
  std::string requests;                 ///< file with pictures and jobs of their own (requests.hpp), in place of both
  std::vector<std::string> files_read;  ///< for these settings: response files, tasks of one's own
  PictureOptions picture;
  RunOptions answer;  ///< what all jobs share: generation, compat, classes, how a prompt's answer is read, deadline
  int threads = 0;
  int batch = 1;  ///< pictures that are answered together
  bool check_weights = false;

  float min_score = 0;     ///< things below are left out
  bool ocr_lines = false;  ///< words in reading order, gathered into lines
  bool stream = false;     ///< text as it appears
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
