// The options of one command, over CLI11: every option at most once unless it repeats, values checked by functions that
// say what is allowed, unknown options answered with the nearest known one.
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

namespace florence2 {

class Arguments {
 public:
  /// Takes one value; its error message says what is allowed ("must be 1…16, found …"). The option's name is added
  /// here.
  using Accept = std::function<Status(const std::string& value)>;

  /// `heading` is the help text in front of the list of options.
  explicit Arguments(std::string heading);
  ~Arguments();
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  /// Title in the help text for the options that follow.
  void group(std::string title) { group_ = std::move(title); }
  void flag(const std::string& names, bool& target, const std::string& help);
  /// `names` as "-t,--threads"; `placeholder` stands for the value in the help text.
  void value(const std::string& names, const std::string& placeholder, const std::string& help, Accept accept);
  void repeatable(const std::string& names, const std::string& placeholder, const std::string& help, Accept accept);
  /// Arguments without a name; those given with the option `names` (may be empty) are put among them in the order
  /// typed.
  void positionals(const std::string& placeholder, const std::string& names, const std::string& help,
                   std::vector<std::string>& target);

  /// True: go on. False: help or version was asked for and printed. Errors have code argument.
  Result<bool> parse(int argc, char** argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string group_ = "Options";
};

/// `value` as a whole number in [low, high].
Result<std::int64_t> parse_integer(const std::string& value, std::int64_t low, std::int64_t high);

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
Arguments::Accept text_into(std::string& target);

/// Accepts one of the named values.
template <typename T>
Arguments::Accept choice_into(T& target, std::vector<std::pair<std::string, T>> choices) {
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

}  // namespace florence2
