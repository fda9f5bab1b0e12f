// Pascal VOC: an XML file for each picture. Pixels there are whole numbers from 1, both ends included; the exact
// numbers stand in <exact>.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "tools/answer_text.hpp"
#include "tools/formats.hpp"
#include "tools/markup.hpp"
#include "tools/shapes.hpp"

namespace florence2 {
namespace {

std::string element(std::string_view name, std::string_view text) {
  return "<" + std::string(name) + ">" + escape_markup(text) + "</" + std::string(name) + ">";
}

/// The first and the last pixel that [low, high) touches, counted from 1.
int first_pixel(float low, int side) { return std::clamp(static_cast<int>(std::floor(low)) + 1, 1, side); }
int last_pixel(float high, int side) { return std::clamp(static_cast<int>(std::ceil(high)), 1, side); }

std::string bndbox(const Box& box, const PictureFacts& picture) {
  const int x0 = first_pixel(box.x0, picture.width), y0 = first_pixel(box.y0, picture.height);
  const int x1 = std::max(x0, last_pixel(box.x1, picture.width)), y1 = std::max(y0, last_pixel(box.y1, picture.height));
  return "<bndbox>" + element("xmin", std::to_string(x0)) + element("ymin", std::to_string(y0)) +
         element("xmax", std::to_string(x1)) + element("ymax", std::to_string(y1)) + "</bndbox>";
}

std::string polygon(const std::vector<Point>& outline, const PictureFacts& picture) {
  std::string text = "<polygon>";
  for (std::size_t i = 0; i < outline.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    text += element("x" + number, std::to_string(first_pixel(outline[i].x, picture.width)));
    text += element("y" + number, std::to_string(first_pixel(outline[i].y, picture.height)));
  }
  return text + "</polygon>";
}

std::string exact(const std::vector<Point>& outline) {
  std::string text;
  for (const Point& point : outline) {
    text += (text.empty() ? "" : " ") + number_text(point.x) + " " + number_text(point.y);
  }
  return element("exact", text);
}

std::string object(const Answered& answered, const Item& item, const PictureFacts& picture) {
  std::string text = "  <object>\n    " + element("name", class_name(answered.job, item));
  text += "<pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>\n    ";
  text += bndbox(bounds(item), picture) + '\n';
  const bool box = std::holds_alternative<Box>(item.shape);
  for (const auto& outline : outlines(item)) {
    const std::vector<Point> ends = {outline[0], outline[box ? 2 : 0]};
    text += "    " + (box ? exact(ends) : polygon(outline, picture) + exact(outline)) + '\n';
  }
  text += "    " + element("score", number_text(item.score)) + element("task", answered.job.task_token());
  if (std::holds_alternative<Quad>(item.shape)) text += element("text", item.label);
  return text + "\n  </object>\n";
}

class VocWriter : public PictureWriter {
 public:
  explicit VocWriter(OutputFolder folder) : folder_(std::move(folder)) {}

 protected:
  Status write(const PictureFacts& picture, const std::vector<Answered>& answers) override {
    const std::filesystem::path file(picture.input.path);
    std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<annotation>\n";
    xml += "  " + element("folder", file.parent_path().filename().string()) + '\n';
    xml += "  " + element("filename", file.filename().string()) + '\n';
    xml += "  " + element("path", file.string()) + '\n';
    xml += "  <source><database>Unknown</database><annotation>florence2</annotation></source>\n";
    xml += "  <size>" + element("width", std::to_string(picture.width)) +
           element("height", std::to_string(picture.height)) + "<depth>3</depth></size>\n";
    bool segmented = false;
    std::string objects, captions;
    for (const Answered& answered : answers) {
      for (const Item& item : answered.result.answer.items) {
        if (outlines(item).empty() || outlines(item)[0].empty()) continue;
        segmented = segmented || !std::holds_alternative<Box>(item.shape);
        objects += object(answered, item, picture);
      }
      if (answered.result.answer.kind != AnswerKind::text) continue;
      captions += "  " + element("caption", readable_text(answered.result.answer.text)) + '\n';
    }
    xml += "  " + element("segmented", segmented ? "1" : "0") + '\n' + captions + objects + "</annotation>\n";
    return folder_.write(folder_.claim(picture.input) + ".xml", xml);
  }

 private:
  OutputFolder folder_;
};

}  // namespace

Writer voc_writer(OutputFolder folder) { return std::make_unique<VocWriter>(std::move(folder)); }

}  // namespace florence2
