// COCO: instances.json and results.json for things, captions.json for texts. Ids count from 1: pictures and annotations
// in the order of the answers, categories by name. A picture that comes again keeps its id.
#include <algorithm>
#include <cmath>
#include <map>

#include "core/json.hpp"
#include "tools/answer_text.hpp"
#include "tools/formats.hpp"
#include "tools/shapes.hpp"

namespace florence2 {
namespace {

struct Pictured {
  Input input;
  int width = 0, height = 0;
};

struct Thing {
  int image_id = 0;
  std::string category, task;
  Item item;
};

/// Shoelace formula; COCO's area of an outline.
double area(const std::vector<Point>& outline) {
  double twice = 0;
  for (std::size_t i = 0; i < outline.size(); ++i) {
    const Point a = outline[i], b = outline[(i + 1) % outline.size()];
    twice += static_cast<double>(a.x) * b.y - static_cast<double>(b.x) * a.y;
  }
  return std::abs(twice) / 2;
}

double area(const Item& item) {
  double sum = 0;
  for (const auto& outline : outlines(item)) sum += area(outline);
  return sum;
}

/// x, y, width, height.
json::Array bbox(const Item& item) {
  const Box box = bounds(item);
  return {box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0};
}

/// The parts of an outline, each x y x y …; nothing for boxes, which have none. Readers want three points a part.
json::Array segmentation(const Item& item) {
  json::Array parts;
  if (std::holds_alternative<Box>(item.shape)) return parts;
  for (const auto& outline : outlines(item)) {
    json::Array part;
    for (const Point& point : outline) {
      part.emplace_back(point.x);
      part.emplace_back(point.y);
    }
    if (outline.size() >= 3) parts.emplace_back(std::move(part));
  }
  return parts;
}

class CocoWriter : public PictureWriter {
 public:
  explicit CocoWriter(OutputFolder folder) : folder_(std::move(folder)) {}

  Status finish() override {
    const json::Object info = {{"description", "florence2 " + version()}, {"version", "1.0"}};
    const json::Object head = {{"info", info}, {"licenses", json::Array()}, {"images", images()}};
    if (!captions_.empty()) {
      json::Object file = head;
      file.emplace_back("annotations", captions_);
      FL_TRY(write_json("captions.json", file));
    }
    if (!located_ && !captions_.empty()) return {};
    FL_TRY(write_json("instances.json", instances(head)));
    return write_json("results.json", results());
  }

 protected:
  Status write(const PictureFacts& picture, const std::vector<Answered>& answers) override {
    const int id = image_id(picture);
    for (const Answered& answered : answers) add(id, answered);
    return {};
  }

 private:
  int image_id(const PictureFacts& picture) {
    const auto [entry, added] = image_ids_.try_emplace(picture.input.path, static_cast<int>(pictures_.size()) + 1);
    if (added) pictures_.push_back({picture.input, picture.width, picture.height});
    return entry->second;
  }

  /// Pictures of the same name go by their paths.
  json::Array images() const {
    std::map<std::string_view, int> namesakes;
    for (const Pictured& picture : pictures_) ++namesakes[picture.input.place];
    json::Array images;
    for (const Pictured& picture : pictures_) {
      const bool alone = namesakes[picture.input.place] == 1;
      images.emplace_back(json::Object{{"id", static_cast<int>(images.size()) + 1},
                                       {"file_name", alone ? picture.input.place : picture.input.path},
                                       {"width", picture.width},
                                       {"height", picture.height}});
    }
    return images;
  }

  void add(int image_id, const Answered& answered) {
    const std::string task(answered.job.task_token());
    const Answer& answer = answered.result.answer;
    if (answer.kind == AnswerKind::text) {
      json::Object caption = {{"id", static_cast<int>(captions_.size()) + 1},
                              {"image_id", image_id},
                              {"caption", readable_text(answer.text)},
                              {"score", answered.result.confidence},
                              {"task", task}};
      if (answered.job.region) caption.emplace_back("region", region_array(*answered.job.region));
      captions_.emplace_back(std::move(caption));
      return;
    }
    located_ = true;
    for (const Item& item : answer.items) things_.push_back({image_id, class_name(answered.job, item), task, item});
  }

  std::map<std::string, int> category_ids() const {
    std::map<std::string, int> ids;
    for (const Thing& thing : things_) ids.try_emplace(thing.category);
    int next = 1;
    for (auto& [name, id] : ids) id = next++;
    return ids;
  }

  json::Object instances(json::Object file) const {
    const auto ids = category_ids();
    json::Array annotations, categories;
    for (const Thing& thing : things_) {
      json::Object annotation = {{"id", static_cast<int>(annotations.size()) + 1},
                                 {"image_id", thing.image_id},
                                 {"category_id", ids.at(thing.category)},
                                 {"bbox", bbox(thing.item)},
                                 {"area", area(thing.item)},
                                 {"segmentation", segmentation(thing.item)},
                                 {"iscrowd", 0},
                                 {"score", thing.item.score},
                                 {"task", thing.task}};
      if (thing.category == "text") annotation.emplace_back("utf8_string", thing.item.label);  // as COCO-Text
      annotations.emplace_back(std::move(annotation));
    }
    for (const auto& [name, id] : ids) {
      categories.emplace_back(json::Object{{"id", id}, {"name", name}, {"supercategory", ""}});
    }
    file.emplace_back("annotations", std::move(annotations));
    file.emplace_back("categories", std::move(categories));
    return file;
  }

  json::Array results() const {
    const auto ids = category_ids();
    json::Array results;
    for (const Thing& thing : things_) {
      json::Object result = {{"image_id", thing.image_id},
                             {"category_id", ids.at(thing.category)},
                             {"bbox", bbox(thing.item)},
                             {"score", thing.item.score}};
      json::Array parts = segmentation(thing.item);
      if (!parts.empty()) result.emplace_back("segmentation", std::move(parts));
      results.emplace_back(std::move(result));
    }
    return results;
  }

  Status write_json(const char* name, const json::Value& value) const {
    return folder_.write(name, json::dump(value) + '\n');
  }

  OutputFolder folder_;
  std::vector<Pictured> pictures_;
  std::map<std::string, int> image_ids_;  // by path
  json::Array captions_;
  std::vector<Thing> things_;
  bool located_ = false;
};

}  // namespace

Writer coco_writer(OutputFolder folder) { return std::make_unique<CocoWriter>(std::move(folder)); }

}  // namespace florence2
