#include "weights/tensor_names.hpp"

#include <initializer_list>
#include <utility>

namespace florence2 {
namespace {

constexpr std::string_view kLanguage = "model.language_model.";
constexpr std::string_view kProjector = "model.multi_modal_projector.";
constexpr std::string_view kVision = "model.vision_tower.";

using Rewrite = std::pair<std::string_view, std::string_view>;

/// Replaces the first occurrence of each left side.
std::string rewrite(std::string name, std::initializer_list<Rewrite> rewrites) {
  for (const auto& [from, to] : rewrites) {
    if (const std::size_t at = name.find(from); at != name.npos) name.replace(at, from.size(), to);
  }
  return name;
}

std::string vision_name(std::string name) {
  if (name.find(".convs.") != name.npos) return rewrite(std::move(name), {{".conv.", ".proj."}});
  const bool spatial = name.find(".spatial_block.") != name.npos;
  return rewrite(std::move(name), {{".conv1.", ".conv1.fn.dw."},
                                   {".conv2.", ".conv2.fn.dw."},
                                   {".norm1.", spatial ? ".window_attn.norm." : ".channel_attn.norm."},
                                   {".norm2.", ".ffn.norm."},
                                   {".qkv.", ".fn.qkv."},
                                   {".proj.", ".fn.proj."},
                                   {".ffn.fc", ".ffn.fn.net.fc"}});
}

}  // namespace

std::string ms_name(std::string_view hf_name) {
  const auto rest = [hf_name](std::string_view prefix) { return std::string(hf_name.substr(prefix.size())); };
  if (hf_name.starts_with(kLanguage)) return "language_model.model." + rest(kLanguage);
  if (hf_name.starts_with(kProjector)) {
    return rewrite(rest(kProjector),
                   {{"image_projection.weight", "image_projection"}, {"image_position_embed.", "image_pos_embed."}});
  }
  if (hf_name.starts_with(kVision)) return vision_name("vision_tower." + rest(kVision));
  return "language_model." + std::string(hf_name);  // lm_head.weight, final_logits_bias
}

bool is_of_vision(std::string_view hf_name) { return hf_name.starts_with(kVision) || hf_name.starts_with(kProjector); }

}  // namespace florence2
