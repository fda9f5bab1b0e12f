// The words of a command line before they are parsed: response files read, names from other programs translated.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace florence2 {

/// The words of a response file: separated by white space, quoted with ' or " (a backslash escapes inside " and outside
/// of quotes), from # at the start of a word to the end of the line a comment. Error argument: a quote without end.
Result<std::vector<std::string>> split_words(std::string_view text);

/// Whether a command has the option, and whether it takes a value.
struct KnownOptions {
  std::function<bool(const std::string& name)> has;
  std::function<bool(const std::string& name)> takes_value;
};

struct PreparedWords {
  std::vector<std::string> words;
  std::vector<std::string> files;  ///< response files that were read
};

/// Replaces @FILE by the file's words, and names that users bring from other programs (`-bs`, `--n-predict`) by ours,
/// where the command has the option; values are left alone, and the empty one of `--option=` becomes a word of its own.
/// Errors: not_found, permission, io, argument.
Result<PreparedWords> prepare_words(const std::vector<std::string>& words, const KnownOptions& options);

}  // namespace florence2
