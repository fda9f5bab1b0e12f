// Configurations of both layouts, and what a damaged one says (rows 32-35 of the error table).
#include "model/config.hpp"

#include <catch2/catch.hpp>
#include <string>

#include "tests/support.hpp"
#include "tests/temp_folder.hpp"

namespace florence2 {
namespace {

using Catch::Matchers::Contains;

constexpr const char* kVision = R"({"model_type":"davit","dim_embed":[32,64,128,256],"depths":[1,1,2,1],
  "num_heads":[1,2,4,8],"num_groups":[1,2,4,8]})";
constexpr const char* kText = R"({"d_model":128,"encoder_layers":2,"decoder_layers":3,"encoder_attention_heads":2,
  "decoder_attention_heads":4,"encoder_ffn_dim":256,"decoder_ffn_dim":512})";

std::string main_file(const std::string& vision = kVision, const std::string& text = kText) {
  return R"({"model_type":"florence2","vision_config":)" + vision + R"(,"text_config":)" + text + "}";
}

/// The object with one more member.
std::string with(std::string object, const std::string& member) {
  return object.insert(object.rfind('}'), "," + member);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

Config load(const test::TempFolder& folder) {
  const auto config = load_config(folder.path());
  INFO((config ? "" : config.error().text()));
  REQUIRE(config);
  return *config;
}

TEST_CASE("The smallest configuration takes the published values for the rest", "[model]") {
  const test::TempFolder folder;
  folder.write("config.json", main_file());
  const Config config = load(folder);
  CHECK(config.vision.dims == std::array{32, 64, 128, 256});
  CHECK(config.vision.depths == std::array{1, 1, 2, 1});
  CHECK(config.vision.groups == std::array{1, 2, 4, 8});
  CHECK(config.vision.patch_size == std::array{7, 3, 3, 3});
  CHECK(config.vision.patch_stride == std::array{4, 2, 2, 2});
  CHECK(config.vision.patch_padding == std::array{3, 1, 1, 1});
  CHECK(config.vision.patch_prenorm == std::array{false, true, true, true});
  CHECK(config.vision.window == 12);
  CHECK(config.vision.mlp_ratio == 4);
  CHECK(config.vision.max_positions == 50);
  CHECK(config.text.d_model == 128);
  CHECK(config.text.encoder_layers == 2);
  CHECK(config.text.decoder_layers == 3);
  CHECK(config.text.decoder_heads == 4);
  CHECK(config.text.decoder_ffn == 512);
  CHECK(config.text.vocabulary == 51289);
  CHECK(config.text.max_positions == 1024);
  CHECK(config.text.forced_bos == 0);
  CHECK(config.text.forced_eos == 2);
  CHECK(config.generation.num_beams == 3);
  CHECK(config.generation.no_repeat_ngram == 3);
  CHECK(config.generation.early_stopping == EarlyStopping::yes);
  CHECK(config.image.side == 768);
  CHECK(config.grid_side() == 24);
  CHECK(config.image_tokens() == 577);
  CHECK(config.image_width() == 256);
}

TEST_CASE("The original's generation_config.json is not used, the native one is", "[model]") {
  const test::TempFolder folder;
  folder.write("generation_config.json",
               R"({"num_beams":5,"early_stopping":false,"no_repeat_ngram_size":0,"length_penalty":0.5,
                   "forced_bos_token_id":null,"forced_eos_token_id":7,"max_length":20})");
  folder.write("config.json", main_file(kVision, with(kText, R"("num_beams":2,"early_stopping":"never")")));
  const Config original = load(folder);
  CHECK(original.generation.num_beams == 2);
  CHECK(original.generation.no_repeat_ngram == 3);
  CHECK(original.generation.early_stopping == EarlyStopping::never);
  CHECK(original.text.forced_bos == 0);

  folder.write("config.json", main_file(kVision, with(kText, R"("model_type":"bart")")));
  const Config native = load(folder);
  CHECK(native.generation.num_beams == 5);
  CHECK(native.generation.no_repeat_ngram == 0);
  CHECK(native.generation.early_stopping == EarlyStopping::no);
  CHECK(native.generation.length_penalty == 0.5f);
  CHECK(native.text.forced_bos == -1);
  CHECK(native.text.forced_eos == 7);
}

