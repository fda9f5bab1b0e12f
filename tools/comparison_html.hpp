// `florence2 compare --html`: one file without references to others.
#pragma once

#include <string>
#include <vector>

#include "tools/comparison.hpp"

namespace florence2 {

class ComparisonPage {
 public:
  /// Adds a picture and what all contestants answered about it. Pictures are shown at most kLongestSide wide and high.
  /// Errors as encode_png().
  Status add(const std::string& name, const ImageView& picture, const std::vector<std::string>& contestants,
             const std::vector<Trial>& trials);

  std::string document(const std::vector<ContestantFacts>& contestants, const Comparison& comparison) const;

 private:
  static constexpr int kLongestSide = 480;
  std::string pictures_;  // HTML
};

}  // namespace florence2
