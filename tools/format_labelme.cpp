// LabelMe: a JSON file for each picture, in the form that labelme 5 writes. It opens the picture by its path, which is
// relative to the file.
#include "core/json.hpp"
#include "tools/answer_text.hpp"
#include "tools/formats.hpp"
#include "tools/shapes.hpp"

namespace florence2 {
namespace {

constexpr const char* kFormatVersion = "5.5.0";

json::Array points_array(const std::vector<Point>& outline) {
  json::Array points;
  for (const Point& point : outline) points.emplace_back(json::Array{point.x, point.y});
  return points;
}

/// Parts of one outline share a group; 0: none.
json::Object shape(const Answered& answered, const Item& item, const std::vector<Point>& outline, int group) {
  const bool box = std::holds_alternative<Box>(item.shape), quad = std::holds_alternative<Quad>(item.shape);
  const std::vector<Point> points = box ? std::vector<Point>{outline[0], outline[2]} : outline;
  return json::Object{{"label", class_name(answered.job, item)},
                      {"points", points_array(points)},
                      {"group_id", group > 0 ? json::Value(group) : json::Value()},
                      {"description", quad ? item.label : std::string()},
                      {"shape_type", box ? "rectangle" : "polygon"},
                      {"flags", json::Object()},
                      {"mask", nullptr},
                      {"score", item.score},
                      {"task", answered.job.task_token()}};
}

json::Object caption(const Answered& answered) {
  json::Object caption = {{"task", answered.job.task_token()}, {"text", readable_text(answered.result.answer.text)}};
  if (answered.job.region) caption.emplace_back("region", region_array(*answered.job.region));
  return caption;
}

class LabelmeWriter : public PictureWriter {
 public:
  explicit LabelmeWriter(OutputFolder folder) : folder_(std::move(folder)) {}

 protected:
  Status write(const PictureFacts& picture, const std::vector<Answered>& answers) override {
    json::Array shapes, captions;
    int groups = 0;
    for (const Answered& answered : answers) {
      for (const Item& item : answered.result.answer.items) {
        const Polygons parts = outlines(item);
        const int group = parts.size() > 1 ? ++groups : 0;
        for (const auto& part : parts) {
          if (!part.empty()) shapes.emplace_back(shape(answered, item, part, group));
        }
      }
      if (answered.result.answer.kind == AnswerKind::text) {
        captions.emplace_back(caption(answered));
      }
    }
    const std::string name = folder_.claim(picture.input) + ".json";
    json::Object file = {
        {"version", kFormatVersion},   {"flags", json::Object()},
        {"shapes", std::move(shapes)}, {"imagePath", folder_.path_to_picture(name, picture.input.path)},
        {"imageData", nullptr},        {"imageHeight", picture.height},
        {"imageWidth", picture.width}};
    if (!captions.empty()) file.emplace_back("captions", std::move(captions));
    return folder_.write(name, json::dump(file) + '\n');
  }

 private:
  OutputFolder folder_;
};

}  // namespace

Writer labelme_writer(OutputFolder folder) { return std::make_unique<LabelmeWriter>(std::move(folder)); }

}  // namespace florence2
