// SVG: an overlay for each picture, which it names by its path; one from standard input, which has none, is inside.
#include "tools/answer_text.hpp"
#include "tools/formats.hpp"
#include "tools/svg.hpp"

namespace florence2 {
namespace {

/// All answers about a picture as one.
Answer merged(const std::vector<Answered>& answers) {
  Answer all;
  for (const Answered& answered : answers) {
    const Answer& answer = answered.result.answer;
    all.items.insert(all.items.end(), answer.items.begin(), answer.items.end());
    if (answer.kind == AnswerKind::text) all.text += (all.text.empty() ? "" : "\n") + readable_text(answer.text);
  }
  return all;
}

/// A path as an address: what means something else there is escaped, and no colon makes its beginning a scheme.
std::string address(std::string_view path) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text = path.substr(0, path.find('/')).find(':') == std::string_view::npos ? "" : "./";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7F && std::string_view("\"#%<>?\\^`{|}").find(c) == std::string_view::npos) {
      text += c;
    } else {
      text.append(1, '%').append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
    }
  }
  return text;
}

class SvgWriter : public PictureWriter {
 public:
  explicit SvgWriter(OutputFolder folder) : folder_(std::move(folder)) {}

 protected:
  Status write(const PictureFacts& picture, const std::vector<Answered>& answers) override {
    const std::string name = folder_.claim(picture.input) + ".svg";
    const SceneOptions options{.text_height = svg_text_height(picture.width, picture.height)};
    const Scene scene = make_scene(picture.width, picture.height, merged(answers), options);
    FL_ASSIGN(const std::string href, href_of(picture, name));
    return folder_.write(name, svg_document(scene, href));
  }

 private:
  Result<std::string> href_of(const PictureFacts& picture, const std::string& name) const {
    if (picture.input.path == "-") return data_address(picture.pixels);
    return address(folder_.path_to_picture(name, picture.input.path));
  }

  OutputFolder folder_;
};

}  // namespace

Writer svg_writer(OutputFolder folder) { return std::make_unique<SvgWriter>(std::move(folder)); }

}  // namespace florence2
