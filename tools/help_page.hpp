// What the program says about its commands and options, and the forms it says it in: help text, manual, documentation,
// completion scripts.
#pragma once

#include <string>
#include <vector>

namespace florence2 {

struct OptionHelp {
  std::string group;                 ///< title above it
  std::string names;                 ///< "-p,--task"; the long name is last
  std::string placeholder;           ///< of its value; empty for flags
  std::string text;                  ///< a few words
  std::vector<std::string> choices;  ///< the values it takes, where they are few
};

/// One command.
struct HelpPage {
  std::string command;  ///< "run"
  std::string heading;  ///< what it does, examples; ends with a line break
  std::vector<OptionHelp> options;
};

/// "--task" of "-p,--task", and "-p" or nothing.
std::string long_name(const OptionHelp& option);
std::string short_name(const OptionHelp& option);

/// The environment variable that stands for an option: FLORENCE2_MAX_NEW_TOKENS; options that only a command other than
/// `run` has carry its name (FLORENCE2_BENCH_ROUNDS).
std::string environment_name(const std::string& command, const std::string& option);

/// The help text of one command.
std::string help_text(const HelpPage& page);
/// docs/cli.md.
std::string markdown_text(const std::vector<HelpPage>& pages);
/// A manual page (roff) about all commands.
std::string manual_text(const std::vector<HelpPage>& pages);

std::string bash_completion(const std::vector<HelpPage>& pages);
std::string zsh_completion(const std::vector<HelpPage>& pages);
std::string fish_completion(const std::vector<HelpPage>& pages);

}  // namespace florence2
