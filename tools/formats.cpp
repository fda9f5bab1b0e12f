#include "tools/formats.hpp"

namespace florence2 {
namespace {

constexpr FormatInfo kFormats[] = {
    {Format::text, "text", FormatPlace::file, "for people: plain text, aligned tables"},
    {Format::json, "json", FormatPlace::file, "one array with an object for each answer"},
    {Format::jsonl, "jsonl", FormatPlace::file, "an object a line"},
    {Format::csv, "csv", FormatPlace::file, "a row for each thing or text"},
    {Format::coco, "coco", FormatPlace::folder, "COCO: instances.json, results.json, captions.json"},
    {Format::yolo, "yolo", FormatPlace::folder, "YOLO: labels/, scores/, data.yaml"},
    {Format::voc, "voc", FormatPlace::beside, "Pascal VOC: an XML file for each picture"},
    {Format::labelme, "labelme", FormatPlace::beside, "LabelMe: a JSON file for each picture"},
    {Format::svg, "svg", FormatPlace::beside, "an SVG overlay for each picture"},
    {Format::txt, "txt", FormatPlace::beside, "a side-car text file for each picture"},
};

}  // namespace

std::span<const FormatInfo> all_formats() { return kFormats; }

const FormatInfo& format_info(Format format) { return kFormats[static_cast<std::size_t>(format)]; }

Writer make_folder_writer(const RunSettings& settings, OutputFolder folder) {
  switch (settings.format) {
    case Format::coco:
      return coco_writer(std::move(folder));
    case Format::yolo:
      return yolo_writer(std::move(folder));
    case Format::voc:
      return voc_writer(std::move(folder));
    case Format::labelme:
      return labelme_writer(std::move(folder));
    case Format::svg:
      return svg_writer(std::move(folder));
    default:
      return sidecar_writer(std::move(folder), settings.ocr_lines);
  }
}

Status PictureWriter::answer(const PictureFacts& picture, const Job& job, const TaskResult& result) {
  if (picture.index != index_) answers_.clear();  // of a picture that was not completed
  index_ = picture.index;
  answers_.push_back({job, result});
  return {};
}

Status PictureWriter::picture_done(const PictureFacts& picture) {
  const std::vector<Answered> answers = std::exchange(answers_, {});
  return write(picture, answers);
}

}  // namespace florence2
