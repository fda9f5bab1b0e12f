#include "model/system_info.hpp"

#include <fstream>
#include <utility>

#include "kernels/isa.hpp"
#include "model/engine.hpp"

namespace florence2 {
namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

std::vector<std::string> feature_names() {
  static constexpr std::pair<std::uint32_t, const char*> kNames[] = {{cpu_feature::kAvx2, "avx2"},
                                                                     {cpu_feature::kAvx512, "avx512"},
                                                                     {cpu_feature::kAvx512Vnni, "avx512_vnni"},
                                                                     {cpu_feature::kAvx512Bf16, "avx512_bf16"},
                                                                     {cpu_feature::kAvxVnni, "avx_vnni"},
                                                                     {cpu_feature::kAmx, "amx"}};
  std::vector<std::string> names;
  for (const auto& [bit, name] : kNames) {
    if ((cpu_features() & bit) != 0) names.emplace_back(name);
  }
  return names;
}

}  // namespace

SystemInfo system_info() {
  SystemInfo info;
  info.cpu = cpu_name();
  info.features = feature_names();
  for (const std::string_view name : built_tables()) info.built.emplace_back(name);
  for (const KernelTable* table : available_tables()) info.available.emplace_back(table->name);
  const auto active = active_table();
  if (active) {
    info.active = (*active)->name;
  } else {
    info.active_error = active.error().text();
  }
  info.threads = default_threads();
  return info;
}

}  // namespace florence2
