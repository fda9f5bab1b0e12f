#include "model/config.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "kernels/table.hpp"
#include "model/section.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kMaxFileBytes = std::int64_t{1} << 20;
constexpr Range kWidths{1, 16384};
constexpr Range kHiddenWidths{1, 65536};
constexpr Range kHeads{1, 1024};
constexpr Range kLayers{1, 64};
constexpr Range kVocabularies{1, 1'000'000};
constexpr Range kPositions{1, 65536};
constexpr Range kGridSides{1, 1024};
constexpr Range kImageSides{1, 8192};
constexpr Range kKernels{1, 64};

Error wrong(std::string message) { return {ErrorCode::model, std::move(message), ""}; }

void read_vision(Section section, VisionConfig& vision) {
  section.only("model_type", {"\"davit\"", "\"florence_vision\"", "\"\""});
  const std::string_view dims = section.has("embed_dim") ? "embed_dim" : "dim_embed";
  section.require({dims, "depths", "num_heads", "num_groups"});
  section.integers(dims, vision.dims, kWidths);
  section.integers("depths", vision.depths, kLayers);
  section.integers("num_heads", vision.heads, kHeads);
  section.integers("num_groups", vision.groups, kHeads);
  section.integers("patch_size", vision.patch_size, kKernels);
  section.integers("patch_stride", vision.patch_stride, kKernels);
  section.integers("patch_padding", vision.patch_padding, {0, kKernels.high});
  section.booleans("patch_prenorm", vision.patch_prenorm);
  section.integer("window_size", vision.window, {1, 64});
  section.whole("mlp_ratio", vision.mlp_ratio, {1, 16});
  Section positions = section.section("image_pos_embed");
  positions.integer("max_pos_embeddings", vision.max_positions, kGridSides);
  section.integer("max_position_embeddings", vision.max_positions, kGridSides);  // Hugging Face's name of the same

  section.only("in_channels", {"3"});
  section.only("qkv_bias", {"true"});
  section.only("conv_at_attn", {"true"});
  section.only("conv_at_ffn", {"true"});
  section.only("activation_function", {"\"gelu\""});
  section.only("image_feature_source", {R"(["spatial_avg_pool","temporal_avg_pool"])"});
  section.section("visual_temporal_embedding").only("type", {"\"COSINE\""});
  positions.only("type", {"\"learned_abs_2d\""});
}

void read_text(Section section, TextConfig& text) {
  section.only("model_type", {"\"bart\"", "\"florence2_language\"", "\"\""});
  section.require({"d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads",
                   "encoder_ffn_dim", "decoder_ffn_dim"});
  section.integer("d_model", text.d_model, kWidths);
  section.integer("encoder_layers", text.encoder_layers, kLayers);
  section.integer("decoder_layers", text.decoder_layers, kLayers);
  section.integer("encoder_attention_heads", text.encoder_heads, kHeads);
  section.integer("decoder_attention_heads", text.decoder_heads, kHeads);
  section.integer("encoder_ffn_dim", text.encoder_ffn, kHiddenWidths);
  section.integer("decoder_ffn_dim", text.decoder_ffn, kHiddenWidths);
  section.integer("vocab_size", text.vocabulary, kVocabularies);
  section.integer("max_position_embeddings", text.max_positions, kPositions);
  const Range tokens{0, text.vocabulary - 1};
  section.integer("bos_token_id", text.bos, tokens);
  section.integer("pad_token_id", text.pad, tokens);
  section.integer("eos_token_id", text.eos, tokens);

  section.only("activation_function", {"\"gelu\""});
  section.only("scale_embedding", {"false"});
  section.only("normalize_before", {"false"});
  section.only("add_final_layer_norm", {"false"});
}

/// The keys of generation, which both text_config and generation_config.json may hold.
void read_generation(Section section, Config& config) {
  TextConfig& text = config.text;
  section.integer("decoder_start_token_id", text.decoder_start, {0, text.vocabulary - 1});
  section.optional_token("forced_bos_token_id", text.forced_bos, text.vocabulary);
  section.optional_token("forced_eos_token_id", text.forced_eos, text.vocabulary);

  GenerationDefaults& generation = config.generation;
  section.integer("num_beams", generation.num_beams, {1, 16});
  section.integer("no_repeat_ngram_size", generation.no_repeat_ngram, {0, 1024});
  section.real("length_penalty", -100, 100, generation.length_penalty);
  const json::Value* early_stopping = section.find("early_stopping");
  if (early_stopping == nullptr) return;
  if (const bool* boolean = early_stopping->boolean()) {
    generation.early_stopping = *boolean ? EarlyStopping::yes : EarlyStopping::no;
  } else if (section.is("early_stopping", "never")) {
    generation.early_stopping = EarlyStopping::never;
  } else {
    section.unexpected("early_stopping", "true, false or \"never\"");
  }
}

