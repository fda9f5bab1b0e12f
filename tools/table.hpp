// Aligned columns of text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace florence2 {

using TableRow = std::vector<std::string>;

/// Columns of a terminal that `text` takes: two for the wide characters of East Asia and for emoji.
std::size_t text_columns(std::string_view text);

/// The first column to the left, the others to the right, two spaces between them. All rows have the same length.
std::string align_table(const std::vector<TableRow>& rows);

}  // namespace florence2
