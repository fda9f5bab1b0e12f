// Polygons by the references' rules: <REFERRING_EXPRESSION_SEGMENTATION>, <REGION_TO_SEGMENTATION> and the polygons of
// <OPEN_VOCABULARY_DETECTION>.
#include <algorithm>
#include <optional>
#include <span>
#include <string>

#include "model/parse_reference.hpp"
#include "model/parse_tags.hpp"

namespace florence2 {
namespace {

using Tags = std::span<const Tag>;

Tags::iterator find_kind(Tags tags, TagKind kind) {
  return std::find_if(tags.begin(), tags.end(), [kind](const Tag& tag) { return tag.kind == kind; });
}

/// The label reaches to the first location or <poly>, so it takes in other tags that stand before.
std::optional<std::string_view> polygon_label(std::string_view text, const Segment& segment, LeftoverTag leftover) {
  Tags tags = segment.tags;
  std::size_t begin = segment.begin;
  if (leftover == LeftoverTag::tail) {
    begin += tag_tail_size(text, begin);
  } else if (tags.front().begin == begin && tags.front().kind == TagKind::location) {
    begin = tags.front().end;
    tags = tags.subspan(1);
  }
  const auto stop = std::find_if(tags.begin(), tags.end(), [](const Tag& tag) {
    return tag.kind == TagKind::location || tag.kind == TagKind::polygon_begin;
  });
  if (stop == tags.end()) return std::nullopt;
  return segment_label(text, begin, stop->begin);
}

/// The tags of each instance: what stands between <poly> and </poly>, or everything where one of the two is missing.
std::vector<Tags> instances_of(Tags tags) {
  if (find_kind(tags, TagKind::polygon_begin) == tags.end()) return {tags};
  if (find_kind(tags, TagKind::polygon_end) == tags.end()) return {tags};
  std::vector<Tags> instances;
  while (true) {
    const auto begin = find_kind(tags, TagKind::polygon_begin);
    const Tags rest = tags.subspan(begin - tags.begin());
    const auto end = find_kind(rest, TagKind::polygon_end);
    if (end == rest.end()) return instances;
    const std::size_t inside = end - rest.begin();
    instances.push_back(rest.subspan(1, inside - 1));
    tags = rest.subspan(inside + 1);
  }
}

/// An odd last bin is left out.
std::vector<Point> points_of(Tags locations, const PixelScale& scale) {
  std::vector<Point> points;
  for (std::size_t i = 0; i + 2 <= locations.size(); i += 2) {
    points.push_back(scale.at(locations[i].bin, locations[i + 1].bin));
  }
  return points;
}

/// Adds the polygons of an instance to a copy of `model`: runs of locations that end at <sep> or at the end of the
/// instance.
void add_instance(Tags tags, const Found& model, const PixelScale& scale, Findings& findings) {
  Found found = model;
  auto& polygons = std::get<Polygons>(found.item.shape);
  for (std::size_t i = 0, first = 0; i <= tags.size(); ++i) {
    if (i < tags.size() && tags[i].kind == TagKind::location) continue;
    const bool closed = i == tags.size() || tags[i].kind == TagKind::separator;
    if (i > first && closed) {
      if (polygons.empty()) found.begin = tags[first].begin;
      found.end = tags[i - 1].end;
      polygons.push_back(points_of(tags.subspan(first, i - first), scale));
    }
    first = i + 1;
  }
  if (!polygons.empty()) findings.found.push_back(std::move(found));
}

}  // namespace

Findings find_polygons(std::string_view text, const PixelScale& scale, bool labelled, LeftoverTag leftover) {
  Findings findings;
  for (const Segment& segment : find_segments(text, TagSet::polygons, labelled)) {
    const auto label = polygon_label(text, segment, leftover);
    if (!label) continue;
    const Found model{{std::string(cut_label(*label)), Polygons{}}, 0, 0, segment.begin, segment.tags.front().begin};
    for (const Tags instance : instances_of(segment.tags)) add_instance(instance, model, scale, findings);
  }
  return findings;
}

}  // namespace florence2