void read_image(Section section, ImageConfig& image) {
  for (const std::string_view key : {"do_resize", "do_rescale", "do_normalize"}) section.only(key, {"true"});
  section.only("do_center_crop", {"false"});
  section.only("resample", {"3"});  // bicubic
  float rescale = 0;
  section.real("rescale_factor", 0.0039215, 0.0039216, rescale);  // 1 / 255
  section.reals("image_mean", -10, 10, image.mean);
  section.reals("image_std", 1e-6, 10, image.stddev);
  if (!section.has("size")) return;

  Section size = section.section("size");
  size.require({"width", "height"});
  int height = image.side;
  size.integer("width", image.side, kImageSides);
  size.integer("height", height, kImageSides);
  if (height != image.side) {
    size.fail("size is " + std::to_string(image.side) + "x" + std::to_string(height) + ", expected a square");
  }
}

Status check_multiple(const std::string& name, int value, const std::string& of, int divisor) {
  if (value % divisor == 0) return {};
  return wrong(name + " = " + std::to_string(value) + " is not a multiple of " + of + " = " + std::to_string(divisor));
}

/// Rows that are multiplied have at most as many values as 8-bit sums can add.
Status check_row(const std::string& name, int value, std::int64_t row) {
  if (row <= kMostDepth8) return {};
  return wrong(name + " = " + std::to_string(value) + " makes rows of " + std::to_string(row) +
               " values, supported: " + std::to_string(kMostDepth8));
}

/// The relations between values that single ranges cannot express.
Status check_shapes(const Config& config) {
  const VisionConfig& vision = config.vision;
  for (std::size_t stage = 0; stage < kVisionStages; ++stage) {
    const std::string index = "[" + std::to_string(stage) + "]";
    const std::string dims = "vision_config.embed_dim" + index;
    FL_TRY(check_multiple(dims, vision.dims[stage], "num_heads" + index, vision.heads[stage]));
    FL_TRY(check_multiple(dims, vision.dims[stage], "num_groups" + index, vision.groups[stage]));
    const int padding = vision.patch_padding[stage], size = vision.patch_size[stage];
    if (padding >= size || 2 * padding + 1 < size) {
      return wrong("vision_config.patch_padding" + index + " = " + std::to_string(padding) +
                   " does not fit patch_size = " + std::to_string(size));
    }
    const std::int64_t channels = stage == 0 ? 3 : vision.dims[stage - 1];
    FL_TRY(check_row("vision_config.patch_size" + index, size, channels * size * size));
    FL_TRY(check_row("vision_config.mlp_ratio", vision.mlp_ratio, std::int64_t{vision.dims[stage]} * vision.mlp_ratio));
  }
  const TextConfig& text = config.text;
  FL_TRY(check_multiple("text_config.d_model", text.d_model, "encoder_attention_heads", text.encoder_heads));
  return check_multiple("text_config.d_model", text.d_model, "decoder_attention_heads", text.decoder_heads);
}

Status check_image(const Config& config) {
  int stride = 1;
  for (const int stage_stride : config.vision.patch_stride) stride *= stage_stride;
  FL_TRY(check_multiple("size", config.image.side, "the vision tower's stride", stride));
  if (config.grid_side() <= config.vision.max_positions) return {};
  return wrong("size = " + std::to_string(config.image.side) + " gives a grid of " +
               std::to_string(config.grid_side()) + ", the position tables have " +
               std::to_string(config.vision.max_positions) + " rows");
}

/// Fills `config` from config.json; `native` tells Hugging Face's own layout from Microsoft's.
Status read_main(const json::Value& value, Config& config, bool& native) {
  Status status;
  Section top(value, "", status);
  top.require({"model_type"});
  if (top.has("model_type") && !top.is("model_type", "florence2")) {
    top.fail("model_type " + json::dump(*top.find("model_type")) + " is not florence2");
  }
  top.require({"vision_config", "text_config"});
  const Section vision = top.section("vision_config");
  const Section text = top.section("text_config");
  read_vision(vision, config.vision);
  read_text(text, config.text);
  read_generation(text, config);
  int projection = config.text.d_model;
  top.section("vision_config").integer("projection_dim", projection, kWidths);
  if (projection != config.text.d_model) {
    top.fail("vision_config.projection_dim = " + std::to_string(projection) +
             ", text_config.d_model = " + std::to_string(config.text.d_model) + ", expected the same");
  }
  native = vision.is("model_type", "florence_vision") || text.is("model_type", "bart");
  FL_TRY(std::move(status));
  return check_shapes(config);
}

