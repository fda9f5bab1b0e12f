// Any bytes as pytorch_model.bin: of an accepted file every tensor lies inside it or was rearranged whole.
#include <cstdlib>

#include "tests/fuzz/input_folder.hpp"
#include "weights/torch_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace florence2;
  fuzz::write_input("pytorch_model.bin", data, size);
  const auto file = open_torch(fuzz::input_folder() + "/pytorch_model.bin");
  if (!file) return 0;
  for (const TensorInfo& tensor : file->tensors) {
    const bool inside = tensor.offset >= 0 && tensor.bytes >= 0 && tensor.offset + tensor.bytes <= file->file.size();
    const bool whole = tensor.values != nullptr && tensor.values->size() == tensor.bytes;
    if (!inside && !whole) std::abort();
  }
  return 0;
}
