#include "model/parse_scores.hpp"

#include <algorithm>
#include <cmath>

#include "core/utf8.hpp"
#include "model/parse_reference.hpp"
#include "model/parse_tags.hpp"

namespace florence2 {
namespace {

/// Number of characters before each byte of `text`, and in all of it; broken bytes count as one each.
std::vector<std::size_t> characters_before(std::string_view text) {
  std::vector<std::size_t> before(text.size() + 1);
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) {
    const std::size_t size = utf8_step(text.substr(at)).size;
    std::fill_n(before.begin() + at, size, count);
    at += size;
  }
  before.back() = count;
  return before;
}

/// The reference drops the start token, which is the only </s> that can come first.
std::span<const TokenSpan> generated_tokens(std::string_view text, std::span<const TokenSpan> tokens) {
  return text.starts_with("</s>") && !tokens.empty() ? tokens.subspan(1) : tokens;
}

/// The text put together from tokens that were decoded one by one, so that a character of several tokens becomes
/// several U+FFFD, and the tokens' spans in characters.
struct RebuiltText {
  std::string text;
  std::vector<TokenSpan> tokens;
};

RebuiltText rebuild(std::string_view text, std::span<const TokenSpan> tokens) {
  RebuiltText rebuilt;
  std::size_t characters = 0;
  for (const TokenSpan& token : tokens) {
    const std::size_t begin = std::min(token.begin, text.size());
    const std::string piece = replace_invalid_utf8(text.substr(begin, std::max(token.end, begin) - begin));
    const std::size_t size = characters_before(piece).back();
    rebuilt.text += piece;
    rebuilt.tokens.push_back({characters, characters + size, token.log_prob});
    characters += size;
  }
  return rebuilt;
}

}  // namespace

float overlap_score(std::span<const TokenSpan> tokens, std::size_t begin, std::size_t end) {
  const auto first = std::partition_point(tokens.begin(), tokens.end(),
                                          [begin](const TokenSpan& token) { return token.end <= begin; });
  double sum = 0;
  int count = 0;
  for (auto token = first; token != tokens.end() && token->begin < end; ++token, ++count) sum += token->log_prob;
  return count == 0 ? 0.0f : static_cast<float>(std::exp(sum / count));
}

Findings find_boxes_scored_ms(std::string_view text, std::span<const TokenSpan> tokens, const PixelScale& scale) {
  const RebuiltText rebuilt = rebuild(text, generated_tokens(text, tokens));
  const CleanText clean = without(rebuilt.text, {"<s>", "</s>", "<pad>"});
  const std::vector<std::size_t> before = characters_before(clean.text);
  Findings findings = find_boxes(clean.text, scale, true, false);
  // The reference believes that a single <s> and the segments so far are all that stands in front of a segment.
  std::size_t believed = rebuilt.text.starts_with("<s>") ? 3 : 0;
  auto found = findings.found.begin();
  for (const Segment& segment : find_segments(clean.text, TagSet::locations, true)) {
    const std::size_t start = before[segment.begin];
    for (; found != findings.found.end() && found->begin < segment.end(); ++found) {
      const auto score_of = [&](std::size_t begin, std::size_t end) {
        return overlap_score(rebuilt.tokens, believed + before[begin] - start, believed + before[end] - start);
      };
      found->item.score = score_of(found->begin, found->end);
      if (!found->item.label.empty()) found->item.label_score = score_of(found->label_begin, found->label_end);
    }
    believed += before[segment.end()] - start;
  }
  return findings;
}

}  // namespace florence2