Result<json::Value> parse_main(const std::string& directory, const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error)) {
    const bool file = std::filesystem::exists(directory, error);
    return Error{ErrorCode::not_found, file ? "is a file; name its folder" : "no such model folder", directory};
  }
  auto value = json::parse_file(path, kMaxFileBytes);
  if (!value && value.error().code == ErrorCode::not_found) {
    value.error().code = ErrorCode::model;
    value.error().message += "; a model folder needs model.safetensors, config.json, tokenizer.json";
  }
  return value;
}

/// A file that may be absent: then an empty object.
Result<json::Value> parse_optional(const std::string& path) {
  auto value = json::parse_file(path, kMaxFileBytes);
  if (!value && value.error().code == ErrorCode::not_found) return json::Value(json::Object());
  return value;
}

/// Adds the file to an error about its content.
Status in_file(Status status, const std::string& path) {
  if (status) return status;
  Error error = std::move(status).error();
  error.where = path;
  return error;
}

/// Published values, which the files need not repeat.
Config defaults() {
  Config config;
  config.vision.patch_size = {7, 3, 3, 3};
  config.vision.patch_stride = {4, 2, 2, 2};
  config.vision.patch_padding = {3, 1, 1, 1};
  config.vision.patch_prenorm = {false, true, true, true};
  config.text.vocabulary = 51289;
  config.text.max_positions = 1024;
  return config;
}

struct NamedSize {
  std::string_view name;
  std::array<int, kVisionStages> depths, dims, heads;
  int d_model, layers, text_heads, ffn, max_positions;
};
constexpr NamedSize kNamedSizes[] = {
    {"mini", {1, 1, 2, 1}, {32, 64, 128, 256}, {1, 2, 4, 8}, 128, 2, 2, 256, 1024},
    {"base", {1, 1, 9, 1}, {128, 256, 512, 1024}, {4, 8, 16, 32}, 768, 6, 12, 3072, 1024},
    {"large", {1, 1, 9, 1}, {256, 512, 1024, 2048}, {8, 16, 32, 64}, 1024, 12, 16, 4096, 4096},
};

}  // namespace

int Config::grid_side() const {
  int side = image.side;
  for (std::size_t stage = 0; stage < kVisionStages; ++stage) {
    side = (side + 2 * vision.patch_padding[stage] - vision.patch_size[stage]) / vision.patch_stride[stage] + 1;
  }
  return side;
}

Result<Config> load_config(const std::string& directory) {
  Config config = defaults();
  const std::string main_path = directory + "/config.json";
  FL_ASSIGN(const json::Value main, parse_main(directory, main_path));
  bool native = false;
  FL_TRY(in_file(read_main(main, config, native), main_path));

  // In Microsoft's repositories the file belongs to the outer model, whose settings their generation never uses.
  if (native) {
    const std::string path = directory + "/generation_config.json";
    FL_ASSIGN(const json::Value value, parse_optional(path));
    Status status;
    read_generation(Section(value, "", status), config);
    FL_TRY(in_file(std::move(status), path));
  }

  const std::string path = directory + "/preprocessor_config.json";
  FL_ASSIGN(const json::Value value, parse_optional(path));
  Status status;
  read_image(Section(value, "", status), config.image);
  if (status) status = check_image(config);
  FL_TRY(in_file(std::move(status), path));
  return config;
}

Result<Config> named_config(std::string_view size) {
  const auto* named = std::find_if(std::begin(kNamedSizes), std::end(kNamedSizes),
                                   [size](const NamedSize& candidate) { return candidate.name == size; });
  if (named == std::end(kNamedSizes)) {
    return Error{ErrorCode::argument, "unknown size \"" + std::string(size) + "\"; expected mini, base or large", ""};
  }
  Config config = defaults();
  config.vision.depths = named->depths;
  config.vision.dims = named->dims;
  config.vision.heads = config.vision.groups = named->heads;
  config.text.d_model = named->d_model;
  config.text.encoder_layers = config.text.decoder_layers = named->layers;
  config.text.encoder_heads = config.text.decoder_heads = named->text_heads;
  config.text.encoder_ffn = config.text.decoder_ffn = named->ffn;
  config.text.max_positions = named->max_positions;
  return config;
}

}  // namespace florence2
