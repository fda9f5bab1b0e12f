#include "tools/calibration_report.hpp"

#include <cstdio>

#include "tools/table.hpp"

namespace florence2 {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.5f", value);
  return text;
}

std::string megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", static_cast<double>(bytes) / 1e6);
  return text;
}

json::Array names(const std::vector<std::string>& list) {
  json::Array array;
  for (const std::string& name : list) array.emplace_back(name);
  return array;
}

}  // namespace

std::string calibration_text(const Calibration& calibration, const ConvertReport& converted) {
  std::string text;
  if (!calibration.parts.empty()) {
    std::vector<TableRow> rows = {{"8 bits in this part alone", "divergence", "kept"}};
    for (const PartError& part : calibration.parts) {
      rows.push_back({part.name, number(part.divergence), part.kept ? "kept" : ""});
    }
    text += align_table(rows) + '\n';
  }
  text += align_table({{"", "divergence", "MB"},
                       {"all in 8 bits", number(calibration.plain), megabytes(converted.plain_bytes)},
                       {"as written", number(calibration.final), megabytes(converted.bytes)},
                       {"budget", number(calibration.budget), ""}});
  return text + '\n' + std::to_string(calibration.pictures) + " pictures, " + std::to_string(calibration.tokens) +
         " tokens; divergence in nats a token\n";
}

json::Value calibration_json(const Calibration& calibration, const ConvertReport& converted) {
  json::Array parts;
  for (const PartError& part : calibration.parts) {
    parts.emplace_back(json::Object{
        {"name", part.name}, {"matrices", names(part.matrices)}, {"divergence", part.divergence}, {"kept", part.kept}});
  }
  return json::Object{{"precision", converted.precision},       {"pictures", calibration.pictures},
                      {"tokens", calibration.tokens},           {"budget", calibration.budget},
                      {"divergence_before", calibration.plain}, {"divergence_after", calibration.final},
                      {"bytes_before", converted.plain_bytes},  {"bytes_after", converted.bytes},
                      {"kept", names(calibration.keep)},        {"parts", std::move(parts)}};
}

}  // namespace florence2
