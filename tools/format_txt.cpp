// Side-car text: PICTURE.txt with what trainers of captioning models read. Texts as they are, a line for each answer;
// things as their labels, each once, separated by commas; words with places as lines of text where asked.
#include <algorithm>

#include "tools/answer_text.hpp"
#include "tools/formats.hpp"

namespace florence2 {
namespace {

std::string labels_of(const std::vector<Item>& items) {
  std::vector<std::string> labels;
  std::string line;
  for (const Item& item : items) {
    if (item.label.empty() || std::find(labels.begin(), labels.end(), item.label) != labels.end()) continue;
    line += (labels.empty() ? "" : ", ") + item.label;
    labels.push_back(item.label);
  }
  return line;
}

class SidecarWriter : public PictureWriter {
 public:
  SidecarWriter(OutputFolder folder, bool ocr_lines) : folder_(std::move(folder)), ocr_lines_(ocr_lines) {}

 protected:
  Status write(const PictureFacts& picture, const std::vector<Answered>& answers) override {
    std::string text;
    for (const Answered& answered : answers) text += text_of(answered.result.answer);
    return folder_.write(folder_.claim(picture.input) + ".txt", text);
  }

 private:
  std::string text_of(const Answer& answer) const {
    if (answer.kind == AnswerKind::text) return readable_text(answer.text) + '\n';
    if (answer.kind == AnswerKind::quads && ocr_lines_) return answer_lines(answer);
    return labels_of(answer.items) + '\n';
  }

  OutputFolder folder_;
  bool ocr_lines_;
};

}  // namespace

Writer sidecar_writer(OutputFolder folder, bool ocr_lines) {
  return std::make_unique<SidecarWriter>(std::move(folder), ocr_lines);
}

}  // namespace florence2
