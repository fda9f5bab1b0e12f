// The files that a run writes: none twice, and none over a file that it reads.
#pragma once

#include <sys/types.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/result.hpp"

namespace florence2 {

class OutputNames {
 public:
  OutputNames() = default;
  /// `inputs`: the files that the run reads; those that are not there are left out.
  explicit OutputNames(const std::vector<std::string>& inputs);

  /// The run also reads the model or adapter in `folder`.
  void add_model(const std::string& folder);

  /// `stem` + `ending`, with a number between them where the run has written such a file.
  std::string unused(const std::string& stem, const std::string& ending) const;
  /// Error cannot_create when `file`, by whatever path, is one that the run reads.
  Status check(const std::string& file) const;
  /// The same, also when the run has written it. From now on it has. Devices and pipes may be taken again.
  Status take(const std::string& file);

 private:
  std::set<std::pair<dev_t, ino_t>> inputs_;
  std::set<std::string> written_;
};

/// One for all outputs of a run.
using SharedNames = std::shared_ptr<OutputNames>;

}  // namespace florence2
