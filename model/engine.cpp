#include "model/engine.hpp"

#include "kernels/isa.hpp"

namespace florence2 {

Result<const KernelTable*> choose_table(const ModelOptions& options) {
  return options.isa.empty() ? active_table() : table_named(options.isa);
}

Status check_threads(int threads) {
  constexpr int kMaxThreads = 1024;
  if (threads >= 0 && threads <= kMaxThreads) return {};
  return Error{ErrorCode::argument,
               "threads must be 0…" + std::to_string(kMaxThreads) + ", not " + std::to_string(threads), ""};
}

ModelInfo info_of(const Config& config, const KernelTable& table) {
  const int first_width = config.vision.dims[0];
  const TextConfig& text = config.text;
  ModelInfo info;
  info.size_name = first_width == 128 && text.d_model == 768    ? "base"
                   : first_width == 256 && text.d_model == 1024 ? "large"
                                                                : "custom";
  info.isa = table.name;
  info.image_side = config.image.side;
  info.image_tokens = config.image_tokens();
  info.d_model = text.d_model;
  info.encoder_layers = text.encoder_layers;
  info.decoder_layers = text.decoder_layers;
  info.vocabulary = text.vocabulary;
  info.positions = text.max_positions;
  return info;
}

Engine::Engine(const ModelImpl& model, int threads) : model_(model), context_(*model.table, threads) {}

View<const float> Engine::encode_image(View<const float> pixels,
                                       const std::function<void(int, View<const float>)>& after_stage) {
  const Config& config = model_.config;
  const View<const float> map =
      run_davit(context_, model_.weights.vision, config.vision, config.image.side, pixels, vision_, after_stage);
  const std::int64_t d = config.text.d_model;
  image_tokens_.ensure((1 + map.rows) * d);
  const View<float> tokens(image_tokens_.data(), 1 + map.rows, d);
  const Grid grid{config.grid_side(), config.grid_side()};
  run_projector(context_, tokens, map, grid, model_.weights.projector, projector_);
  return tokens;
}

View<const float> Engine::encode_prompt(View<const float> image, std::span<const std::int32_t> ids) {
  vision_ = {};  // tens of megabytes that the text stages can use; taking them anew costs a few milliseconds a picture
  return run_encoder(context_, model_.weights.encoder, image, ids, encoder_);
}

}  // namespace florence2
