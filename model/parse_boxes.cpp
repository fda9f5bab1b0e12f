// Boxes by the references' rules: <OD>, <DENSE_REGION_CAPTION>, <REGION_PROPOSAL>, <CAPTION_TO_PHRASE_GROUNDING> and
// the boxes of <OPEN_VOCABULARY_DETECTION>.
#include <algorithm>
#include <iterator>
#include <string>

#include "model/parse_reference.hpp"
#include "model/parse_tags.hpp"

namespace florence2 {
namespace {

std::string ascii_only(std::string_view text) {
  std::string kept;
  std::copy_if(text.begin(), text.end(), std::back_inserter(kept),
               [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  return kept;
}

/// All whole groups of four of a segment's tags.
void add_boxes(const Segment& segment, const std::string& label, const PixelScale& scale, Findings& findings) {
  const std::vector<Tag>& tags = segment.tags;
  for (std::size_t i = 0; i + 4 <= tags.size(); i += 4) {
    const Point first = scale.at(tags[i].bin, tags[i + 1].bin);
    const Point second = scale.at(tags[i + 2].bin, tags[i + 3].bin);
    findings.found.push_back({{label, Box{first.x, first.y, second.x, second.y}},
                              tags[i].begin,
                              tags[i + 3].end,
                              segment.begin,
                              tags.front().begin});
  }
}

}  // namespace

bool is_empty_phrase(std::string_view label) {
  constexpr std::string_view kEmptyPhrases[] = {
      "it",        "I",        "me",         "mine",      "you",        "your",          "yours",      "he",
      "him",       "his",      "she",        "her",       "hers",       "they",          "them",       "their",
      "theirs",    "one",      "oneself",    "we",        "us",         "our",           "ours",       "its",
      "myself",    "yourself", "himself",    "herself",   "itself",     "ourselves",     "yourselves", "themselves",
      "this",      "that",     "these",      "those",     "who",        "whom",          "whose",      "which",
      "what",      "all",      "another",    "any",       "anybody",    "anyone",        "anything",   "each",
      "everybody", "everyone", "everything", "few",       "many",       "nobody",        "none",       "several",
      "some",      "somebody", "someone",    "something", "each other", "one another",   "the image",  "image",
      "images",    "the",      "a",          "an",        "a group",    "other objects", "lots",       "a set"};
  return std::find(std::begin(kEmptyPhrases), std::end(kEmptyPhrases), label) != std::end(kEmptyPhrases);
}

Findings find_boxes(std::string_view text, const PixelScale& scale, bool labelled, bool skip_empty_phrases) {
  Findings findings;
  for (const Segment& segment : find_segments(text, TagSet::locations, labelled)) {
    const auto label = segment_label(text, segment.begin, segment.tags.front().begin);
    if (!label || (skip_empty_phrases && is_empty_phrase(*label))) continue;
    add_boxes(segment, ascii_only(cut_label(*label)), scale, findings);
  }
  return findings;
}

}  // namespace florence2
