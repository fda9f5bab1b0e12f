// ask MODEL PICTURE: prints the caption.
#include <florence2/florence2.hpp>

#include <iostream>

int main(int count, char** arguments) {
  if (count != 3) return 64;
  auto model = florence2::Model::load(arguments[1]);
  if (!model) return std::cerr << model.error().text() << '\n', 1;
  auto runner = florence2::Runner::create(*model);
  if (!runner) return std::cerr << runner.error().text() << '\n', 1;
  auto picture = florence2::Picture::open(arguments[2]);
  if (!picture) return std::cerr << picture.error().text() << '\n', 1;
  auto result = runner->run(picture->view(), florence2::Task::caption);
  if (!result) return std::cerr << result.error().text() << '\n', 1;
  std::cout << florence2::version() << ": " << result->answer.text << '\n';
}
