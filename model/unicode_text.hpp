// The few Unicode rules that prompts and answers need. White space and digits are Python's, which the references use.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace florence2 {

/// str.isspace and the regular expressions' \s.
bool is_space(char32_t code_point);
/// Value of a decimal digit of any script (the regular expressions' \d); nothing for other characters.
std::optional<int> digit_value(char32_t code_point);

/// str.lstrip, str.strip; broken UTF-8 is no white space.
std::string_view strip_left(std::string_view text);
std::string_view strip(std::string_view text);

/// The start of `text`, at most `bytes` long, cut between characters.
std::string_view cut(std::string_view text, std::size_t bytes);

}  // namespace florence2
