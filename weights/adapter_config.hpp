// adapter_config.json: what kind of adapter it is and how strong.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"

namespace florence2 {

struct AdapterConfig {
  double alpha = 8;
  bool rank_stabilized = false;                               // rsLoRA
  std::vector<std::pair<std::string, double>> alpha_pattern;  // by end of the module's name

  /// alpha / rank, or alpha / sqrt(rank).
  float scale(std::string_view module, std::int64_t rank) const;
};

/// Errors: as of files; model for kinds of adapters other than LoRA, rsLoRA and DoRA.
Result<AdapterConfig> read_adapter_config(const std::string& path);

}  // namespace florence2
