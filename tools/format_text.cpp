// Answers for people.
#include <cstdio>

#include "tools/answer_text.hpp"
#include "tools/formats.hpp"
#include "tools/message.hpp"

namespace florence2 {
namespace {

std::string heading(const std::string& image, const Job& job) {
  std::string line = "== " + printable(image) + "  ";
  line += job.task ? std::string(job.task_token()) : printable(job.prompt);
  if (job.region) {
    char region[128];
    std::snprintf(region, sizeof(region), "  %g,%g,%g,%g", static_cast<double>(job.region->x0),
                  static_cast<double>(job.region->y0), static_cast<double>(job.region->x1),
                  static_cast<double>(job.region->y1));
    line += region;
  }
  return line + '\n';
}

class TextWriter : public AnswerWriter {
 public:
  TextWriter(Output output, bool headings) : output_(std::move(output)), headings_(headings) {}

  Status answer(const PictureFacts& picture, const Job& job, const TaskResult& result) override {
    const std::string head = headings_ ? (empty_ ? "" : "\n") + heading(picture.input.path, job) : "";
    empty_ = false;
    return output_.write(head + answer_text(result.answer));
  }

  Status finish() override { return output_.commit(); }

 private:
  Output output_;
  bool headings_;
  bool empty_ = true;
};

}  // namespace

Writer text_writer(Output output, bool headings) { return std::make_unique<TextWriter>(std::move(output), headings); }

}  // namespace florence2
