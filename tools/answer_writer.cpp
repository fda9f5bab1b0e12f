#include "tools/answer_writer.hpp"

#include "tools/formats.hpp"

namespace florence2 {

Result<Writer> make_answer_writer(const RunSettings& settings, bool headings, const SharedNames& names) {
  if (format_info(settings.format).place != FormatPlace::file) {
    FL_ASSIGN(OutputFolder folder, OutputFolder::open(settings.output, settings.overwrite, names));
    return make_folder_writer(settings, std::move(folder));
  }
  FL_TRY(names->take(settings.output));
  FL_ASSIGN(Output output, Output::open(settings.output));
  switch (settings.format) {
    case Format::json:
      return json_writer(std::move(output), {settings.answer.compat, settings.ocr_lines});
    case Format::jsonl:
      return json_lines_writer(std::move(output), {settings.answer.compat, settings.ocr_lines});
    case Format::csv:
      return csv_writer(std::move(output));
    default:
      return text_writer(std::move(output), {headings, settings.ocr_lines});
  }
}

}  // namespace florence2
