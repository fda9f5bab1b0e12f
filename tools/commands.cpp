#include "tools/commands.hpp"

#include <algorithm>

#include "core/edit_distance.hpp"

namespace florence2 {
namespace {

constexpr Command kCommands[] = {
    {"run", run_command, run_page},
    {"bench", bench_command, bench_page},
    {"compare", compare_command, compare_page},
    {"info", info_command, info_page},
    {"download", download_command, download_page},
    {"convert", convert_command, convert_page},
    {"tokenize", tokenize_command, tokenize_page},
    {"parse", parse_command, parse_page},
    {"preprocess", preprocess_command, preprocess_page},
    {"help", help_command, help_page},
    {"completion", completion_command, completion_page},
};

}  // namespace

std::span<const Command> all_commands() { return kCommands; }

const Command* find_command(std::string_view name) {
  for (const Command& command : kCommands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

std::string_view nearest_command(std::string_view name) {
  constexpr std::size_t kNear = 3;
  std::string_view nearest;
  std::size_t best = std::min(kNear, name.size() / 2 + 1);
  for (const Command& command : kCommands) {
    const std::size_t distance = edit_distance(name, command.name);
    if (distance >= best) continue;
    best = distance;
    nearest = command.name;
  }
  return nearest;
}

std::string unknown_command_text(std::string_view name) {
  const std::string_view nearest = nearest_command(name);
  std::string text = "no command \"" + std::string(name) + "\"";
  if (!nearest.empty()) return text + "; did you mean \"" + std::string(nearest) + "\"?";
  text += "; there are";
  for (const Command& command : kCommands) text += " " + std::string(command.name);
  return text;
}

}  // namespace florence2
