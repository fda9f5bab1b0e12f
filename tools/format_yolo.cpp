// YOLO: labels/PICTURE.txt with a line for each thing (class and box, or class and outline, in shares of the picture),
// scores/PICTURE.txt with the score of each line, data.yaml with the names. Classes are numbered as they appear.
// Readers take all lines of a file for outlines where one of them is: there boxes are written as their four corners.
#include <algorithm>
#include <map>

#include "core/json.hpp"
#include "tools/formats.hpp"
#include "tools/shapes.hpp"

namespace florence2 {
namespace {

struct Scale {
  float width, height;
};

std::string share(float value, float side) { return ' ' + number_text(std::clamp(value / side, 0.0f, 1.0f)); }

std::string box_numbers(const Box& box, Scale scale) {
  return share((box.x0 + box.x1) / 2, scale.width) + share((box.y0 + box.y1) / 2, scale.height) +
         share(box.x1 - box.x0, scale.width) + share(box.y1 - box.y0, scale.height);
}

/// The format has one outline a line: further parts are reached over a bridge without area, and left the same way.
std::string outline_numbers(const Polygons& parts, Scale scale) {
  std::string text;
  const auto append = [&](const Point& point) { text += share(point.x, scale.width) + share(point.y, scale.height); };
  const std::vector<Point>* first = nullptr;
  for (const auto& part : parts) {
    if (part.size() < 3) continue;
    for (const Point& point : part) append(point);
    if (first != nullptr) append(part.front());
    if (parts.size() > 1) append(first != nullptr ? first->front() : part.front());
    if (first == nullptr) first = &part;
  }
  return text;
}

bool only_boxes(const std::vector<Answered>& answers) {
  return std::all_of(answers.begin(), answers.end(), [](const Answered& answered) {
    const std::vector<Item>& items = answered.result.answer.items;
    return std::all_of(items.begin(), items.end(),
                       [](const Item& item) { return std::holds_alternative<Box>(item.shape); });
  });
}

/// `boxes`: the item is a box and may be written as one.
std::string numbers_of(const Item& item, bool boxes, Scale scale) {
  return boxes ? box_numbers(std::get<Box>(item.shape), scale) : outline_numbers(outlines(item), scale);
}

class YoloWriter : public PictureWriter {
 public:
  explicit YoloWriter(OutputFolder folder) : folder_(std::move(folder)) {}

  Status finish() override {
    std::string yaml =
        "# Put the pictures into images/, beside labels/.\npath: .\ntrain: images\nval: images\nnames:\n";
    for (std::size_t i = 0; i < names_.size(); ++i) {
      yaml += "  " + std::to_string(i) + ": " + json::dump(names_[i]) + '\n';
    }
    if (names_.empty()) yaml.insert(yaml.size() - 1, " {}");
    return folder_.write("data.yaml", yaml);
  }

 protected:
  Status write(const PictureFacts& picture, const std::vector<Answered>& answers) override {
    const Scale scale = {static_cast<float>(picture.width), static_cast<float>(picture.height)};
    const bool boxes = only_boxes(answers);
    std::string labels, scores;
    for (const Answered& answered : answers) {
      for (const Item& item : answered.result.answer.items) {
        const std::string numbers = numbers_of(item, boxes, scale);
        if (numbers.empty()) continue;  // an outline of less than three points
        labels += std::to_string(class_number(class_name(answered.job, item))) + numbers + '\n';
        scores += number_text(item.score) + '\n';
      }
    }
    const std::string name = folder_.claim(picture.input) + ".txt";
    FL_TRY(folder_.write("labels/" + name, labels));
    return folder_.write("scores/" + name, scores);
  }

 private:
  std::size_t class_number(const std::string& name) {
    const auto [entry, added] = numbers_.try_emplace(name, names_.size());
    if (added) names_.push_back(name);
    return entry->second;
  }

  OutputFolder folder_;
  std::vector<std::string> names_;
  std::map<std::string, std::size_t> numbers_;
};

}  // namespace

Writer yolo_writer(OutputFolder folder) { return std::make_unique<YoloWriter>(std::move(folder)); }

}  // namespace florence2
