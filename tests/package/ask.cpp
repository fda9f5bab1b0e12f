// ask MODEL PICTURE: prints the caption.
#include <florence2/florence2.hpp>
#include <iostream>

namespace {

florence2::Result<std::string> caption(const std::string& folder, const std::string& file) {
  FL_ASSIGN(const auto model, florence2::Model::load(folder));
  FL_ASSIGN(auto runner, florence2::Runner::create(model, {.threads = 1}));
  FL_ASSIGN(const auto picture, florence2::Picture::open(file));
  FL_ASSIGN(const auto result, runner.run(picture.view(), florence2::Task::caption));
  return result.answer.text;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 64;
  const auto answer = caption(arguments[1], arguments[2]);
  std::cout << (answer ? *answer : answer.error().text()) << '\n';
  return answer ? 0 : 1;
}