TEST_CASE("preprocessor_config.json sets the size and the normalisation", "[model]") {
  const test::TempFolder folder;
  folder.write("config.json", main_file(with(kVision, R"("mlp_ratio":4.0,"embed_dim":[64,64,128,256])")));
  folder.write("preprocessor_config.json", R"({"size":{"height":640,"width":640},"image_mean":[0.5,0.25,0],
    "image_std":[1,2,0.5],"rescale_factor":0.00392156862745098,"do_convert_rgb":null,"resample":3})");
  const Config config = load(folder);
  CHECK(config.image.side == 640);
  CHECK(config.grid_side() == 20);
  CHECK(config.image_tokens() == 401);
  CHECK(config.image.mean == std::array{0.5f, 0.25f, 0.0f});
  CHECK(config.image.stddev == std::array{1.0f, 2.0f, 0.5f});
  CHECK(config.vision.dims[0] == 64);  // the native name of the widths goes first
}

struct BadConfig {
  std::string content;
  std::string message;
};

TEST_CASE("A wrong config.json says what is wrong", "[model]") {
  const std::string vision = kVision, text = kText;
  const auto bad = GENERATE_COPY(values<BadConfig>({
      {"[]", "expected an object, found an array"},
      {"{", "unexpected end of input at byte 1"},
      {"{}", "model_type is missing"},
      {R"({"model_type":"llava"})", "model_type \"llava\" is not florence2"},
      {R"({"model_type":"florence2"})", "vision_config is missing"},
      {main_file("7"), "vision_config: expected an object, found a number"},
      {main_file(kVision, "[]"), "text_config: expected an object, found an array"},
      {main_file(replaced(vision, "davit", "vit")), "vision_config.model_type is \"vit\", expected \"davit\""},
      {main_file(replaced(vision, "[1,1,2,1]", "[1,1,2]")), "vision_config.depths has 3 entries, expected 4"},
      {main_file(replaced(vision, "[1,1,2,1]", "9")), "vision_config.depths is 9, expected a list"},
      {main_file(replaced(vision, "[1,1,2,1]", "[1,1,0,1]")), "vision_config.depths[2] = 0 out of range 1…64"},
      {main_file(replaced(vision, "[1,1,2,1]", "[1,1,\"2\",1]")),
       "vision_config.depths[2] is \"2\", expected a whole number"},
      {main_file(replaced(vision, "\"num_heads\":[1,2,4,8]", "\"num_heads\":[1,2,4,0]")),
       "vision_config.num_heads[3] = 0 out of range 1…1024"},
      {main_file(replaced(vision, "\"num_heads\":[1,2,4,8]", "\"num_heads\":[1,2,3,8]")),
       "vision_config.embed_dim[2] = 128 is not a multiple of num_heads[2] = 3"},
      {main_file(replaced(vision, "\"num_groups\":[1,2,4,8]", "\"num_groups\":[5,2,4,8]")),
       "vision_config.embed_dim[0] = 32 is not a multiple of num_groups[0] = 5"},
      {main_file(replaced(vision, "\"dim_embed\"", "\"dims\"")), "vision_config.dim_embed is missing"},
      {main_file(replaced(vision, "[1,1,2,1]", "null")), "vision_config.depths is missing"},
      {main_file(with(kVision, R"("patch_padding":[0,1,1,1])")),
       "vision_config.patch_padding[0] = 0 does not fit patch_size = 7"},
      {main_file(with(kVision, R"("patch_size":[7,3,63,3],"patch_padding":[3,1,31,1])")),
       "vision_config.patch_size[2] = 63 makes rows of 254016 values, supported: 65536"},
      {main_file(replaced(with(kVision, R"("mlp_ratio":16)"), ",256]", ",8192]")),
       "vision_config.mlp_ratio = 16 makes rows of 131072 values, supported: 65536"},
      {main_file(with(kVision, R"("patch_prenorm":[0,1,1,1])")),
       "vision_config.patch_prenorm[0] is 0, expected true or false"},
      {main_file(with(kVision, R"("window_size":1e3)")), "vision_config.window_size is 1000, expected a whole number"},
      {main_file(with(kVision, R"("mlp_ratio":2.5)")), "vision_config.mlp_ratio is 2.5, expected a whole number"},
      {main_file(with(kVision, R"("mlp_ratio":1e9)")), "vision_config.mlp_ratio = 1e+09 out of range 1…16"},
      {main_file(with(kVision, R"("activation_function":"relu")")),
       "vision_config.activation_function is \"relu\", expected \"gelu\""},
      {main_file(with(kVision, R"("image_feature_source":["last_frame"])")),
       R"(vision_config.image_feature_source is ["last_frame"], expected ["spatial_avg_pool","temporal_avg_pool"])"},
      {main_file(with(kVision, R"("visual_temporal_embedding":{"type":"NONE"})")),
       "vision_config.visual_temporal_embedding.type is \"NONE\", expected \"COSINE\""},
      {main_file(with(kVision, R"("projection_dim":256)")),
       "vision_config.projection_dim = 256, text_config.d_model = 128, expected the same"},
      {main_file(kVision, replaced(text, "\"decoder_layers\":3", "\"decoder_layers\":1000000000")),
       "text_config.decoder_layers = 1000000000 out of range 1…64"},
      {main_file(kVision, replaced(text, "\"decoder_layers\":3", "\"decoder_layers\":1e18")),
       "text_config.decoder_layers is 1e+18, expected a whole number without fraction or exponent"},
      {main_file(kVision, replaced(text, "\"decoder_layers\":3", "\"decoder_layers\":-1")),
       "text_config.decoder_layers = -1 out of range 1…64"},
      {main_file(kVision, replaced(text, "\"encoder_attention_heads\":2", "\"encoder_attention_heads\":0")),
       "text_config.encoder_attention_heads = 0 out of range 1…1024"},
      {main_file(kVision, replaced(text, "\"encoder_attention_heads\":2", "\"encoder_attention_heads\":3")),
       "text_config.d_model = 128 is not a multiple of encoder_attention_heads = 3"},
      {main_file(kVision, replaced(text, "\"d_model\":128,", "")), "text_config.d_model is missing"},
      {main_file(kVision, with(kText, R"("vocab_size":10,"eos_token_id":10)")),
       "text_config.eos_token_id = 10 out of range 0…9"},
      {main_file(kVision, with(kText, R"("forced_bos_token_id":99999999)")),
       "text_config.forced_bos_token_id = 99999999 out of range 0…51288"},
      {main_file(kVision, with(kText, R"("early_stopping":"sometimes")")),
       "text_config.early_stopping is \"sometimes\", expected true, false or \"never\""},
      {main_file(kVision, with(kText, R"("num_beams":0)")), "text_config.num_beams = 0 out of range 1…16"},
      {main_file(kVision, with(kText, R"("scale_embedding":true)")),
       "text_config.scale_embedding is true, expected false"},
      {main_file(kVision, with(kText, R"("d_model":128)")), "\"d_model\" is listed twice"},
  }));
  const test::TempFolder folder;
  const std::string path = folder.write("config.json", bad.content);
  const auto config = load_config(folder.path());
  INFO(bad.content);
  REQUIRE_FALSE(config);
  CHECK(config.error().code == ErrorCode::model);
  CHECK(config.error().where == path);
  CHECK_THAT(config.error().message, Contains(bad.message));
}

