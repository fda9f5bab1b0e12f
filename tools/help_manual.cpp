// The manual page and docs/cli.md.
#include <algorithm>

#include "core/utf8.hpp"
#include "model/florence2.hpp"
#include "tools/formats.hpp"
#include "tools/help_page.hpp"

namespace florence2 {
namespace {

struct ExitStatus {
  const char *code, *meaning;
};
constexpr ExitStatus kExitStatus[] = {
    {"0", "everything done"},
    {"64", "a wrong option, value or combination"},
    {"65", "an input (picture, prompt, line of JSON) is there but unusable"},
    {"66", "an input is missing"},
    {"69", "something that this build lacks"},
    {"70", "a bug in the program"},
    {"71", "out of memory, threads or file handles"},
    {"73", "an output cannot be created"},
    {"74", "reading or writing failed half-way"},
    {"76", "a limit was exceeded (pixels, bytes, memory, time)"},
    {"77", "an input may not be read"},
    {"78", "the model folder is damaged or does not fit together"},
    {"128+n", "ended by signal n; what was done is written"},
};

constexpr const char* kEnvironment =
    "Every option of run but --image has a variable: --max-new-tokens is FLORENCE2_MAX_NEW_TOKENS, flags take 1 or 0. "
    "So have the options that other commands share with it (FLORENCE2_MODEL, FLORENCE2_THREADS, ...); what only "
    "another command has carries its name, as FLORENCE2_BENCH_ROUNDS. The command line wins. FLORENCE2_ISA chooses the "
    "kernels, by a name that florence2 info lists. NO_COLOR keeps colours away from terminals.";
constexpr const char* kResponseFiles =
    "An argument @FILE stands for the words in FILE: separated by spaces and line breaks, quoted as in a shell, # "
    "starts "
    "a comment. A picture whose name starts with @ is ./@name.";

/// Text as roff wants it: no line starts a request, backslashes and hyphens are themselves.
std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string manual_options(const HelpPage& page) {
  std::string text, group;
  for (const OptionHelp& option : page.options) {
    if (option.group != group) text += ".SS " + roff(page.command + ": " + option.group) + "\n";
    group = option.group;
    std::string names = option.names;
    if (const std::size_t comma = names.find(','); comma != std::string::npos) names.insert(comma + 1, " ");
    text += ".TP\n.B " + roff(names) + (option.placeholder.empty() ? "" : " \\fI" + roff(option.placeholder) + "\\fR");
    text += '\n' + roff(option.text) + '\n';
  }
  return text;
}

}  // namespace

std::string manual_text(const std::vector<HelpPage>& pages) {
  std::string text = ".TH FLORENCE2 1 \"\" \"florence2 " + version() + "\" \"User Commands\"\n";
  text += ".SH NAME\nflorence2 \\- asks Florence\\-2 about pictures, on the CPU\n.SH SYNOPSIS\n";
  text += ".B florence2\n[run] [options] \\fIIMAGE\\fR...\n";
  for (const HelpPage& page : pages) {
    if (page.command != "run") text += ".br\n.B florence2 " + roff(page.command) + "\n[options]\n";
  }
  text += ".SH DESCRIPTION\n";
  for (const HelpPage& page : pages) text += ".nf\n" + roff(page.heading) + ".fi\n.PP\n";
  text += ".SH OPTIONS\n";
  for (const HelpPage& page : pages) text += manual_options(page);
  text += ".SH ENVIRONMENT\n" + roff(kEnvironment) + "\n.SH RESPONSE FILES\n" + roff(kResponseFiles);
  text += "\n.SH EXIT STATUS\n";
  for (const ExitStatus& status : kExitStatus) {
    text += std::string(".TP\n.B ") + status.code + "\n" + roff(status.meaning) + "\n";
  }
  return text;
}

std::string markdown_text(const std::vector<HelpPage>& pages) {
  std::string text =
      "# The command line\n\n<!-- Written by `florence2 help --markdown > docs/cli.md`; a test compares. -->\n";
  for (const HelpPage& page : pages) {
    text += "\n## florence2 " + page.command + "\n\n```\n" + help_text(page) + "```\n";
  }
  text += "\n## Formats\n\n| `-f` | written to | what |\n|---|---|---|\n";
  constexpr const char* kPlaces[] = {"standard output or a file", "a folder (`-o`)",
                                     "a folder, or beside the pictures"};
  for (const FormatInfo& format : all_formats()) {
    text.append("| `").append(format.name).append("` | ").append(kPlaces[static_cast<std::size_t>(format.place)]);
    text.append(" | ").append(format.description).append(" |\n");
  }
  text += std::string("\n## Environment\n\n") + kEnvironment + "\n\n## Response files\n\n" + kResponseFiles + "\n";
  text += "\n## Exit status\n\n| status | meaning |\n|---|---|\n";
  for (const ExitStatus& status : kExitStatus)
    text += std::string("| ") + status.code + " | " + status.meaning + " |\n";
  return text;
}

}  // namespace florence2
