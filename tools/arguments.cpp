#include "tools/arguments.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>

#include "core/edit_distance.hpp"
#include "core/json.hpp"
#include "core/utf8.hpp"
#include "model/florence2.hpp"
#include "tools/argument_words.hpp"
#include "tools/output.hpp"

namespace florence2 {
namespace {

Error usage_error(std::string message, std::string where = {}) {
  return {ErrorCode::argument, std::move(message), std::move(where)};
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
  std::string message = "unknown option \"" + name + "\"";
  message += nearest.empty() ? "; --help lists the options" : "; did you mean \"" + nearest + "\"?";
  return usage_error(std::move(message));
}

}  // namespace

struct Arguments::Impl {
  struct Entry {
    OptionHelp help;
    CLI::Option* option;
    Accept accept;  // for the environment
  };

  CLI::App app;
  std::string command, heading, group = "Options";
  std::vector<Entry> entries;
  std::optional<Error> error;  // the first one that a callback found
  std::vector<std::string> response_files;
  std::map<std::string, std::string> variables;  // that gave options their values
  CLI::Option* positional = nullptr;
  CLI::Option* positional_option = nullptr;
  std::vector<std::string>* positional_target = nullptr;

  CLI::Option* add(const OptionHelp& help, const Accept& accept, bool repeats);
  const Entry* find(const std::string& name) const;
  Status collect_positionals();
  Status read_environment();
  Result<PreparedWords> words(int argc, char** argv) const;
  Status check_remaining() const;
};

CLI::Option* Arguments::Impl::add(const OptionHelp& help, const Accept& accept, bool repeats) {
  const std::string name = long_name(help);
  const auto callback = [this, name, repeats, accept](const CLI::results_t& values) {
    if (error) return true;
    if (!repeats && values.size() > 1) error = usage_error("given twice", name);
    for (const std::string& value : values) {
      if (error) break;
      const Status status = accept(value);
      if (!status) error = Error{status.error().code, status.error().message, name};
    }
    return true;
  };
  CLI::Option* option = app.add_option(help.names, callback, help.text);
  entries.push_back({help, option, accept});
  entries.back().help.group = group;
  return option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

const Arguments::Impl::Entry* Arguments::Impl::find(const std::string& name) const {
  for (const Entry& entry : entries) {
    if (name == long_name(entry.help) || name == short_name(entry.help)) return &entry;
  }
  return nullptr;
}

Status Arguments::Impl::collect_positionals() {
  if (positional_target == nullptr) return {};
  std::map<const CLI::Option*, std::size_t> taken;
  for (const CLI::Option* option : app.parse_order()) {
    if (option != positional && option != positional_option) continue;
    const std::string& value = option->results()[taken[option]++];
    if (value.empty()) return usage_error("must not be empty", positional->get_name());
    positional_target->push_back(value);
  }
  return {};
}

Status Arguments::Impl::read_environment() {
  for (const Entry& entry : entries) {
    if (entry.option->count() > 0 || !entry.accept) continue;
    const std::string name = environment_name(command, long_name(entry.help));
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') continue;
    const Status status = entry.accept(value);
    if (!status) return Error{status.error().code, status.error().message, name};
    variables[long_name(entry.help)] = name;
  }
  return {};
}

Result<PreparedWords> Arguments::Impl::words(int argc, char** argv) const {
  const KnownOptions known{.has = [this](const std::string& name) { return find(name) != nullptr; },
                           .takes_value =
                               [this](const std::string& name) {
                                 const Entry* entry = find(name);
                                 return entry != nullptr && !entry->help.placeholder.empty();
                               }};
  return prepare_words({argv + 1, argv + argc}, known);
}

Status Arguments::Impl::check_remaining() const {
  for (const std::string& argument : app.remaining()) {
    if (argument == "--") continue;
    if (argument.size() > 1 && argument[0] == '-') return unknown_option(app, argument);
    return usage_error("unexpected argument \"" + argument + "\"");
  }
  return {};
}

Arguments::Arguments(std::string command, std::string heading) : impl_(std::make_unique<Impl>()) {
  impl_->command = std::move(command);
  impl_->heading = std::move(heading);
  impl_->app.allow_extras();
}

Arguments::~Arguments() = default;

void Arguments::group(std::string title) { impl_->group = std::move(title); }

void Arguments::flag(const std::string& names, bool& target, const std::string& help) {
  const std::string name = names.substr(names.find("--"));
  const auto callback = [this, name, &target](std::int64_t count) {
    target = count > 0;
    if (count > 1 && !impl_->error) impl_->error = usage_error("given twice", name);
  };
  CLI::Option* option = impl_->app.add_flag_function(names, callback, help);
  const Choices<bool> values = {{"1", true}, {"0", false}, {"true", true}, {"false", false}};
  impl_->entries.push_back({{impl_->group, names, {}, help, {}}, option, choice_into<bool>(target, values)});
}

void Arguments::value(const std::string& names, const std::string& placeholder, const std::string& help,
                      Accept accept) {
  impl_->add({{}, names, placeholder, help, {}}, accept, false);
}

void Arguments::repeatable(const std::string& names, const std::string& placeholder, const std::string& help,
                           Accept accept) {
  impl_->add({{}, names, placeholder, help, {}}, accept, true);
}

void Arguments::choices(std::vector<std::string> values) { impl_->entries.back().help.choices = std::move(values); }

void Arguments::positionals(const std::string& placeholder, const std::string& names, const std::string& help,
                            std::vector<std::string>& target) {
  const auto ignore = [](const CLI::results_t&) { return true; };
  impl_->positional_target = &target;
  impl_->positional = impl_->app.add_option(placeholder, ignore, help);
  impl_->positional->expected(-1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (names.empty()) return;
  impl_->positional_option = impl_->add(
      {{}, names, "FILE", help, {}}, [](const std::string&) { return Status(); }, true);
  impl_->entries.back().accept = nullptr;
}

HelpPage Arguments::page() const {
  HelpPage page{impl_->command, impl_->heading, {}};
  for (const Impl::Entry& entry : impl_->entries) page.options.push_back(entry.help);
  page.options.push_back({"Other", "-h,--help", {}, "show this text", {}});
  page.options.push_back({"Other", "--version", {}, "show version, commit, compiler and instruction sets", {}});
  return page;
}

Result<bool> Arguments::parse(int argc, char** argv) {
  CLI::App& app = impl_->app;
  app.set_help_flag("-h,--help");
  app.set_version_flag("--version", std::string());
  FL_ASSIGN(PreparedWords prepared, impl_->words(argc, argv));
  impl_->response_files = std::move(prepared.files);
  std::vector<std::string>& words = prepared.words;
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  try {
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    FL_TRY(write_file("-", help_text(page())));
    return false;
  } catch (const CLI::CallForVersion&) {
    FL_TRY(write_file("-", "florence2 " + version() + '\n' + build_description() + '\n'));
    return false;
  } catch (const CLI::ArgumentMismatch& mismatch) {
    const std::string text = mismatch.what();
    return usage_error("needs a value", text.substr(0, text.find(':')));
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }
  FL_TRY(impl_->check_remaining());
  if (impl_->error) return *impl_->error;
  FL_TRY(impl_->read_environment());
  FL_TRY(impl_->collect_positionals());
  return true;
}

const std::vector<std::string>& Arguments::response_files() const { return impl_->response_files; }

Error Arguments::as_given(Error error) const {
  const auto variable = impl_->variables.find(error.where);
  if (variable != impl_->variables.end()) error.where = variable->second;
  return error;
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
  return [&target](const std::string& value) -> Status {
    if (value.empty()) return usage_error("must not be empty");
    target = value;
    return {};
  };
}

Result<float> parse_real(const std::string& value, float low, float high) {
  float number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, failure] = std::from_chars(value.data(), end, number);
  if (failure != std::errc() || stop != end || !(number >= low && number <= high)) {
    return usage_error("must be a number in " + json::dump(low) + "…" + json::dump(high) + ", found \"" + value + "\"");
  }
  return number;
}

Arguments::Accept utf8_only(Arguments::Accept use) {
  return [use = std::move(use)](const std::string& value) -> Status {
    const auto at = find_invalid_utf8(value);
    if (at) return Error{ErrorCode::data, "not valid UTF-8 at byte " + std::to_string(*at), {}};
    return use(value);
  };
}

Arguments::Accept each_of(Arguments::Accept use) {
  return [use = std::move(use)](const std::string& list) -> Status {
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t end = std::min(list.find(',', begin), list.size());
      std::string part = list.substr(begin, end - begin);
      part.erase(0, std::min(part.find_first_not_of(' '), part.size()));
      part.erase(part.find_last_not_of(' ') + 1);
      if (part.empty()) return usage_error("a part of \"" + list + "\" is empty");
      FL_TRY(use(part));
      begin = end + 1;
    }
    return {};
  };
}

}  // namespace florence2
