// A checkpoint written anew in the precision it will be run in: smaller on disk, and read without conversion.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "kernels/table.hpp"
#include "model/florence2.hpp"

namespace florence2 {

struct ConvertOptions {
  std::string precision = "int8";  ///< as ModelOptions::precision, but "auto" is int8
  int threads = 0;                 ///< 0: all physical cores this process may use
  /// Matrices that stay as they are stored, whatever the precision: patterns of matching_tensors().
  std::vector<std::string> keep = {};
  /// Called with the share done, in [0, 1]; false cancels (error cancelled).
  std::function<bool(double)> on_progress = {};
};

struct ConvertReport {
  std::string precision;
  std::int64_t bytes = 0;        ///< of the weights written
  std::int64_t plain_bytes = 0;  ///< the same with nothing kept
};

/// The kernels whose 8-bit weights every other table can use too: those with a quad_limit. Error unsupported.
Result<const KernelTable*> portable_table();

/// Writes `directory`'s model to the folder `output`, which is made if it is missing: model.safetensors in Hugging
/// Face's layout, written to a temporary file first, and copies of the small files. 8-bit tensors follow
/// weights/weight_reader.hpp; they fit every CPU. Errors: as Model::load, argument (a pattern that matches nothing),
/// and cannot_create, io, unsupported (no kernels to quantise with).
Result<ConvertReport> convert_model(const std::string& directory, const std::string& output,
                                    const ConvertOptions& options = {});

}  // namespace florence2
