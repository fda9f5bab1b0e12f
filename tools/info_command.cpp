// `florence2 info`: what a checkpoint holds and what this CPU offers.
#include <cstdio>
#include <map>
#include <optional>

#include "core/json.hpp"
#include "model/florence2.hpp"
#include "model/system_info.hpp"
#include "tools/commands.hpp"
#include "tools/common_options.hpp"
#include "tools/message.hpp"
#include "tools/model_folder.hpp"
#include "tools/output.hpp"

namespace florence2 {
namespace {

constexpr const char* kHeading = R"(florence2 info: what a checkpoint holds and what this CPU offers

  florence2 info
  florence2 info -m Florence-2-base --format json
  florence2 info -m Florence-2-base --adapter my-lora
)";

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text.empty() ? "none" : text;
}

json::Value array_of(const std::vector<std::string>& names) {
  json::Array array;
  for (const std::string& name : names) array.emplace_back(name);
  return array;
}

using Line = std::pair<const char*, std::string>;

std::string number(std::int64_t value) { return std::to_string(value); }

std::vector<Line> system_lines(const SystemInfo& system) {
  return {{"version", version()},
          {"build", build_description()},
          {"CPU", system.cpu},
          {"CPU features", joined(system.features)},
          {"instruction sets built in", joined(system.built)},
          {"usable here", joined(system.available)},
          {"in use", system.active.empty() ? "none: " + system.active_error : system.active},
          {"threads", number(system.threads)}};
}

/// "my-lora, scale 1: 24 modules (12 q_proj, 12 v_proj)".
std::string adapter_line(const AdapterInfo& adapter) {
  std::map<std::string, int> kinds;
  for (const std::string& module : adapter.modules) ++kinds[module.substr(module.rfind('.') + 1)];
  std::string text;
  for (const auto& [kind, count] : kinds) text += (text.empty() ? "" : ", ") + number(count) + " " + kind;
  char scale[32];
  std::snprintf(scale, sizeof(scale), "%g", static_cast<double>(adapter.scale));
  return adapter.directory + ", scale " + scale + ": " + number(static_cast<std::int64_t>(adapter.modules.size())) +
         " modules (" + text + ")";
}

std::vector<Line> model_lines(const ModelInfo& info) {
  std::vector<Line> lines = {{"model", info.directory},
                             {"size", info.size_name},
                             {"layout", info.layout},
                             {"weights", info.storage + ", " + number(info.parameters) + " parameters, " +
                                             number(info.weight_bytes) + " bytes in memory"},
                             {"picture", number(info.image_side) + "x" + number(info.image_side) + " pixels, " +
                                             number(info.image_tokens) + " tokens"},
                             {"text model", number(info.encoder_layers) + " + " + number(info.decoder_layers) +
                                                " layers, width " + number(info.d_model)},
                             {"vocabulary", number(info.vocabulary)},
                             {"positions", number(info.positions)},
                             {"output head", info.tied_head ? "shared with the embedding" : "its own"}};
  for (const AdapterInfo& adapter : info.adapters) lines.emplace_back("adapter", adapter_line(adapter));
  return lines;
}

json::Value system_json(const SystemInfo& system) {
  json::Object object = {{"cpu", system.cpu},
                         {"features", array_of(system.features)},
                         {"isa_built", array_of(system.built)},
                         {"isa_available", array_of(system.available)},
                         {"isa", system.active.empty() ? json::Value() : json::Value(system.active)},
                         {"threads", system.threads}};
  return object;
}

json::Value adapters_json(const std::vector<AdapterInfo>& adapters) {
  json::Array array;
  for (const AdapterInfo& adapter : adapters) {
    array.emplace_back(json::Object{
        {"directory", adapter.directory}, {"scale", adapter.scale}, {"modules", array_of(adapter.modules)}});
  }
  return array;
}

json::Value model_json(const ModelInfo& info) {
  return json::Object{{"directory", info.directory},
                      {"size", info.size_name},
                      {"layout", info.layout},
                      {"storage", info.storage},
                      {"parameters", info.parameters},
                      {"weight_bytes", info.weight_bytes},
                      {"image_side", info.image_side},
                      {"image_tokens", info.image_tokens},
                      {"d_model", info.d_model},
                      {"encoder_layers", info.encoder_layers},
                      {"decoder_layers", info.decoder_layers},
                      {"vocabulary", info.vocabulary},
                      {"positions", info.positions},
                      {"tied_head", info.tied_head},
                      {"adapters", adapters_json(info.adapters)},
                      {"warnings", array_of(info.warnings)}};
}

std::string as_text(const SystemInfo& system, const std::optional<ModelInfo>& model) {
  std::vector<Line> lines = system_lines(system);
  if (model) {
    for (const Line& line : model_lines(*model)) lines.push_back(line);
  }
  std::string text;
  for (const auto& [name, value] : lines) {
    char title[40];
    std::snprintf(title, sizeof(title), "%-27s", name);
    text += title + printable(value) + '\n';
  }
  return text;
}

std::string as_json(const SystemInfo& system, const std::optional<ModelInfo>& model) {
  return json::dump(json::Object{{"version", version()},
                                 {"build", build_description()},
                                 {"system", system_json(system)},
                                 {"model", model ? model_json(*model) : json::Value()}}) +
         '\n';
}

struct InfoOptions {
  std::string model;
  std::vector<AdapterOptions> adapters;
  bool json = false, quiet = false;
};

/// The checkpoint's facts; none when no folder was named and none ships with the program.
Result<std::optional<ModelInfo>> model_info(const InfoOptions& options) {
  const auto folder = find_model(options.model, options.quiet);
  if (!folder) return std::optional<ModelInfo>();
  FL_ASSIGN(const Model model, Model::load(*folder, {.adapters = options.adapters}));
  return std::optional<ModelInfo>(model.info());
}

void declare(Arguments& arguments, InfoOptions& options) {
  add_model_option(arguments, options.model);
  add_choice<bool>(arguments, {{}, "-f,--format", "FORMAT", "text or json (default text)", {}}, options.json,
                   {{"text", false}, {"json", true}});
  add_adapter_option(arguments, options.adapters);
  add_quiet_option(arguments, options.quiet);
}

Result<int> info(int argc, char** argv) {
  InfoOptions options;
  Arguments arguments("info", kHeading);
  declare(arguments, options);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return 0;
  FL_ASSIGN(const std::optional<ModelInfo> model, model_info(options));
  FL_ASSIGN(Output output, Output::open({}));
  const SystemInfo system = system_info();
  FL_TRY(output.write(options.json ? as_json(system, model) : as_text(system, model)));
  return 0;
}

}  // namespace

HelpPage info_page() {
  InfoOptions options;
  Arguments arguments("info", kHeading);
  declare(arguments, options);
  return arguments.page();
}

int info_command(int argc, char** argv) { return conclude(info(argc, argv)); }

}  // namespace florence2
