#include "model/precision.hpp"

#include <array>
#include <optional>
#include <utility>

#include "weights/tensor_names.hpp"

namespace florence2 {
namespace {

constexpr std::array<Precision, 3> kAll{Precision::fp32, Precision::bf16, Precision::int8};

std::optional<Precision> precision_named(std::string_view name) {
  for (const Precision precision : kAll) {
    if (name_of(precision) == name) return precision;
  }
  return std::nullopt;
}

/// What `auto` stands for: the fastest that docs/precision.md found to cost at most 0.3 points in every task. Without
/// vector instructions 8-bit products are not faster.
PrecisionPlan default_plan(const KernelTable& table) {
  const bool quick = std::string_view(table.name) != "scalar";
  return quick ? PrecisionPlan{Precision::int8, Precision::int8, {}} : PrecisionPlan{};
}

/// What has a share of the error of 8 bits far above its share of products and memory: the patch embedding of the third
/// stage and the projection of the image tokens (docs/precision.md, "What stays in 16 bits").
bool stays_in_16_bits(std::string_view hf_name) {
  return hf_name == "model.vision_tower.convs.2.conv" || hf_name == "model.multi_modal_projector.image_projection";
}

Error wrong_precision(std::string_view text) {
  return {
      ErrorCode::argument,
      "must be one of auto, fp32, bf16, int8, or name parts (vision=bf16,text=int8), not \"" + std::string(text) + "\"",
      ""};
}

/// Parts of a model that have been read.
struct PartsSeen {
  bool vision = false, text = false;
};

/// Reads "part=precision" into the plan; false when it is neither, or a part for the second time.
bool read_part(std::string_view part, PrecisionPlan& plan, const PrecisionPlan& automatic, PartsSeen& seen) {
  const std::size_t equals = part.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = part.substr(0, equals), value = part.substr(equals + 1);
  const bool vision = name == "vision";
  if (!vision && name != "text") return false;
  const std::optional<Precision> precision =
      value == "auto" ? (vision ? automatic.vision : automatic.text) : precision_named(value);
  if (!precision || std::exchange(vision ? seen.vision : seen.text, true)) return false;
  (vision ? plan.vision : plan.text) = *precision;
  return true;
}

}  // namespace

std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return "fp32";
    case Precision::bf16:
      return "bf16";
    case Precision::int8:
      return "int8";
  }
  return "?";
}

std::string PrecisionPlan::text_form() const {
  if (vision == text) return std::string(name_of(vision));
  return "vision=" + std::string(name_of(vision)) + ",text=" + std::string(name_of(text));
}

WeightType PrecisionPlan::weight_type(std::string_view hf_name, DType stored, const KernelTable& table) const {
  if (kept.contains(hf_name)) return stored;
  Precision precision = is_of_vision(hf_name) ? vision : text;
  if (precision == Precision::int8 && stays_in_16_bits(hf_name)) precision = Precision::bf16;
  switch (precision) {
    case Precision::fp32:
      return stored;
    case Precision::bf16:
      if (table.gemm_f32_bf16_bf16p != nullptr) return {DType::bf16, true};
      return stored == DType::f32 ? DType::bf16 : stored;  // f16 has as few bytes and more digits
    case Precision::int8:
      return DType::s8;
  }
  return stored;
}

Result<PrecisionPlan> parse_precision(std::string_view text, const KernelTable& table) {
  const PrecisionPlan automatic = default_plan(table);
  if (text.empty() || text == "auto") return automatic;
  if (const auto precision = precision_named(text)) return PrecisionPlan{*precision, *precision, {}};
  PrecisionPlan plan = automatic;
  PartsSeen seen;
  for (std::size_t begin = 0, comma = 0; comma != std::string_view::npos; begin = comma + 1) {
    comma = text.find(',', begin);
    if (!read_part(text.substr(begin, comma - begin), plan, automatic, seen)) return wrong_precision(text);
  }
  return plan;
}

}  // namespace florence2
