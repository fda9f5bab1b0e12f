#include "model/parse_tags.hpp"

#include <algorithm>
#include <numeric>

#include "core/utf8.hpp"
#include "model/unicode_text.hpp"

namespace florence2 {
namespace {

/// Tags of a run that make a segment.
constexpr std::size_t kLeastTags = 4;

/// "loc_N>" at byte `at`.
std::optional<Tag> location_tail_at(std::string_view text, std::size_t at) {
  constexpr std::string_view kOpening = "loc_";
  constexpr std::int64_t kLargest = 100'000'000'000'000'000;
  if (!text.substr(at).starts_with(kOpening)) return std::nullopt;
  const std::size_t first_digit = at + kOpening.size();
  Tag tag{TagKind::location, at, first_digit, 0};
  while (tag.end < text.size()) {
    const Utf8Step step = utf8_step(text.substr(tag.end));
    const std::optional<int> digit = digit_value(step.code_point);
    if (!digit) break;
    tag.bin = std::min(tag.bin * 10 + *digit, kLargest);
    tag.end += step.size;
  }
  if (tag.end == first_digit || tag.end == text.size() || text[tag.end] != '>') return std::nullopt;
  ++tag.end;
  return tag;
}

std::vector<Tag> tags_from(std::string_view text, std::size_t at, TagSet set) {
  std::vector<Tag> tags;
  while (const auto tag = tag_at(text, at, set)) {
    tags.push_back(*tag);
    at = tag->end;
  }
  return tags;
}

/// Where the next tag or label could start after the tags from `at` on were too few.
std::size_t after_failure(std::size_t at, const std::vector<Tag>& tags) {
  return tags.empty() ? at + 1 : tags.back().end;
}

void erase_all(CleanText& clean, std::string_view token) {
  CleanText kept;
  std::size_t from = 0;
  const auto keep_until = [&](std::size_t to) {
    kept.text.append(clean.text, from, to - from);
    kept.origin.insert(kept.origin.end(), clean.origin.begin() + from, clean.origin.begin() + to);
  };
  for (std::size_t at = clean.text.find(token); at != std::string::npos; at = clean.text.find(token, from)) {
    keep_until(at);
    from = at + token.size();
  }
  keep_until(clean.text.size());
  clean = std::move(kept);
}

}  // namespace

std::optional<Tag> tag_at(std::string_view text, std::size_t at, TagSet set) {
  if (at >= text.size() || text[at] != '<') return std::nullopt;
  if (auto location = location_tail_at(text, at + 1)) {
    location->begin = at;
    return location;
  }
  if (set == TagSet::locations) return std::nullopt;
  const std::string_view rest = text.substr(at);
  if (rest.starts_with("<sep>")) return Tag{TagKind::separator, at, at + 5, 0};
  if (rest.starts_with("<poly>")) return Tag{TagKind::polygon_begin, at, at + 6, 0};
  if (rest.starts_with("</poly>")) return Tag{TagKind::polygon_end, at, at + 7, 0};
  return std::nullopt;
}

std::size_t tag_tail_size(std::string_view text, std::size_t at) {
  const auto tail = location_tail_at(text, at);
  return tail ? tail->end - at : 0;
}

std::vector<Segment> find_segments(std::string_view text, TagSet set, bool labelled) {
  std::vector<Segment> segments;
  std::size_t position = 0;
  while (true) {
    const std::size_t begin = labelled ? text.find_first_not_of('<', position) : text.find('<', position);
    const std::size_t first_tag = begin == text.npos ? text.npos : text.find('<', begin);
    if (first_tag == text.npos) return segments;
    std::vector<Tag> tags = tags_from(text, first_tag, set);
    if (tags.size() >= kLeastTags) {
      position = tags.back().end;
      segments.push_back({begin, std::move(tags)});
    } else {
      // The tail of a tag can be a label, so a labelled search goes on inside the tags.
      position = labelled ? first_tag : after_failure(first_tag, tags);
    }
  }
}

std::optional<std::string_view> segment_label(std::string_view text, std::size_t begin, std::size_t stop) {
  const std::string_view label = strip_left(text.substr(begin, stop - begin));
  if (label.find('\n') != label.npos) return std::nullopt;
  return strip(label);
}

CleanText without(std::string_view text, std::initializer_list<std::string_view> tokens) {
  CleanText clean{std::string(text), std::vector<std::size_t>(text.size())};
  std::iota(clean.origin.begin(), clean.origin.end(), std::size_t{0});
  for (const std::string_view token : tokens) erase_all(clean, token);
  return clean;
}

}  // namespace florence2
