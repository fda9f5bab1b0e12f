// Location tags and the segments they close, found as the references' regular expressions find them, in linear time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace florence2 {

enum class TagKind : std::uint8_t { location, separator, polygon_begin, polygon_end };

struct Tag {
  TagKind kind = TagKind::location;
  std::size_t begin = 0, end = 0;  ///< bytes of the text
  std::int64_t bin = 0;            ///< of a location; not limited to 999
};

/// Which tags count: <loc_N> alone, or <sep>, <poly> and </poly> as well.
enum class TagSet : std::uint8_t { locations, polygons };

/// The tag that starts at byte `at`. Any number of digits of any script counts, as it does for the references; bins
/// stop growing at 10^17.
std::optional<Tag> tag_at(std::string_view text, std::size_t at, TagSet set);

/// Bytes of "loc_N>", a tag without its first character, at byte `at`; 0 where there is none.
std::size_t tag_tail_size(std::string_view text, std::size_t at);

/// A label (text without '<', may be empty) and the run of four or more tags that follows it.
struct Segment {
  std::size_t begin = 0;
  std::vector<Tag> tags;

  std::size_t end() const { return tags.back().end; }
};

/// All segments, from left to right. `labelled`: the label holds at least one character, which may be the rest of a
/// broken or skipped tag; otherwise segments have no label.
std::vector<Segment> find_segments(std::string_view text, TagSet set, bool labelled);

/// What the references' label expression takes from text[begin, stop): white space in front is skipped, a line break
/// after it makes the match fail (nothing), the rest is stripped.
std::optional<std::string_view> segment_label(std::string_view text, std::size_t begin, std::size_t stop);

/// A text from which tokens were taken out.
struct CleanText {
  std::string text;
  std::vector<std::size_t> origin;  ///< for each byte, where it was before
};

/// Takes out all of the first token, then all of the second, and so on (the rest may join to form an earlier one
/// again).
CleanText without(std::string_view text, std::initializer_list<std::string_view> tokens);

}  // namespace florence2
