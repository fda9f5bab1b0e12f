// The commands of the program.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "tools/help_page.hpp"

namespace florence2 {

struct Command {
  std::string_view name;
  /// Takes its own arguments (argv[0] is a name) and returns the exit status.
  int (*run)(int argc, char** argv);
  HelpPage (*page)();
};

/// `run`, which is also what happens when no command is named, comes first.
std::span<const Command> all_commands();

/// The command of that name, or null.
const Command* find_command(std::string_view name);
/// 'no command "benhc"; did you mean "bench"?'
std::string unknown_command_text(std::string_view name);
/// A command that `name`, which is none and no file, is likely meant to be; empty where nothing is near.
std::string_view nearest_command(std::string_view name);

int run_command(int argc, char** argv);
int bench_command(int argc, char** argv);
int compare_command(int argc, char** argv);
int info_command(int argc, char** argv);
int download_command(int argc, char** argv);
int convert_command(int argc, char** argv);
int tokenize_command(int argc, char** argv);
int parse_command(int argc, char** argv);
int preprocess_command(int argc, char** argv);
int help_command(int argc, char** argv);
int completion_command(int argc, char** argv);

HelpPage run_page();
HelpPage bench_page();
HelpPage compare_page();
HelpPage info_page();
HelpPage download_page();
HelpPage convert_page();
HelpPage tokenize_page();
HelpPage parse_page();
HelpPage preprocess_page();
HelpPage help_page();
HelpPage completion_page();

}  // namespace florence2