TEST_CASE("A wrong preprocessor_config.json says what is wrong", "[model]") {
  const auto bad = GENERATE(values<BadConfig>({
      {"[]", "expected an object, found an array"},
      {R"({"size":{"height":768,"width":512}})", "size is 512x768, expected a square"},
      {R"({"size":{"shortest_edge":224}})", "size.width is missing"},
      {R"({"size":224})", "size: expected an object, found a number"},
      {R"({"size":{"height":500,"width":500}})", "size = 500 is not a multiple of the vision tower's stride = 32"},
      {R"({"size":{"height":1632,"width":1632}})", "size = 1632 gives a grid of 51, the position tables have 50 rows"},
      {R"({"size":{"height":1e3,"width":768}})", "size.height is 1000, expected a whole number"},
      {R"({"size":{"height":0,"width":0}})", "size.width = 0 out of range 1…8192"},
      {R"({"image_mean":[1,2]})", "image_mean has 2 entries, expected 3"},
      {R"({"image_std":[1,0,1]})", "image_std[1] = 0 out of range 1e-06…10"},
      {R"({"rescale_factor":1})", "rescale_factor = 1 out of range"},
      {R"({"do_normalize":false})", "do_normalize is false, expected true"},
      {R"({"resample":2})", "resample is 2, expected 3"},
  }));
  const test::TempFolder folder;
  folder.write("config.json", main_file());
  const std::string path = folder.write("preprocessor_config.json", bad.content);
  const auto config = load_config(folder.path());
  INFO(bad.content);
  REQUIRE_FALSE(config);
  CHECK(config.error().code == ErrorCode::model);
  CHECK(config.error().where == path);
  CHECK_THAT(config.error().message, Contains(bad.message));
}

