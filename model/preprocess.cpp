// The last step before the vision tower: bytes to normalised floats.
#include "model/image.hpp"

namespace florence2 {

std::array<std::array<float, 256>, 3> normalization_table(const ImageConfig& config) {
  std::array<std::array<float, 256>, 3> table{};
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (int value = 0; value < 256; ++value) {
      const auto share = static_cast<float>(value * (1.0 / 255.0));
      table[channel][value] = (share - config.mean[channel]) / config.stddev[channel];
    }
  }
  return table;
}

void preprocess(float* dst, const ImageView& source, const ImageConfig& config) {
  const auto table = normalization_table(config);
  const std::vector<std::uint8_t> pixels = resize_bicubic(source, config.side, config.side);
  for (std::size_t i = 0; i < pixels.size(); i += 3) {
    for (std::size_t channel = 0; channel < 3; ++channel) dst[i + channel] = table[channel][pixels[i + channel]];
  }
}

}  // namespace florence2
