// Any bytes as tokenizer.json, and the same bytes as text and as ids for what was loaded.
#include "tests/fuzz/input_folder.hpp"
#include "tokenizer/tokenizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace florence2;
  fuzz::write_input("tokenizer.json", data, size);
  const auto tokenizer = Tokenizer::load(fuzz::input_folder());
  if (!tokenizer) return 0;
  const auto ids = tokenizer->encode({reinterpret_cast<const char*>(data), size});
  if (ids) (void)tokenizer->decode(*ids);
  std::vector<std::int32_t> any(size);
  for (std::size_t i = 0; i < size; ++i) any[i] = (data[i] - 8) * 16;
  (void)tokenizer->decode(any, true);
  return 0;
}
