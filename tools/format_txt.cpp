// Side-car text: PICTURE.txt with what trainers of captioning models read. Texts as they are, a line for each answer;
// things as their labels, each once, separated by commas.
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
  explicit SidecarWriter(OutputFolder folder) : folder_(std::move(folder)) {}

 protected:
  Status write(const PictureFacts& picture, const std::vector<Answered>& answers) override {
    std::string text;
    for (const Answered& answered : answers) {
      const Answer& answer = answered.result.answer;
      text += (answer.kind == AnswerKind::text ? readable_text(answer.text) : labels_of(answer.items)) + '\n';
    }
    return folder_.write(folder_.claim(picture.input) + ".txt", text);
  }

 private:
  OutputFolder folder_;
};

}  // namespace

Writer sidecar_writer(OutputFolder folder) { return std::make_unique<SidecarWriter>(std::move(folder)); }

}  // namespace florence2
