#include "model/text_stream.hpp"

#include <algorithm>

#include "core/utf8.hpp"

namespace florence2 {
namespace {

/// Bytes at the end of `text` that may become a character when more bytes follow: a beginning of at most three bytes.
std::size_t open_tail(std::string_view text) {
  for (std::size_t size = 1; size <= std::min<std::size_t>(3, text.size()); ++size) {
    const auto lead = static_cast<unsigned char>(text[text.size() - size]);
    if (lead < 0x80) return 0;
    if (lead < 0xC0) continue;
    const Utf8Step step = utf8_step(text.substr(text.size() - size));
    return !step.valid && step.size == size ? size : 0;
  }
  return 0;
}

}  // namespace

bool TextStream::update(std::span<const std::int32_t> ids, bool last) {
  for (; seen_ < ids.size(); ++seen_) {
    if (!is_frame(config_, ids[seen_])) waiting_ += tokenizer_.piece(ids[seen_]);
  }
  const std::size_t ready = last ? waiting_.size() : waiting_.size() - open_tail(waiting_);
  if (ready == 0) return true;
  const std::string text = replace_invalid_utf8(std::string_view(waiting_).substr(0, ready));
  waiting_.erase(0, ready);
  return receiver_(text);
}

}  // namespace florence2
