// Any bytes as JSON: what parses is written and must parse to the same text again.
#include <cstdlib>

#include "core/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace florence2;
  const auto value = json::parse({reinterpret_cast<const char*>(data), size});
  if (!value) return 0;
  const std::string text = json::dump(*value);
  const auto again = json::parse(text);
  if (!again || json::dump(*again) != text) std::abort();
  return 0;
}
