// Files of torch.save (pytorch_model.bin): a zip file with one pickle and one member a storage.
#pragma once

#include <string>

#include "core/result.hpp"
#include "weights/tensor_file.hpp"

namespace florence2 {

/// Opens a file that holds a dictionary of tensors (torch 1.6 and newer). Nothing in it is executed
/// (torch_pickle.hpp). Tensors that do not lie row by row are rearranged in memory, at most four times the
/// file's size. Errors: not_found, permission, io, model.
Result<TensorFile> open_torch(const std::string& path);

}  // namespace florence2
