#include "model/parse_repaired.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <span>
#include <string>

#include "model/parse_pieces.hpp"
#include "model/parse_reference.hpp"

namespace florence2 {
namespace {

/// Locations that follow one another, and what they belong to.
struct Run {
  std::size_t label = 0;     ///< index into Runs::labels
  std::size_t instance = 0;  ///< runs of one instance are parts of one shape
  std::vector<Piece> locations;
};

/// A label and the bytes that it takes up.
struct Label {
  std::string text;
  std::size_t begin = 0, end = 0;
};

struct Runs {
  std::vector<Label> labels;
  std::vector<Run> runs;
};

/// Gathers labels and runs from the pieces of a text.
class RunCollector {
 public:
  explicit RunCollector(std::string_view text) : text_(text) {}

  Runs collect() && {
    for (const Piece& piece : split_pieces(text_)) add(piece);
    for (Label& label : result_.labels) label.text = std::string(cut_label(strip(label.text)));
    return std::move(result_);
  }

 private:
  void add(const Piece& piece) {
    switch (piece.kind) {
      case PieceKind::text:
        add_text(piece);
        return;
      case PieceKind::location:
        add_location(piece);
        return;
      case PieceKind::polygon_begin:
      case PieceKind::polygon_end:
        ++instance_;
        break;
      case PieceKind::separator:
      case PieceKind::other:
        break;
      case PieceKind::padding:
        token_between_ = true;
        return;
    }
    in_run_ = false;
    token_between_ = true;
  }

  /// Text after locations begins a new label; text after a token goes on with the old one, apart from it, so that the
  /// two cannot join to form a token.
  void add_text(const Piece& piece) {
    in_run_ = false;
    if (label_used_) {
      result_.labels.emplace_back();
      label_used_ = false;
      ++instance_;
    } else if (token_between_) {
      result_.labels.back().text += ' ';
    }
    Label& label = result_.labels.back();
    if (label.end == 0) label.begin = piece.begin;
    label.text += text_.substr(piece.begin, piece.end - piece.begin);
    label.end = piece.end;
    token_between_ = false;
  }

  void add_location(const Piece& piece) {
    if (!in_run_) result_.runs.push_back({result_.labels.size() - 1, instance_, {}});
    result_.runs.back().locations.push_back(piece);
    in_run_ = true;
    label_used_ = true;
  }

  std::string_view text_;
  Runs result_{{Label()}, {}};
  std::size_t instance_ = 0;
  bool in_run_ = false;
  bool label_used_ = false;     ///< locations followed the newest label
  bool token_between_ = false;  ///< since the newest text
};

void put_in_order(Box& box) {
  if (box.x1 < box.x0) std::swap(box.x0, box.x1);
  if (box.y1 < box.y0) std::swap(box.y0, box.y1);
}

Box box_of(std::span<const Piece> locations, const PixelScale& scale) {
  const Point first = scale.at(locations[0].bin, locations[1].bin);
  const Point second = scale.at(locations[2].bin, locations[3].bin);
  Box box{first.x, first.y, second.x, second.y};
  put_in_order(box);
  return box;
}

std::vector<Point> points_of(std::span<const Piece> locations, const PixelScale& scale) {
  std::vector<Point> points;
  for (std::size_t i = 0; i + 2 <= locations.size(); i += 2) {
    points.push_back(scale.at(locations[i].bin, locations[i + 1].bin));
  }
  return points;
}

Quad quad_of(std::span<const Piece> locations, const PixelScale& scale) {
  Quad quad;
  const std::vector<Point> points = points_of(locations, scale);
  std::copy(points.begin(), points.end(), quad.begin());
  return quad;
}

/// Numbers of a shape, and how many make up each part: equal for equal shapes only.
std::string shape_key(const Item& item) {
  std::string key;
  const auto append = [&key](const auto& value) { key.append(reinterpret_cast<const char*>(&value), sizeof value); };
  if (const auto* polygons = std::get_if<Polygons>(&item.shape)) {
    for (const auto& polygon : *polygons) {
      append(polygon.size());
      for (const Point& point : polygon) append(point);
    }
  } else if (const auto* box = std::get_if<Box>(&item.shape)) {
    append(*box);
  } else {
    append(std::get<Quad>(item.shape));
  }
  return key;
}

/// Turns runs into items.
class RepairedParser {
 public:
  RepairedParser(const AnswerRules& rules, const PixelScale& scale, Runs runs)
      : rules_(rules), scale_(scale), runs_(std::move(runs)) {}

  Findings groups_of(std::size_t size) && {
    for (const Run& run : runs_.runs) {
      if (rules_.skip_empty_phrases && is_empty_phrase(runs_.labels[run.label].text)) continue;
      const std::span<const Piece> locations(run.locations);
      std::size_t at = 0;
      for (; at + size <= locations.size(); at += size) add_group(run, locations.subspan(at, size));
      if (at < locations.size()) ++findings_.incomplete;
    }
    return std::move(findings_);
  }

  Findings polygons() && {
    const std::vector<Run>& runs = runs_.runs;
    for (std::size_t first = 0, end = 0; first < runs.size(); first = end) {
      while (end < runs.size() && runs[end].instance == runs[first].instance) ++end;
      add_instance(std::span(runs).subspan(first, end - first));
    }
    return std::move(findings_);
  }

 private:
  void add_group(const Run& run, std::span<const Piece> locations) {
    Item item{label_of(run), {}};
    if (locations.size() == 4) {
      item.shape = box_of(locations, scale_);
    } else {
      item.shape = quad_of(locations, scale_);
    }
    const Label& label = runs_.labels[run.label];
    add({std::move(item), locations.front().begin, locations.back().end, label.begin, label.end});
  }

  void add_instance(std::span<const Run> runs) {
    constexpr std::size_t kLeastLocations = 6;  // fewer than three points enclose nothing
    const Label& label = runs_.labels[runs.front().label];
    Found found{{label_of(runs.front()), Polygons{}}, 0, 0, label.begin, label.end};
    auto& polygons = std::get<Polygons>(found.item.shape);
    for (const Run& run : runs) {
      if (run.locations.size() < kLeastLocations) {
        ++findings_.incomplete;
        continue;
      }
      if (polygons.empty()) found.begin = run.locations.front().begin;
      found.end = run.locations.back().end;
      polygons.push_back(points_of(run.locations, scale_));
    }
    if (!polygons.empty()) add(std::move(found));
  }

  std::string label_of(const Run& run) const { return rules_.labelled ? runs_.labels[run.label].text : std::string(); }

  void add(Found found) {
    if (seen_.insert(shape_key(found.item) + found.item.label).second) findings_.found.push_back(std::move(found));
  }

  AnswerRules rules_;
  PixelScale scale_;
  Runs runs_;
  Findings findings_;
  std::set<std::string> seen_;  // ordered: no text can make its keys collide
};

}  // namespace

Findings find_repaired(const AnswerRules& rules, std::string_view text, const PixelScale& scale) {
  RepairedParser parser(rules, scale, RunCollector(text).collect());
  const bool outlines = rules.kind == AnswerKind::polygons ||
                        (rules.kind == AnswerKind::boxes_or_polygons && text.find("<poly>") != text.npos);
  if (outlines) return std::move(parser).polygons();
  return std::move(parser).groups_of(rules.kind == AnswerKind::quads ? 8 : 4);
}

}  // namespace florence2
