// Writes made-up answers about three pictures in every format, for read_formats.py: format_samples FOLDER. What it must
// read back is in FOLDER/answers.jsonl.
#include <cstdio>
#include <filesystem>

#include "tools/formats.hpp"
#include "tools/picture_file.hpp"
#include "tools/picture_outputs.hpp"

namespace florence2 {
namespace {

constexpr int kWidth = 200, kHeight = 120;

TaskResult result_with(AnswerKind kind, std::vector<Item> items) {
  TaskResult result;
  result.answer.kind = kind;
  result.answer.items = std::move(items);
  result.text = "raw";
  return result;
}

TaskResult text_result(std::string text) {
  TaskResult result;
  result.text = result.answer.text = std::move(text);
  result.confidence = 0.75f;
  return result;
}

std::vector<Answered> first_picture() {
  const Polygons house = {{{10.5f, 10}, {60, 10}, {60, 50.25f}, {10.5f, 50.25f}}, {{180, 20}, {200, 20}, {190, 120}}};
  return {
      {{.task = Task::object_detection, .answer = AnswerKind::boxes},
       result_with(AnswerKind::boxes, {{"cat", Box{1.25f, 2.5f, 100.125f, 60}, 0.5f},
                                       {"red, \"big\" <dog> & café", Box{0, 0, 200, 120}, 0.25f},
                                       {"cat", Box{150, 100, 199.5f, 119.75f}, 0.125f}})},
      {{.task = Task::referring_segmentation, .answer = AnswerKind::polygons, .text = "a house"},
       result_with(AnswerKind::polygons, {{"", house, 0.875f}})},
      {{.task = Task::ocr_with_region, .answer = AnswerKind::quads},
       result_with(AnswerKind::quads, {{"HELLO 世界", Quad{Point{20, 70}, {80, 72.5f}, {79, 90}, {19, 88}}, 0.75f}})},
      {{.task = Task::caption, .answer = AnswerKind::text}, text_result("A cat, \"two\" dogs\nand a café.")}};
}

std::vector<Answered> second_picture() {
  return {{{.task = Task::object_detection, .answer = AnswerKind::boxes}, result_with(AnswerKind::boxes, {})},
          {{.task = Task::caption, .answer = AnswerKind::text}, text_result("Nothing.")}};
}

/// Boxes alone.
std::vector<Answered> third_picture() {
  return {{{.task = Task::object_detection, .answer = AnswerKind::boxes},
           result_with(AnswerKind::boxes, {{"cat", Box{20, 30.5f, 90.25f, 70}, 0.625f}})}};
}

Result<Writer> writer_named(const std::string& folder, Format format) {
  RunSettings settings;
  settings.format = format;
  settings.output = folder + "/" + std::string(format_info(format).name);
  if (format_info(format).place == FormatPlace::file) settings.output += ".out";
  if (format == Format::jsonl) settings.output = folder + "/answers.jsonl";
  return make_answer_writer(settings, true);
}

Status write_with(const std::string& folder, Writer writer) {
  std::vector<std::uint8_t> pixels(std::size_t{3} * kWidth * kHeight);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 7 % 251);
  const ImageView view{pixels.data(), kWidth, kHeight, 3 * kWidth};
  int index = 0;
  for (const auto& answers : {first_picture(), second_picture(), third_picture()}) {
    const std::string name = "picture " + std::to_string(index + 1) + ".png";
    PictureFacts facts{.input = {folder + "/images/" + name, name}, .index = index++, .pixels = view};
    facts.width = kWidth;
    facts.height = kHeight;
    FL_ASSIGN(const std::string png, encode_png(view));
    FL_TRY(write_file(facts.input.path, png));
    for (const Answered& answered : answers) FL_TRY(writer->answer(facts, answered.job, answered.result));
    FL_TRY(writer->picture_done(facts));
  }
  return writer->finish();
}

Status write_samples(const std::string& folder) {
  for (const FormatInfo& format : all_formats()) {
    FL_ASSIGN(Writer writer, writer_named(folder, format.format));
    FL_TRY(write_with(folder, std::move(writer)));
  }
  FL_ASSIGN(OutputFolder masks, OutputFolder::open(folder + "/masks"));
  FL_TRY(write_with(folder, masks_writer(std::move(masks))));
  FL_ASSIGN(OutputFolder crops, OutputFolder::open(folder + "/crops"));
  FL_TRY(write_with(folder, crops_writer(std::move(crops))));
  FL_ASSIGN(Writer drawing, draw_writer({folder + "/drawn.svg", true, true}));
  return write_with(folder, std::move(drawing));
}

}  // namespace
}  // namespace florence2

int main(int argc, char** argv) {
  if (argc != 2) return 64;
  const std::string folder = argv[1];
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder + "/images");
  const florence2::Status status = florence2::write_samples(folder);
  if (!status) std::fprintf(stderr, "%s\n", status.error().text().c_str());
  return status ? 0 : 1;
}
