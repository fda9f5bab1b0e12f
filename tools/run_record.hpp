// The JSON objects of `florence2 run` (docs: README, "JSON").
#pragma once

#include <string>

#include "core/json.hpp"
#include "model/florence2.hpp"
#include "tools/inputs.hpp"
#include "tools/run_settings.hpp"

namespace florence2 {

/// What the records of one picture have in common.
struct PictureFacts {
  Input input;
  int index = 0;  ///< among the pictures of the run
  ImageView pixels = {};
  int width = 0, height = 0;
  int frames = 1;
  double decode_ms = 0;
  Timings encode = {};
  std::string precision = {};
};

struct RecordStyle {
  Compat compat = Compat::none;
  bool ocr_lines = false;  ///< add "lines"
};

/// The region that was asked about, in every format: x0, y0, x1, y1.
json::Array region_array(const Box& region);
json::Value answer_record(const PictureFacts& picture, const Job& job, const TaskResult& result, RecordStyle style);
json::Value failure_record(const std::string& image, const Job& job, const Error& error);

}  // namespace florence2
