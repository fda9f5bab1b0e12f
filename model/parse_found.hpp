// What the parsers of every dialect hand back, and the way from location bins to pixels.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "model/florence2.hpp"
#include "model/unicode_text.hpp"
#include "tokenizer/location.hpp"

namespace florence2 {

/// An item and where it stands in the scanned text: the bytes from its first location tag to the end of its last, and
/// those of its label (empty where it has none).
struct Found {
  Item item;
  std::size_t begin = 0, end = 0;
  std::size_t label_begin = 0, label_end = 0;
};

struct Findings {
  std::vector<Found> found;  ///< in text order
  int incomplete = 0;        ///< location groups too short for an item
};

/// From location bins to the pixels of a picture.
struct PixelScale {
  int width = 0, height = 0;
  bool whole = false;  ///< truncated toward zero, as hf does

  Point at(std::int64_t x_bin, std::int64_t y_bin) const { return {along(x_bin, width), along(y_bin, height)}; }

 private:
  float along(std::int64_t bin, int size) const {
    const float centre = location_centre(static_cast<float>(bin), size);
    return whole ? std::trunc(centre) : centre;
  }
};

/// Every item of a group repeats the label; without a limit a text of 1 MB could ask for gigabytes of copies.
inline constexpr std::size_t kMaxLabelBytes = 4096;

inline std::string_view cut_label(std::string_view label) { return cut(label, kMaxLabelBytes); }

}  // namespace florence2