TEST_CASE("Missing folders and files, and long values, are reported plainly", "[model]") {
  const test::TempFolder folder;
  const auto none = load_config(folder.file("none"));
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ErrorCode::not_found);
  CHECK(none.error().text() == folder.file("none") + ": no such model folder");
  const auto empty = load_config(folder.path());
  REQUIRE_FALSE(empty);
  CHECK(empty.error().code == ErrorCode::model);
  CHECK(empty.error().message == "no such file; a model folder needs model.safetensors, config.json, tokenizer.json");

  folder.write("config.json",
               main_file(with(kVision, "\"activation_function\":\"" + std::string(100'000, 'x') + "\"")));
  CHECK(load_config(folder.path()).error().message.size() < 200);
  folder.write("config.json", std::string((1 << 20) + 1, ' '));
  CHECK(load_config(folder.path()).error().message == "file is 1048577 bytes, limit 1048576");
}

TEST_CASE("Named sizes have the published shapes", "[model]") {
  CHECK(named_config("base")->text.d_model == 768);
  CHECK(named_config("base")->vision.depths == std::array{1, 1, 9, 1});
  CHECK(named_config("large")->text.max_positions == 4096);
  CHECK(named_config("large")->image_width() == 2048);
  CHECK(named_config("mini")->vision.groups == std::array{1, 2, 4, 8});
  CHECK(named_config("base")->image_tokens() == 577);
  const auto unknown = named_config("huge");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == ErrorCode::argument);
  CHECK(unknown.error().message == "unknown size \"huge\"; expected mini, base or large");
}

void check_same(const Config& a, const Config& b) {
  CHECK(a.vision.dims == b.vision.dims);
  CHECK(a.vision.depths == b.vision.depths);
  CHECK(a.vision.heads == b.vision.heads);
  CHECK(a.vision.groups == b.vision.groups);
  CHECK(a.vision.patch_size == b.vision.patch_size);
  CHECK(a.vision.patch_stride == b.vision.patch_stride);
  CHECK(a.vision.patch_padding == b.vision.patch_padding);
  CHECK(a.vision.patch_prenorm == b.vision.patch_prenorm);
  CHECK(a.text.d_model == b.text.d_model);
  CHECK(a.text.encoder_layers == b.text.encoder_layers);
  CHECK(a.text.decoder_layers == b.text.decoder_layers);
  CHECK(a.text.encoder_heads == b.text.encoder_heads);
  CHECK(a.text.decoder_ffn == b.text.decoder_ffn);
  CHECK(a.text.max_positions == b.text.max_positions);
  CHECK(a.image.side == b.image.side);
  CHECK(a.image.mean == b.image.mean);
}

TEST_CASE("The published files of both layouts mean the named sizes", "[model]") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("skipped: no reference data");
    return;
  }
  const std::string layout = GENERATE("ms", "hf");
  const std::string size = GENERATE("base", "large");
  const std::string from = *reference + "/model-files/" + layout + "/";
  const test::TempFolder folder;
  std::filesystem::copy_file(from + "config-" + size + ".json", folder.file("config.json"));
  for (const char* name : {"generation_config.json", "preprocessor_config.json"}) {
    std::filesystem::copy_file(from + name, folder.file(name));
  }
  INFO(layout << " " << size);
  const Config config = load(folder);
  check_same(config, *named_config(size));
  CHECK(config.text.vocabulary == (layout == "ms" ? 51289 : 51328));
  CHECK(config.generation.num_beams == 3);
  CHECK(config.generation.no_repeat_ngram == 3);
  CHECK(config.generation.early_stopping == EarlyStopping::yes);
  CHECK(config.text.forced_bos == 0);
  CHECK(config.text.forced_eos == 2);
}

}  // namespace
}  // namespace florence2
