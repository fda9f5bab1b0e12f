// Any bytes as config.json: an accepted one describes shapes that fit together.
#include <cstdlib>

#include "model/config.hpp"
#include "tests/fuzz/input_folder.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace florence2;
  fuzz::write_input("config.json", data, size);
  const auto config = load_config(fuzz::input_folder());
  if (!config) return 0;
  if (config->grid_side() < 1 || config->grid_side() > config->vision.max_positions) std::abort();
  for (int s = 0; s < kVisionStages; ++s) {
    const auto stage = static_cast<std::size_t>(s);
    if (config->vision.dims[stage] % config->vision.heads[stage] != 0) std::abort();
  }
  return 0;
}
