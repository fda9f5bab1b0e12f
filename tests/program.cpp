#include "tests/program.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/support.hpp"

namespace florence2::test {

Child florence2(const Words& arguments, ChildOptions options) {
  Words command = {FLORENCE2_PROGRAM};
  command.insert(command.end(), arguments.begin(), arguments.end());
  options.environment.insert(options.environment.end(), {"FLORENCE2_MODEL=", "OMP_NUM_THREADS=2"});
  return run_child(command, options);
}

namespace program {

std::string picture(int number) {
  return source_dir() + "/weights/demo/images/scene-" + std::to_string(number) + ".png";
}

Child shell(const std::string& line) { return run_child({"sh", "-c", line, FLORENCE2_PROGRAM, picture(1)}); }

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

json::Value parsed(const std::string& text) {
  auto value = json::parse(text);
  INFO(text);
  REQUIRE(value);
  return std::move(value).value();
}

Words lines_of(const std::string& text) {
  Words lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

Words keys_of(const json::Value& value) {
  REQUIRE(value.object() != nullptr);
  Words keys;
  for (const auto& [key, member] : *value.object()) keys.push_back(key);
  return keys;
}

void check(const Row& row) {
  const Child child = florence2(row.arguments);
  INFO(row.about << "\nstdout: " << child.out << "\nstderr: " << child.err);
  CHECK(child.status == row.code);
  CHECK(child.out.empty());
  CHECK(child.err.find(row.message) != std::string::npos);
  CHECK(child.err.starts_with("florence2: error: "));
  CHECK(lines_of(child.err).size() == 1);
}

}  // namespace program
}  // namespace florence2::test
