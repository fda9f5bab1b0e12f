#include "tools/help_page.hpp"

#include <algorithm>
#include <string_view>

#include "tools/table.hpp"

namespace florence2 {
namespace {

constexpr std::size_t kTextColumn = 34, kLastColumn = 118;

/// Options that mean the same for every command that has them.
constexpr std::string_view kShared[] = {"--model",       "--threads",         "--precision",  "--quiet",  "--compat",
                                        "--exif-rotate", "--allow-truncated", "--max-pixels", "--adapter"};

/// `text` from column kTextColumn on, wrapped at spaces; the first line is there already up to `column`.
std::string wrapped(std::string_view text, std::size_t column) {
  std::string out;
  if (column + 2 > kTextColumn) {
    out += '\n';
    column = 0;
  }
  out.append(kTextColumn - column, ' ');
  column = kTextColumn;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const std::size_t columns = text_columns(word);
    if (column > kTextColumn && column + 1 + columns > kLastColumn) {
      out.append(1, '\n').append(kTextColumn, ' ');
      column = kTextColumn;
    }
    if (column > kTextColumn) out += ' ';
    column += columns + (column > kTextColumn ? 1 : 0);
    out += word;
  }
  return out + '\n';
}

}  // namespace

std::string long_name(const OptionHelp& option) { return option.names.substr(option.names.find("--")); }

std::string short_name(const OptionHelp& option) {
  const std::size_t comma = option.names.find(',');
  return comma == std::string::npos ? std::string() : option.names.substr(0, comma);
}

std::string environment_name(const std::string& command, const std::string& option) {
  const bool shared = std::find(std::begin(kShared), std::end(kShared), option) != std::end(kShared);
  std::string name = "FLORENCE2_" + (shared || command == "run" ? std::string() : command + "_") + option.substr(2);
  for (char& c : name) c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

std::string help_text(const HelpPage& page) {
  std::string text = page.heading, group;
  for (const OptionHelp& option : page.options) {
    if (option.group != group) text += '\n' + option.group + ":\n";
    group = option.group;
    std::string names = "  " + (option.names.starts_with("--") ? "    " + option.names : option.names);
    if (const std::size_t comma = names.find(','); comma != std::string::npos) names.insert(comma + 1, " ");
    if (!option.placeholder.empty()) names += " " + option.placeholder;
    text += names + wrapped(option.text, text_columns(names));
  }
  return text;
}

}  // namespace florence2
