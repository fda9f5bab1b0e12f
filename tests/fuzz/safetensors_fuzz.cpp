// Any bytes as model.safetensors: of an accepted file every tensor lies inside it.
#include <cstdlib>

#include "tests/fuzz/input_folder.hpp"
#include "weights/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace florence2;
  fuzz::write_input("model.safetensors", data, size);
  const auto file = open_safetensors(fuzz::input_folder() + "/model.safetensors");
  if (!file) return 0;
  for (const TensorInfo& tensor : file->tensors) {
    if (tensor.offset < 8 || tensor.bytes < 0 || tensor.offset + tensor.bytes > file->file.size()) std::abort();
  }
  return 0;
}
