#include "weights/adapter_config.hpp"

#include <algorithm>
#include <cmath>

#include "core/json.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kMaxFileBytes = std::int64_t{1} << 20;

Error wrong(std::string message) { return {ErrorCode::model, std::move(message), {}}; }

bool switched_on(const json::Value& config, std::string_view key) {
  const json::Value* value = config.find(key);
  if (value == nullptr || value->is_null()) return false;
  if (const bool* flag = value->boolean()) return *flag;
  if (const json::Object* members = value->object()) return !members->empty();
  if (const json::Array* items = value->array()) return !items->empty();
  return true;
}

/// What would make the weights mean something else.
Status check_kind(const json::Value& config) {
  const json::Value* type = config.find("peft_type");
  if (type == nullptr || type->string() == nullptr || *type->string() != "LORA") {
    return wrong("peft_type " + (type == nullptr ? "none" : json::dump(*type)) + " not supported; expected \"LORA\"");
  }
  for (const char* key :
       {"alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "monteclora_config",
        "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora", "velora_config"}) {
    if (switched_on(config, key)) return wrong(std::string(key) + " is not supported");
  }
  // These also change the base weights when the adapter is put on.
  const json::Value* start = config.find("init_lora_weights");
  for (const std::string_view name : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
    if (start == nullptr || start->string() == nullptr || !start->string()->starts_with(name)) continue;
    return wrong("init_lora_weights " + json::dump(*start) +
                 " changes the base weights too, which is not supported; convert the adapter to plain LoRA");
  }
  return {};
}

Status read_alpha_pattern(const json::Value& config, AdapterConfig& result) {
  const json::Value* pattern = config.find("alpha_pattern");
  if (pattern == nullptr || pattern->object() == nullptr) return {};
  for (const auto& [key, value] : *pattern->object()) {
    double alpha = 0;
    if (!value.number(alpha)) return wrong("alpha_pattern: \"" + key + "\" is no number");
    // PEFT takes regular expressions; names of modules, with ^ for the whole name, are what people write.
    const auto is_plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; };
    if (!std::all_of(key.begin() + key.starts_with('^'), key.end(), is_plain)) {
      return wrong("alpha_pattern: \"" + key + "\" is a regular expression, which is not supported");
    }
    result.alpha_pattern.emplace_back(key, alpha);
  }
  return {};
}

Result<AdapterConfig> read_config(const json::Value& config) {
  if (config.object() == nullptr) return wrong("expected an object, found " + std::string(config.kind()));
  FL_TRY(check_kind(config));
  AdapterConfig result;
  const json::Value* alpha = config.find("lora_alpha");
  if (alpha == nullptr || !alpha->number(result.alpha)) return wrong("lora_alpha is missing or no number");
  result.rank_stabilized = switched_on(config, "use_rslora");
  FL_TRY(read_alpha_pattern(config, result));
  return result;
}

bool matches(std::string_view module, std::string_view pattern) {
  if (pattern.starts_with('^')) return module == pattern.substr(1);
  if (!module.ends_with(pattern)) return false;
  return module.size() == pattern.size() || module[module.size() - pattern.size() - 1] == '.';
}

}  // namespace

float AdapterConfig::scale(std::string_view module, std::int64_t rank) const {
  const auto found = std::find_if(alpha_pattern.begin(), alpha_pattern.end(),
                                  [&](const auto& entry) { return matches(module, entry.first); });
  const double strength = found == alpha_pattern.end() ? alpha : found->second;
  const auto size = static_cast<double>(rank);
  return static_cast<float>(strength / (rank_stabilized ? std::sqrt(size) : size));
}

Result<AdapterConfig> read_adapter_config(const std::string& path) {
  FL_ASSIGN(const json::Value document, json::parse_file(path, kMaxFileBytes));
  auto config = read_config(document);
  if (!config) return Error{config.error().code, std::move(config.error().message), path};
  return config;
}

}  // namespace florence2
