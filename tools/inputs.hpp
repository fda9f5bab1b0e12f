// From what the user names to pictures: files, folders, patterns, standard input.
#pragma once

#include <string>
#include <vector>

#include "core/result.hpp"
#include "model/florence2.hpp"

namespace florence2 {

/// Replaces folders by the pictures in them (by extension, sorted by name, not recursive) and patterns that a shell
/// left alone by their matches. Error not_found: an empty folder, a pattern without matches, "-" twice.
Result<std::vector<std::string>> expand_inputs(const std::vector<std::string>& names);

/// Decodes the file `name`, or standard input for "-".
Result<Picture> open_input(const std::string& name, const PictureOptions& options);

/// Standard input to its end. Error limit beyond `max_bytes`.
Result<std::string> read_standard_input(std::int64_t max_bytes);

}  // namespace florence2
