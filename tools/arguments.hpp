// The options of one command, over CLI11: every option at most once unless it repeats, values checked by functions that
// say what is allowed, unknown options answered with the nearest known one, and a variable of the environment for each.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "tools/help_page.hpp"

namespace florence2 {

class Arguments {
 public:
  /// Takes one value; its error message says what is allowed ("must be 1…16, found …"). The option's name is added
  /// here.
  using Accept = std::function<Status(const std::string& value)>;

  /// `heading` is the help text in front of the list of options.
  Arguments(std::string command, std::string heading);
  ~Arguments();
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  /// Title in the help text for the options that follow.
  void group(std::string title);
  void flag(const std::string& names, bool& target, const std::string& help);
  /// `names` as "-t,--threads"; `placeholder` stands for the value in the help text.
  void value(const std::string& names, const std::string& placeholder, const std::string& help, Accept accept);
  void repeatable(const std::string& names, const std::string& placeholder, const std::string& help, Accept accept);
  /// The values that the option added last takes, for completion.
  void choices(std::vector<std::string> values);
  /// Arguments without a name; those given with the option `names` (may be empty) are put among them in the order
  /// typed.
  void positionals(const std::string& placeholder, const std::string& names, const std::string& help,
                   std::vector<std::string>& target);

  HelpPage page() const;

  /// True: go on. False: help or version was asked for and printed. Errors: argument; those of Output
  /// for the text.
  Result<bool> parse(int argc, char** argv);
  /// The @FILEs that parse() read.
  const std::vector<std::string>& response_files() const;
  /// An error about an option, found later: names the variable of the environment if that is where the value came from.
  Error as_given(Error error) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// `value` as a whole number in [low, high].
Result<std::int64_t> parse_integer(const std::string& value, std::int64_t low, std::int64_t high);

/// `value` as a number in [low, high].
Result<float> parse_real(const std::string& value, float low, float high);

/// Accepts a whole number in [low, high] into `target`, an integer or an optional<int>.
template <typename Target>
Arguments::Accept integer_into(Target& target, std::int64_t low, std::int64_t high) {
  using Integer = std::conditional_t<std::is_integral_v<Target>, Target, int>;
  return [&target, low, high](const std::string& value) -> Status {
    FL_ASSIGN(const std::int64_t number, parse_integer(value, low, high));
    target = static_cast<Integer>(number);
    return {};
  };
}
/// Accepts any text but the empty one.
Arguments::Accept text_into(std::string& target);
/// Accepts a number in [low, high] into a float or an optional<float>.
template <typename Target>
Arguments::Accept real_into(Target& target, float low, float high) {
  return [&target, low, high](const std::string& value) -> Status {
    FL_ASSIGN(target, parse_real(value, low, high));
    return {};
  };
}
/// Passes on what is UTF-8. Error data.
Arguments::Accept utf8_only(Arguments::Accept use);
/// Calls `use` with each part of a list with commas between, without the spaces around it; empty parts are errors.
Arguments::Accept each_of(Arguments::Accept use);

template <typename T>
using Choices = std::vector<std::pair<std::string, T>>;

/// Accepts one of the named values.
template <typename T>
Arguments::Accept choice_into(T& target, Choices<T> choices) {
  return [&target, choices = std::move(choices)](const std::string& value) -> Status {
    std::string allowed;
    for (const auto& [name, choice] : choices) {
      if (name == value) {
        target = choice;
        return {};
      }
      allowed += (allowed.empty() ? "" : ", ") + name;
    }
    return Error{ErrorCode::argument, "must be one of " + allowed + ", found \"" + value + "\"", {}};
  };
}

/// Adds an option that takes one of the named values.
template <typename T>
void add_choice(Arguments& arguments, const OptionHelp& option, T& target, const Choices<T>& choices) {
  arguments.value(option.names, option.placeholder, option.text, choice_into<T>(target, choices));
  std::vector<std::string> names;
  for (const auto& [name, choice] : choices) names.push_back(name);
  arguments.choices(std::move(names));
}

}  // namespace florence2
