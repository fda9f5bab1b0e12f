// Quadrilaterals by the references' rule: <OCR_WITH_REGION>.
#include <array>
#include <optional>
#include <string>

#include "model/parse_reference.hpp"
#include "model/parse_tags.hpp"

namespace florence2 {
namespace {

constexpr std::size_t kCorners = 4;
using Corners = std::array<Tag, 2 * kCorners>;

/// The first eight tags from `at` on: how many there are, and where they end.
std::size_t read_corners(std::string_view text, std::size_t at, Corners& corners) {
  std::size_t count = 0;
  while (count < corners.size()) {
    const auto tag = tag_at(text, at, TagSet::locations);
    if (!tag) break;
    corners[count++] = *tag;
    at = tag->end;
  }
  return count;
}

struct Match {
  std::string_view label;
  Corners corners;
};

/// The first match from `begin` on: a label of at least one character on one line, then eight tags.
std::optional<Match> next_match(std::string_view text, std::size_t begin) {
  Match match;
  std::size_t at = begin;
  while (at < text.size()) {
    if (text[at] == '\n') {
      begin = ++at;
      continue;
    }
    if (at == begin || text[at] != '<') {
      ++at;
      continue;
    }
    const std::size_t count = read_corners(text, at, match.corners);
    if (count == match.corners.size()) {
      match.label = text.substr(begin, at - begin);
      return match;
    }
    // Fewer than eight tags follow any tag of this run either.
    at = count == 0 ? at + 1 : match.corners[count - 1].end;
  }
  return std::nullopt;
}

}  // namespace

Findings find_quads(std::string_view text, const PixelScale& scale, bool stripped) {
  Findings findings;
  std::size_t position = 0;
  while (const auto match = next_match(text, position)) {
    Quad quad;
    for (std::size_t i = 0; i < kCorners; ++i) {
      quad[i] = scale.at(match->corners[2 * i].bin, match->corners[2 * i + 1].bin);
    }
    position = match->corners.back().end;
    const std::string_view label = stripped ? strip(match->label) : match->label;
    const std::size_t label_end = match->corners.front().begin;
    findings.found.push_back(
        {{std::string(label), quad}, label_end, position, label_end - match->label.size(), label_end});
  }
  return findings;
}

}  // namespace florence2
