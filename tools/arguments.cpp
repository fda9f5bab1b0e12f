#include "tools/arguments.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <iostream>
#include <map>

#include "core/edit_distance.hpp"
#include "model/florence2.hpp"

namespace florence2 {
namespace {

Error usage_error(std::string message, std::string where = {}) {
  return {ErrorCode::argument, std::move(message), std::move(where)};
}

/// Names that users of other engines type, and ours.
const std::map<std::string, std::string>& foreign_names() {
  static const std::map<std::string, std::string> names = {
      {"--beam-size", "--beams"},       {"--num-beams", "--beams"},  {"--n-predict", "--max-new-tokens"},
      {"-n", "--max-new-tokens"},       {"--json", "--format json"}, {"--output-json", "--format json"},
      {"--no-prints", "--quiet"},       {"--silent", "--quiet"},     {"--check-tensors", "--check-weights"},
      {"--dtype", "--precision"},       {"--box", "--region"},       {"--composite", "--draw"},
      {"--print-timings", "--timings"}, {"--model-path", "--model"},
  };
  return names;
}

Error unknown_option(const CLI::App& app, const std::string& argument) {
  const std::string name = argument.substr(0, argument.find('='));
  std::string nearest;
  std::size_t best = name.size() / 3 + 1;  // farther names are no help
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& known : option->get_lnames()) {
      const std::size_t distance = edit_distance(name, "--" + known);
      if (distance < best) {
        best = distance;
        nearest = "--" + known;
      }
    }
  }
  const auto foreign = foreign_names().find(name);
  if (foreign != foreign_names().end()) {
    const std::string known = foreign->second.substr(0, foreign->second.find(' '));
    if (app.get_option_no_throw(known) != nullptr) nearest = foreign->second;
  }
  std::string message = "unknown option \"" + name + "\"";
  message += nearest.empty() ? "; --help lists the options" : "; did you mean \"" + nearest + "\"?";
  return usage_error(std::move(message));
}

}  // namespace

struct Arguments::Impl {
  CLI::App app;
  std::string heading;
  std::optional<Error> error;  // the first one that a callback found
  CLI::Option* positional = nullptr;
  CLI::Option* positional_option = nullptr;
  std::vector<std::string>* positional_target = nullptr;

  CLI::Option* add(const std::string& names, const std::string& placeholder, const std::string& help, Accept accept,
                   bool repeats);
  void collect_positionals();
  std::string help() const;
};

CLI::Option* Arguments::Impl::add(const std::string& names, const std::string& placeholder, const std::string& help,
                                  Accept accept, bool repeats) {
  const std::string name = names.substr(names.find("--"));
  const auto callback = [this, name, repeats, accept = std::move(accept)](const CLI::results_t& values) {
    if (error) return true;
    if (!repeats && values.size() > 1) error = usage_error("given twice", name);
    for (const std::string& value : values) {
      if (error) break;
      const Status status = accept(value);
      if (!status) error = Error{status.error().code, status.error().message, name};
    }
    return true;
  };
  CLI::Option* option = app.add_option(names, callback, help);
  return option->option_text(placeholder)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void Arguments::Impl::collect_positionals() {
  if (positional_target == nullptr) return;
  std::map<const CLI::Option*, std::size_t> taken;
  for (const CLI::Option* option : app.parse_order()) {
    if (option != positional && option != positional_option) continue;
    positional_target->push_back(option->results()[taken[option]++]);
  }
}

Arguments::Arguments(std::string heading) : impl_(std::make_unique<Impl>()) {
  impl_->heading = std::move(heading);
  impl_->app.allow_extras();
  impl_->app.get_formatter()->column_width(34);
}

Arguments::~Arguments() = default;

void Arguments::flag(const std::string& names, bool& target, const std::string& help) {
  const std::string name = names.substr(names.find("--"));
  const auto callback = [this, name, &target](std::int64_t count) {
    target = count > 0;
    if (count > 1 && !impl_->error) impl_->error = usage_error("given twice", name);
  };
  impl_->app.add_flag_function(names, callback, help)->group(group_);
}

void Arguments::value(const std::string& names, const std::string& placeholder, const std::string& help,
                      Accept accept) {
  impl_->add(names, placeholder, help, std::move(accept), false)->group(group_);
}

void Arguments::repeatable(const std::string& names, const std::string& placeholder, const std::string& help,
                           Accept accept) {
  impl_->add(names, placeholder, help, std::move(accept), true)->group(group_);
}

void Arguments::positionals(const std::string& placeholder, const std::string& names, const std::string& help,
                            std::vector<std::string>& target) {
  const auto ignore = [](const CLI::results_t&) { return true; };
  impl_->positional_target = &target;
  impl_->positional = impl_->app.add_option(placeholder, ignore, help);
  impl_->positional->expected(-1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (names.empty()) return;
  impl_->positional_option = impl_->add(
      names, "FILE", help, [](const std::string&) { return Status(); }, true);
  impl_->positional_option->group(group_);
}

std::string Arguments::Impl::help() const {
  const auto formatter = std::dynamic_pointer_cast<CLI::Formatter>(app.get_formatter());
  std::string text = heading;
  for (const std::string& title : app.get_groups()) {
    const auto in_group = [&](const CLI::Option* option) {
      return option->get_group() == title && option->nonpositional();
    };
    const auto options = app.get_options(in_group);
    if (!options.empty()) text += formatter->make_group(title, false, options);
  }
  return text;
}

Result<bool> Arguments::parse(int argc, char** argv) {
  CLI::App& app = impl_->app;
  const std::string about = "florence2 " + version() + "\n" + build_description();
  app.set_help_flag("-h,--help", "show this text")->group("Other");
  app.set_version_flag("--version", about, "show version, commit, compiler and instruction sets")->group("Other");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << impl_->help();
    return false;
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << '\n';
    return false;
  } catch (const CLI::ArgumentMismatch& mismatch) {
    const std::string text = mismatch.what();
    return usage_error("needs a value", text.substr(0, text.find(':')));
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }
  for (const std::string& argument : app.remaining()) {
    if (argument == "--") continue;
    if (argument.size() > 1 && argument[0] == '-') return unknown_option(app, argument);
    return usage_error("unexpected argument \"" + argument + "\"");
  }
  if (impl_->error) return *impl_->error;
  impl_->collect_positionals();
  return true;
}

Result<std::int64_t> parse_integer(const std::string& value, std::int64_t low, std::int64_t high) {
  std::int64_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, failure] = std::from_chars(value.data(), end, number);
  if (failure != std::errc() || stop != end || number < low || number > high) {
    return usage_error("must be " + std::to_string(low) + "…" + std::to_string(high) + ", found \"" + value + "\"");
  }
  return number;
}

Arguments::Accept text_into(std::string& target) {
  return [&target](const std::string& value) {
    target = value;
    return Status();
  };
}

}  // namespace florence2
