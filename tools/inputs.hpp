// From what the user names to pictures: files, folders, patterns, lists, standard input.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "model/florence2.hpp"

namespace florence2 {

/// A picture to read.
struct Input {
  std::string path;   ///< "-": standard input
  std::string place;  ///< its path below the folder that the user named, else its file name: what output is named after
  std::optional<Error> failure = {};  ///< why a folder or pattern stands for no picture
};

/// What stands for pictures on the command line.
struct InputNames {
  std::vector<std::string> names;  ///< files, folders, patterns that a shell left alone, "-"
  std::string list;        ///< file with more names, a line (or a NUL-terminated string) each; "-": standard input
  bool recursive = false;  ///< look into the folders of folders, too
};

/// Replaces folders by the pictures in them (by extension, sorted by name, hidden ones left out) and patterns by their
/// matches. What cannot be replaced, as an empty folder, is an input that cannot be opened, as a missing file is.
/// Errors: argument, standard input named twice; what reading the list met; not_found, an empty list.
Result<std::vector<Input>> expand_inputs(const InputNames& inputs);

/// Decodes the file `name`, or standard input for "-". Errors as Picture::open() and decode(); data, a URL.
Result<Picture> open_input(const std::string& name, const PictureOptions& options);
/// The same, or the input's own failure.
Result<Picture> open_input(const Input& input, const PictureOptions& options);

/// Standard input to its end. Error limit beyond `max_bytes`.
Result<std::string> read_standard_input(std::int64_t max_bytes);

}  // namespace florence2
