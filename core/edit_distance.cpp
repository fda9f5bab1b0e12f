#include "core/edit_distance.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace florence2 {
namespace {

template <typename Text>
std::size_t distance(Text a, Text b) {
  std::vector<std::size_t> row(b.size() + 1);  // distances of the prefix of `a` so far to every prefix of `b`
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] != b[j] ? 1 : 0);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) { return distance(a, b); }
std::size_t edit_distance(std::u32string_view a, std::u32string_view b) { return distance(a, b); }

}  // namespace florence2
