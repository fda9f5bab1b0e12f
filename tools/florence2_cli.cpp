// The program: picks the command; `run` when none is named.
#include <cstdio>
#include <exception>
#include <new>
#include <string_view>

#include "tools/commands.hpp"
#include "tools/interrupt.hpp"
#include "tools/message.hpp"

namespace {

using florence2::Error;
using florence2::ErrorCode;

struct Command {
  std::string_view name;
  int (*run)(int argc, char** argv);
};

constexpr Command kCommands[] = {
    {"run", florence2::run_command},           {"bench", florence2::bench_command},
    {"info", florence2::info_command},         {"tokenize", florence2::tokenize_command},
    {"parse", florence2::parse_command},       {"preprocess", florence2::preprocess_command},
    {"download", florence2::download_command},
};
constexpr std::string_view kLaterCommands[] = {"convert", "annotate", "serve"};

int dispatch(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Command& command : kCommands) {
    if (command.name == name) return command.run(argc - 1, argv + 1);
  }
  for (const std::string_view later : kLaterCommands) {
    if (later != name) continue;
    return report(Error{ErrorCode::unsupported, "this version has no command " + std::string(name), {}});
  }
  return florence2::run_command(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  florence2::ignore_write_signals();
  try {
    return dispatch(argc, argv);
  } catch (const std::bad_alloc&) {
    return florence2::report(Error{ErrorCode::memory, "out of memory", {}});
  } catch (const std::exception& exception) {
    return florence2::report(Error{ErrorCode::internal, std::string("internal error: ") + exception.what(), {}});
  }
}
