// Completion scripts: commands, options, and the values of options that take one of a few.
#include "tools/help_page.hpp"

namespace florence2 {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string command_names(const std::vector<HelpPage>& pages) {
  std::string names;
  for (const HelpPage& page : pages) names += (names.empty() ? "" : " ") + page.command;
  return names;
}

/// "--task|-p" or "--text".
std::string bash_pattern(const OptionHelp& option) {
  const std::string letter = short_name(option);
  return long_name(option) + (letter.empty() ? "" : "|" + letter);
}

std::string bash_case(const HelpPage& page) {
  std::string names, values;
  for (const OptionHelp& option : page.options) {
    names += (names.empty() ? "" : " ") + long_name(option);
    if (!option.choices.empty()) {
      values += "        " + bash_pattern(option) + ") words=\"" + joined(option.choices) + "\" files= ;;\n";
    } else if (!option.placeholder.empty()) {
      values += "        " + bash_pattern(option) + ") words= ;;\n";
    }
  }
  return "    " + page.command + ")\n      words=\"" + names + "\"\n      case $previous in\n" + values +
         "      esac ;;\n";
}

/// Inside single quotes of zsh's _arguments: brackets and colons mean something there.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':') out += '\\';
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return out;
}

std::string zsh_option(const OptionHelp& option) {
  const std::string name = long_name(option), letter = short_name(option);
  std::string value;
  if (!option.placeholder.empty()) {
    value = ":" + zsh_text(option.placeholder) + ":" +
            (option.choices.empty() ? std::string("_files") : "(" + joined(option.choices) + ")");
  }
  const std::string names = letter.empty() ? "'*'" + name : "'*'{" + letter + "," + name + "}";
  return "      " + names + "'[" + zsh_text(option.text) + "]" + value + "' \\\n";
}

/// Inside single quotes of fish.
std::string fish_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return "'" + out + "'";
}

std::string fish_option(const OptionHelp& option, const std::string& condition) {
  const std::string letter = short_name(option);
  std::string line = "complete -c florence2 -n '" + condition + "' -l " + long_name(option).substr(2);
  if (!letter.empty()) line += " -s " + letter.substr(1);
  if (!option.choices.empty()) {
    line += " -x -a " + fish_text(joined(option.choices));
  } else if (!option.placeholder.empty()) {
    line += " -r";
  }
  return line + " -d " + fish_text(option.text) + "\n";
}

}  // namespace

std::string bash_completion(const std::vector<HelpPage>& pages) {
  std::string text =
      "# florence2 completion bash\n_florence2() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=run words= files=1\n"
      "  case ${COMP_WORDS[1]} in\n";
  std::string names = command_names(pages), patterns = names;
  for (std::size_t space = 0; (space = patterns.find(' ', space)) != std::string::npos;) patterns[space] = '|';
  text +=
      "    " + patterns + ") [ \"$COMP_CWORD\" -gt 1 ] && command=${COMP_WORDS[1]} ;;\n  esac\n  case $command in\n";
  for (const HelpPage& page : pages) text += bash_case(page);
  text +=
      "  esac\n"
      "  [ \"$COMP_CWORD\" -eq 1 ] && words=\"$words " +
      names +
      "\"\n"
      "  [ -n \"$words\" ] && COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) || COMPREPLY=()\n"
      "  case ${files:-0}$current in 1-* | 0*) return ;; esac\n"
      "  while IFS= read -r words; do COMPREPLY+=(\"$words\"); done < <(compgen -f -- \"$current\")\n"
      "}\ncomplete -o filenames -F _florence2 florence2\n";
  return text;
}

std::string zsh_completion(const std::vector<HelpPage>& pages) {
  std::string text =
      "#compdef florence2\n_florence2() {\n  local command=run\n"
      "  if (( CURRENT == 2 )); then compadd -- " +
      command_names(pages) +
      "; fi\n"
      "  case $words[2] in\n    ";
  std::string patterns = command_names(pages);
  for (std::size_t space = 0; (space = patterns.find(' ', space)) != std::string::npos;) patterns[space] = '|';
  text += patterns +
          ")\n      if (( CURRENT > 2 )); then command=$words[2]; shift words; (( CURRENT-- )); fi ;;\n  esac\n"
          "  case $command in\n";
  for (const HelpPage& page : pages) {
    text += "    " + page.command + ") _arguments \\\n";
    for (const OptionHelp& option : page.options) text += zsh_option(option);
    text += "      '*:file:_files' ;;\n";
  }
  return text + "  esac\n}\n_florence2 \"$@\"\n";
}

std::string fish_completion(const std::vector<HelpPage>& pages) {
  const std::string others = command_names(pages);
  std::string text = "# florence2 completion fish\n";
  for (const HelpPage& page : pages) {
    const std::string what = page.heading.substr(0, page.heading.find('\n'));
    text += "complete -c florence2 -n __fish_is_first_arg -a " + page.command + " -d " + fish_text(what) + "\n";
  }
  for (const HelpPage& page : pages) {
    const bool run = page.command == "run";
    const std::string condition = run ? "not __fish_seen_subcommand_from " + others.substr(others.find(' ') + 1)
                                      : "__fish_seen_subcommand_from " + page.command;
    for (const OptionHelp& option : page.options) text += fish_option(option, condition);
  }
  return text;
}

}  // namespace florence2
