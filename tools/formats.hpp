// The formats of answers: one source file each, all behind AnswerWriter.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/answer_writer.hpp"
#include "tools/output.hpp"
#include "tools/output_folder.hpp"

namespace florence2 {

/// Where a format is written: into one file or standard output; into a folder; into a folder or beside the pictures.
enum class FormatPlace : std::uint8_t { file, folder, beside };

struct FormatInfo {
  Format format;
  std::string_view name;
  FormatPlace place;
  std::string_view description;
};

std::span<const FormatInfo> all_formats();
const FormatInfo& format_info(Format format);

struct TextStyle {
  bool headings = false;   ///< say what each answer belongs to
  bool ocr_lines = false;  ///< words with places as plain lines
};

// Into one file or standard output.
Writer text_writer(Output output, TextStyle style);
Writer json_writer(Output output, RecordStyle style);        ///< one array
Writer json_lines_writer(Output output, RecordStyle style);  ///< an object a line
Writer csv_writer(Output output);                            ///< a row an item, or a row a text

// Into a folder.
Writer coco_writer(OutputFolder folder);                     ///< instances.json, results.json, captions.json
Writer yolo_writer(OutputFolder folder);                     ///< labels/, scores/, data.yaml
Writer voc_writer(OutputFolder folder);                      ///< Pascal VOC: an XML file a picture
Writer labelme_writer(OutputFolder folder);                  ///< a JSON file a picture
Writer svg_writer(OutputFolder folder);                      ///< an overlay a picture
Writer sidecar_writer(OutputFolder folder, bool ocr_lines);  ///< a .txt file a picture

/// The one of settings.format.
Writer make_folder_writer(const RunSettings& settings, OutputFolder folder);

/// One answer of a picture, kept until all of them are there.
struct Answered {
  Job job;
  TaskResult result;
};

/// Base of the formats that write one file for each picture.
class PictureWriter : public AnswerWriter {
 public:
  Status answer(const PictureFacts& picture, const Job& job, const TaskResult& result) final;
  Status picture_done(const PictureFacts& picture) final;
  Status finish() override { return {}; }

 protected:
  virtual Status write(const PictureFacts& picture, const std::vector<Answered>& answers) = 0;

 private:
  int index_ = -1;  // of the picture that `answers_` are about
  std::vector<Answered> answers_;
};

}  // namespace florence2
