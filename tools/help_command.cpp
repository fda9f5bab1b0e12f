// `florence2 help` and `florence2 completion`: what the program says about itself.
#include "tools/arguments.hpp"
#include "tools/commands.hpp"
#include "tools/message.hpp"
#include "tools/output.hpp"

namespace florence2 {
namespace {

std::vector<HelpPage> all_pages() {
  std::vector<HelpPage> pages;
  for (const Command& command : all_commands()) pages.push_back(command.page());
  return pages;
}

Status print(const std::string& text) {
  FL_ASSIGN(Output output, Output::open({}));
  return output.write(text);
}

// --- help ---------------------------------------------------------------------------------------------

constexpr const char* kHelpHeading = R"(florence2 help: the help text of a command, or all of them as one document

  florence2 help bench
  florence2 help --man | man -l -
)";

struct HelpOptions {
  std::vector<std::string> topics;
  bool manual = false, markdown = false;
};

void declare(Arguments& arguments, HelpOptions& options) {
  arguments.positionals("COMMAND", {}, "the command to explain", options.topics);
  arguments.flag("--man", options.manual, "a manual page (roff)");
  arguments.flag("--markdown", options.markdown, "the command line's part of the documentation");
}

Result<int> help(int argc, char** argv) {
  HelpOptions options;
  Arguments arguments("help", kHelpHeading);
  declare(arguments, options);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return 0;
  std::string text;
  if (options.manual) text = manual_text(all_pages());
  if (options.markdown) text += markdown_text(all_pages());
  if (text.empty() && options.topics.empty()) options.topics.emplace_back("run");
  for (const std::string& topic : options.topics) {
    const Command* command = find_command(topic);
    if (command == nullptr) return Error{ErrorCode::argument, unknown_command_text(topic), {}};
    text += (text.empty() ? "" : "\n") + help_text(command->page());
  }
  FL_TRY(print(text));
  return 0;
}

// --- completion ---------------------------------------------------------------------------------------

constexpr const char* kCompletionHeading = R"(florence2 completion: a script that completes commands and options

  florence2 completion bash > /etc/bash_completion.d/florence2
  florence2 completion zsh > "${fpath[1]}/_florence2"
  florence2 completion fish > ~/.config/fish/completions/florence2.fish
)";

void declare(Arguments& arguments, std::vector<std::string>& shells) {
  arguments.positionals("SHELL", {}, "bash, zsh or fish", shells);
}

Result<int> completion(int argc, char** argv) {
  std::vector<std::string> shells;
  Arguments arguments("completion", kCompletionHeading);
  declare(arguments, shells);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return 0;
  const std::string shell = shells.size() == 1 ? shells[0] : std::string();
  if (shell == "bash") {
    FL_TRY(print(bash_completion(all_pages())));
  } else if (shell == "zsh") {
    FL_TRY(print(zsh_completion(all_pages())));
  } else if (shell == "fish") {
    FL_TRY(print(fish_completion(all_pages())));
  } else {
    return Error{ErrorCode::argument, "one of bash, zsh, fish is needed, found \"" + shell + "\"", "SHELL"};
  }
  return 0;
}

}  // namespace

HelpPage help_page() {
  HelpOptions options;
  Arguments arguments("help", kHelpHeading);
  declare(arguments, options);
  return arguments.page();
}

HelpPage completion_page() {
  std::vector<std::string> shells;
  Arguments arguments("completion", kCompletionHeading);
  declare(arguments, shells);
  return arguments.page();
}

int help_command(int argc, char** argv) { return conclude(help(argc, argv)); }
int completion_command(int argc, char** argv) { return conclude(completion(argc, argv)); }

}  // namespace florence2
