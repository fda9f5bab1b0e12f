// Answers for people.
#include <cstdio>
#include <utility>

#include "tools/answer_text.hpp"
#include "tools/formats.hpp"
#include "tools/message.hpp"

namespace florence2 {
namespace {

std::string heading(const std::string& image, const Job& job) {
  std::string line = "== " + printable(image) + "  ";
  line += job.task_token().empty() ? printable(job.prompt) : printable(job.task_token());
  if (job.region) {
    char region[128];
    std::snprintf(region, sizeof(region), "  %g,%g,%g,%g", static_cast<double>(job.region->x0),
                  static_cast<double>(job.region->y0), static_cast<double>(job.region->x1),
                  static_cast<double>(job.region->y1));
    line += region;
  }
  return line;
}

/// The part of a growing text that cannot turn out to be the start of a location token.
std::string_view settled(std::string_view text) {
  const std::size_t open = text.rfind('<');
  if (open == std::string_view::npos || text.find('>', open) != std::string_view::npos) return text;
  return text.substr(0, open);
}

class TextWriter : public AnswerWriter {
 public:
  TextWriter(Output output, TextStyle style) : output_(std::move(output)), style_(style) {}

  Status piece(const PictureFacts& picture, const Job& job, std::string_view piece) override {
    FL_TRY(start(picture, job));
    streamed_ += piece;
    return write_text(printable_text(readable_text(settled(streamed_))));
  }

  Status answer(const PictureFacts& picture, const Job& job, const TaskResult& result) override {
    FL_TRY(start(picture, job));
    const std::string text = style_.ocr_lines ? answer_lines(result.answer) : answer_text(result.answer);
    if (!text.starts_with(written_)) {  // the answer is not what was streamed
      FL_TRY(output_.write("\n"));
      written_.clear();
    }
    FL_TRY(write_text(text));
    return end_line();
  }

  Status failure(const std::string&, const Job&, const Error&) override { return end_line(); }

  Status finish() override {
    FL_TRY(end_line());
    return output_.commit();
  }

 private:
  Status start(const PictureFacts& picture, const Job& job) {
    if (started_) return {};
    started_ = true;
    const bool first = std::exchange(empty_, false);
    if (!style_.headings) return {};
    const char* bold = output_.wants_color() ? "\x1b[1m" : "";
    const char* plain = output_.wants_color() ? "\x1b[0m" : "";
    return output_.write((first ? "" : "\n") + (bold + heading(picture.input.path, job)) + plain + "\n");
  }

  /// The current answer is over, whole or not.
  Status end_line() {
    const bool open = !written_.empty() && !written_.ends_with('\n');
    started_ = false;
    streamed_.clear();
    written_.clear();
    return open ? output_.write("\n") : Status();
  }

  /// Writes what of `text` is not written yet.
  Status write_text(const std::string& text) {
    if (text.size() <= written_.size()) return {};
    const std::string more = text.substr(written_.size());
    written_ = text;
    return output_.write(more);
  }

  Output output_;
  TextStyle style_;
  bool empty_ = true, started_ = false;
  std::string streamed_, written_;  // of the current answer: as it came, as it was written
};

}  // namespace

Writer text_writer(Output output, TextStyle style) { return std::make_unique<TextWriter>(std::move(output), style); }

}  // namespace florence2
