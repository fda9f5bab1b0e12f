// The program: picks the command; `run` when none is named.
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <string_view>

#include "tools/commands.hpp"
#include "tools/interrupt.hpp"
#include "tools/message.hpp"
#include "tools/output.hpp"

namespace {

using florence2::Error;
using florence2::ErrorCode;

constexpr std::string_view kLaterCommands[] = {"annotate", "serve"};

/// A mistyped command looks like a picture that is not there.
bool is_mistyped_command(const std::string& name) {
  std::error_code ignored;
  return !name.empty() && name.find_first_of("-./*?[@") == std::string::npos &&
         !florence2::nearest_command(name).empty() && !std::filesystem::exists(name, ignored);
}

int dispatch(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  const florence2::Command* command = florence2::find_command(name);
  if (command != nullptr) return command->run(argc - 1, argv + 1);
  for (const std::string_view later : kLaterCommands) {
    if (later != name) continue;
    return report(Error{ErrorCode::unsupported, "this version has no command " + name, {}});
  }
  if (is_mistyped_command(name)) return report(Error{ErrorCode::argument, florence2::unknown_command_text(name), {}});
  return florence2::run_command(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  florence2::hold_standard_descriptors();
  florence2::ignore_write_signals();
  florence2::report_lost_weights();
  florence2::catch_questions();
  try {
    return dispatch(argc, argv);
  } catch (const std::bad_alloc&) {
    return florence2::report(Error{ErrorCode::memory, "out of memory", {}});
  } catch (const std::exception& exception) {
    return florence2::report(Error{ErrorCode::internal, std::string("internal error: ") + exception.what(), {}});
  }
}
