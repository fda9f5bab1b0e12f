// Running a program as a user would.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace florence2::test {

struct Child {
  int status = 0;  ///< exit status; 1000 + signal when a signal ended it
  std::string out, err;
};

struct ChildOptions {
  std::string input = {};                     ///< given on standard input, which is closed afterwards
  std::vector<std::string> environment = {};  ///< "NAME=value", besides the test's own
  int signal_on_error_output = 0;             ///< sent once, when the child first writes to standard error
};

/// Runs arguments[0] (looked up in PATH) with the others and waits for it. Fails the test when it cannot be started.
Child run_child(const std::vector<std::string>& arguments, const ChildOptions& options = {});

/// The same with a terminal of 80 columns as standard output and standard error: `out` is all that it was sent.
Child run_on_terminal(const std::vector<std::string>& arguments, const ChildOptions& options = {});

}  // namespace florence2::test
