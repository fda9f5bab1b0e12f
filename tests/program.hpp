// The program under test and what its tests ask of its output. Everything runs on the demo checkpoint.
#pragma once

#include <string>
#include <vector>

#include "core/json.hpp"
#include "tests/child_process.hpp"

namespace florence2::test {

using Words = std::vector<std::string>;

/// The program with these arguments. Variables that a developer may have set are emptied.
Child florence2(const Words& arguments, ChildOptions options = {});

namespace program {

/// One of the pictures that come with the demo checkpoint, 1 to 5.
std::string picture(int number);
/// A shell line in which "$0" is the program and "$1" a picture.
Child shell(const std::string& line);
/// The bytes of a file; empty when it is missing.
std::string contents(const std::string& path);
json::Value parsed(const std::string& text);
Words lines_of(const std::string& text);
Words keys_of(const json::Value& value);

struct Row {
  const char* about;
  Words arguments;
  int code;
  const char* message;  ///< part of standard error
};
/// Fails the test unless the program ends with the code, one line of error, and nothing on standard output.
void check(const Row& row);

}  // namespace program
}  // namespace florence2::test
