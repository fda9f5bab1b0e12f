// Any bytes as the pickle of a torch file: an accepted tensor lies in its storage.
#include <cstdlib>

#include "weights/torch_pickle.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace florence2;
  const auto tensors = read_torch_pickle(std::as_bytes(std::span(data, size)));
  if (!tensors) return 0;
  for (const TorchTensor& tensor : *tensors) {
    if (tensor.shape.size() > 8 || tensor.shape.size() != tensor.strides.size()) std::abort();
    if (tensor.elements == 0) continue;
    std::int64_t last = tensor.first;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) last += (tensor.shape[i] - 1) * tensor.strides[i];
    if (tensor.first < 0 || last < tensor.first || last >= tensor.storage_size) std::abort();
  }
  return 0;
}
