#include "tools/argument_words.hpp"

#include <algorithm>
#include <map>

#include "core/file.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kLargestResponseFile = 1 << 20;

struct Alias {
  std::string option;
  std::string value = {};  ///< that goes with it; empty: the next word, or none for flags
};

const std::map<std::string, Alias>& aliases() {
  static const std::map<std::string, Alias> names = {
      {"-bs", {"--beams"}},
      {"--beam-size", {"--beams"}},
      {"--num-beams", {"--beams"}},
      {"--num_beams", {"--beams"}},
      {"-n", {"--max-new-tokens"}},
      {"--n-predict", {"--max-new-tokens"}},
      {"--max-tokens", {"--max-new-tokens"}},
      {"--max_new_tokens", {"--max-new-tokens"}},
      {"--temp", {"--temperature"}},
      {"--do-sample", {"--sample"}},
      {"--do_sample", {"--sample"}},
      {"--repeat-penalty", {"--repetition-penalty"}},
      {"-oj", {"--format", "json"}},
      {"--json", {"--format", "json"}},
      {"--output-json", {"--format", "json"}},
      {"-ocsv", {"--format", "csv"}},
      {"--output-csv", {"--format", "csv"}},
      {"-otxt", {"--format", "txt"}},
      {"--output-txt", {"--format", "txt"}},
      {"-of", {"--output"}},
      {"--output-file", {"--output"}},
      {"-np", {"--quiet"}},
      {"--no-prints", {"--quiet"}},
      {"--silent", {"--quiet"}},
      {"--model-path", {"--model"}},
      {"--file", {"--image"}},
      {"--dtype", {"--precision"}},
      {"--box", {"--region"}},
      {"--composite", {"--draw"}},
      {"--print-timings", {"--timings"}},
      {"--check-tensors", {"--check-weights"}},
      {"--lora", {"--adapter"}},
      {"-ng", {"--device", "cpu"}},
      {"--no-gpu", {"--device", "cpu"}},
      {"-dev", {"--device"}},
  };
  return names;
}

/// Reads one word at `at`, which is no white space. False: a quote has no end.
bool read_word(std::string_view text, std::size_t& at, std::string& word) {
  char quote = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) return true;
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && at + 1 < text.size()) {
      word += text[++at];
    } else {
      word += c;
    }
  }
  return quote == 0;
}

Result<PreparedWords> with_files(const std::vector<std::string>& words, const KnownOptions& options) {
  PreparedWords all;
  bool value = false, names_only = false;
  for (const std::string& word : words) {
    names_only = names_only || (!value && word == "--");
    if (value || names_only || word.size() < 2 || word[0] != '@') {
      value = !value && options.takes_value(word);
      all.words.push_back(word);
      continue;
    }
    const std::string file = word.substr(1);
    FL_ASSIGN(const std::string text, read_file(file, kLargestResponseFile));
    auto more = split_words(text);
    if (!more) return Error{more.error().code, more.error().message, file};
    all.words.insert(all.words.end(), more->begin(), more->end());
    all.files.push_back(file);
  }
  return all;
}

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at;
    } else if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else if (!read_word(text, at, words.emplace_back())) {
      return Error{ErrorCode::argument, "a quote has no end in \"" + words.back().substr(0, 40) + "\"", {}};
    }
  }
  return words;
}

Result<PreparedWords> prepare_words(const std::vector<std::string>& words, const KnownOptions& options) {
  FL_ASSIGN(PreparedWords all, with_files(words, options));
  std::vector<std::string> prepared;
  bool value = false, names_only = false;
  for (const std::string& word : all.words) {
    names_only = names_only || (!value && word == "--");
    if (value || names_only) {
      value = false;
      prepared.push_back(word);
      continue;
    }
    const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    const bool has_value = equals != std::string::npos;
    const std::string name = word.substr(0, equals);
    const auto alias = aliases().find(name);
    const bool translated = alias != aliases().end() && !options.has(name) && options.has(alias->second.option);
    const Alias ours = translated ? alias->second : Alias{name};
    const bool takes_value = options.takes_value(ours.option);
    if (takes_value && has_value && equals + 1 == word.size()) {  // "--x=", where CLI11 would take the next word
      prepared.insert(prepared.end(), {ours.option, ""});
      continue;
    }
    prepared.push_back(ours.option + (has_value ? word.substr(equals) : std::string()));
    if (!ours.value.empty()) prepared.push_back(ours.value);
    value = ours.value.empty() && !has_value && takes_value;
  }
  return PreparedWords{std::move(prepared), std::move(all.files)};
}

}  // namespace florence2
