// Weights read by name in both layouts, every storage type and panel width, against the values that were written.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/checkpoint_file.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"
#include "weights/weight_reader.hpp"

namespace florence2 {
namespace {

using Catch::Matchers::Contains;
using test::test_value;

KernelTable table_of(int nr) {
  KernelTable table{};
  table.nr = nr;
  return table;
}

WeightReader open(const test::TempFolder& folder, const test::CheckpointFile& file, int threads = 2,
                  bool check_values = false) {
  folder.write("model.safetensors", file.bytes());
  auto reader = WeightReader::open(folder.path(), {.threads = threads, .check_values = check_values});
  INFO((reader ? "" : reader.error().text()));
  REQUIRE(reader);
  return std::move(*reader);
}

/// Number of wrong elements of row n of the weight, whose element k is expected(k).
template <typename Expected>
int wrong_in_row(const PackedMatrix& weight, std::int64_t n, const Expected& expected) {
  std::vector<float> row(static_cast<std::size_t>(weight.k()));
  weight.unpack_column(n, row.data());
  int wrong = 0;
  for (std::int64_t k = 0; k < weight.k(); ++k) wrong += row[static_cast<std::size_t>(k)] != expected(k);
  return wrong;
}

int wrong_in_floats(const Buffer<float>& values, const std::string& name) {
  int wrong = 0;
  for (std::int64_t i = 0; i < values.size(); ++i) wrong += values[i] != test_value(name, i);
  return wrong;
}

TEST_CASE("Names of the original layout follow the specification's table", "[weights]") {
  const std::pair<const char*, const char*> names[] = {
      {"model.vision_tower.convs.2.conv.weight", "vision_tower.convs.2.proj.weight"},
      {"model.vision_tower.convs.2.norm.bias", "vision_tower.convs.2.norm.bias"},
      {"model.vision_tower.blocks.2.8.spatial_block.conv1.weight",
       "vision_tower.blocks.2.8.spatial_block.conv1.fn.dw.weight"},
      {"model.vision_tower.blocks.2.8.channel_block.conv2.bias",
       "vision_tower.blocks.2.8.channel_block.conv2.fn.dw.bias"},
      {"model.vision_tower.blocks.0.0.spatial_block.norm1.weight",
       "vision_tower.blocks.0.0.spatial_block.window_attn.norm.weight"},
      {"model.vision_tower.blocks.0.0.channel_block.norm1.weight",
       "vision_tower.blocks.0.0.channel_block.channel_attn.norm.weight"},
      {"model.vision_tower.blocks.0.0.spatial_block.window_attn.qkv.bias",
       "vision_tower.blocks.0.0.spatial_block.window_attn.fn.qkv.bias"},
      {"model.vision_tower.blocks.0.0.channel_block.channel_attn.proj.weight",
       "vision_tower.blocks.0.0.channel_block.channel_attn.fn.proj.weight"},
      {"model.vision_tower.blocks.1.0.channel_block.norm2.bias", "vision_tower.blocks.1.0.channel_block.ffn.norm.bias"},
      {"model.vision_tower.blocks.1.0.spatial_block.ffn.fc2.weight",
       "vision_tower.blocks.1.0.spatial_block.ffn.fn.net.fc2.weight"},
      {"model.multi_modal_projector.image_projection.weight", "image_projection"},
      {"model.multi_modal_projector.image_proj_norm.weight", "image_proj_norm.weight"},
      {"model.multi_modal_projector.image_position_embed.row_embeddings.weight",
       "image_pos_embed.row_embeddings.weight"},
      {"model.multi_modal_projector.visual_temporal_embed.pos_idx_to_embed", "visual_temporal_embed.pos_idx_to_embed"},
      {"model.language_model.shared.weight", "language_model.model.shared.weight"},
      {"model.language_model.decoder.layers.5.encoder_attn.q_proj.bias",
       "language_model.model.decoder.layers.5.encoder_attn.q_proj.bias"},
      {"lm_head.weight", "language_model.lm_head.weight"},
      {"final_logits_bias", "language_model.final_logits_bias"},
  };
  for (const auto& [hf, ms] : names) CHECK(ms_name(hf) == ms);
}

TEST_CASE("Linear layers keep their storage type, biases widen", "[weights]") {
  const int nr = GENERATE(8, 16, 32);
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  // The second shape takes several pieces of 128 KiB.
  const auto [out, in] = GENERATE(table<std::int64_t, std::int64_t>({{37, 19}, {700, 260}}));
  const test::TempFolder folder;
  test::CheckpointFile file;
  file.add("before", {3}, dtype);
  file.add("fc.weight", {out, in}, dtype);
  file.add("fc.bias", {out}, dtype);
  WeightReader reader = open(folder, file);
  CHECK_FALSE(reader.ms_layout());
  const auto linear = reader.linear(table_of(nr), "fc", out, in);
  REQUIRE(linear);
  CHECK(linear->weight.dtype() == dtype);
  CHECK(linear->out() == out);
  CHECK(linear->in() == in);
  int wrong = 0;
  for (std::int64_t n = 0; n < out; ++n) {
    wrong +=
        wrong_in_row(linear->weight, n, [&, width = in](auto k) { return test_value("fc.weight", n * width + k); });
  }
  CHECK(wrong == 0);
  CHECK(wrong_in_floats(linear->bias, "fc.bias") == 0);
  CHECK(reader.parameters() == out * in + out);
  CHECK(reader.storage() == name_of(dtype));
  CHECK(reader.unused() == std::vector<std::string>{"before"});
}

TEST_CASE("Layers are laid side by side, also where panels do not end with them", "[weights]") {
  const int nr = GENERATE(8, 16, 32);
  const bool mixed = GENERATE(false, true);
  const std::int64_t out = GENERATE(20, 32, 500);
  const std::int64_t in = 130;
  const std::vector<std::string> names = {"q_proj", "k_proj", "v_proj"};
  const test::TempFolder folder;
  test::CheckpointFile file;
  for (const std::string& name : names) {
    const DType dtype = mixed && name == "k_proj" ? DType::bf16 : DType::f16;
    file.add(name + ".weight", {out, in}, dtype);
    file.add(name + ".bias", {out}, DType::f32);
  }
  WeightReader reader = open(folder, file);
  const auto qkv = reader.linears(table_of(nr), names, out, in);
  REQUIRE(qkv);
  CHECK(qkv->weight.dtype() == (mixed ? DType::f32 : DType::f16));
  CHECK(qkv->out() == 3 * out);
  int wrong = 0;
  for (std::int64_t n = 0; n < 3 * out; ++n) {
    const std::string& name = names[static_cast<std::size_t>(n / out)];
    wrong += wrong_in_row(qkv->weight, n, [&](auto k) { return test_value(name + ".weight", n % out * in + k); });
    wrong += qkv->bias[n] != test_value(name + ".bias", n % out);
  }
  CHECK(wrong == 0);
  CHECK(reader.storage() == "mixed");
}

TEST_CASE("The image projection is the same matrix in both layouts", "[weights]") {
  const DType dtype = GENERATE(DType::f32, DType::f16);
  const std::int64_t d = 50, cv = 70;
  const test::TempFolder folder;
  test::CheckpointFile hf, ms;
  hf.add("model.multi_modal_projector.image_projection.weight", {d, cv}, dtype, "projection");
  ms.add("image_projection", {cv, d}, dtype, "projection");
  WeightReader hf_reader = open(folder, hf);
  const auto plain = hf_reader.projection(table_of(16), d, cv);
  WeightReader ms_reader = open(folder, ms);
  CHECK(ms_reader.ms_layout());
  const auto transposed = ms_reader.projection(table_of(16), d, cv);
  REQUIRE(plain);
  REQUIRE(transposed);
  int wrong = 0;
  for (std::int64_t n = 0; n < d; ++n) {
    wrong += wrong_in_row(plain->weight, n, [&](auto k) { return test_value("projection", n * cv + k); });
    wrong += wrong_in_row(transposed->weight, n, [&](auto k) { return test_value("projection", k * d + n); });
  }
  CHECK(wrong == 0);
  CHECK(plain->bias.empty());
}

TEST_CASE("Patch convolutions become linear layers over (ky, kx, in)", "[weights]") {
  const DType dtype = GENERATE(DType::f32, DType::f16);
  const int kernel = GENERATE(3, 7);
  const std::int64_t out = 40, in = 6;
  const test::TempFolder folder;
  test::CheckpointFile file;
  file.add("vision_tower.convs.0.proj.weight", {out, in, kernel, kernel}, dtype);
  file.add("vision_tower.convs.0.proj.bias", {out}, dtype);
  WeightReader reader = open(folder, file);
  const auto patch = reader.patch_linear(table_of(8), "model.vision_tower.convs.0.conv", out, in, kernel);
  REQUIRE(patch);
  CHECK(patch->weight.dtype() == dtype);
  CHECK(patch->in() == in * kernel * kernel);
  int wrong = 0;
  for (std::int64_t n = 0; n < out; ++n) {
    wrong += wrong_in_row(patch->weight, n, [&](std::int64_t k) {
      const std::int64_t tap = k / in, channel = k % in;
      return test_value("vision_tower.convs.0.proj.weight", (n * in + channel) * kernel * kernel + tap);
    });
  }
  CHECK(wrong == 0);
  CHECK(wrong_in_floats(patch->bias, "vision_tower.convs.0.proj.bias") == 0);
}

TEST_CASE("Depthwise weights, norms and tables are f32", "[weights]") {
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  const std::int64_t c = 33;
  const test::TempFolder folder;
  test::CheckpointFile file;
  file.add("conv.weight", {c, 1, 3, 3}, dtype);
  file.add("conv.bias", {c}, dtype);
  file.add("norm.weight", {c}, dtype);
  file.add("norm.bias", {c}, dtype);
  file.add("table", {1500, 90}, dtype);  // several pieces
  WeightReader reader = open(folder, file);
  const auto depthwise = reader.depthwise("conv", c);
  REQUIRE(depthwise);
  int wrong = 0;
  for (std::int64_t tap = 0; tap < 9; ++tap) {
    for (std::int64_t i = 0; i < c; ++i) {
      wrong += depthwise->weight[tap * c + i] != test_value("conv.weight", i * 9 + tap);
    }
  }
  CHECK(wrong == 0);
  CHECK(wrong_in_floats(depthwise->bias, "conv.bias") == 0);
  const auto norm = reader.norm("norm", c);
  REQUIRE(norm);
  CHECK(wrong_in_floats(norm->gamma, "norm.weight") == 0);
  CHECK(wrong_in_floats(norm->beta, "norm.bias") == 0);
  CHECK(norm->eps == 1e-5f);
  const auto table = reader.tensor("table", {1500, 90});
  REQUIRE(table);
  CHECK(wrong_in_floats(*table, "table") == 0);
  CHECK(reader.unused().empty());
  CHECK(reader.shape_of("table").size() == 2);
  CHECK(reader.shape_of("none").empty());
}

TEST_CASE("Tensors that are missing or do not fit are named with both sides", "[weights]") {
  const test::TempFolder folder;
  test::CheckpointFile file;
  file.add("fc.weight", {4, 6}, DType::f16);
  file.add_bytes("fc.bias", {4}, "I64", std::string(32, '\0'));
  WeightReader reader = open(folder, file);
  const KernelTable table = table_of(8);
  const Error errors[] = {
      reader.linear(table, "absent", 4, 6).error(),
      reader.linear(table, "fc", 6, 4).error(),
      reader.linear(table, "fc", 4, 6).error(),
      reader.tensor("fc.weight", {4, 6, 1}).error(),
  };
  const char* messages[] = {
      "tensor \"absent.weight\" is missing (the file holds 2 others); is this Florence-2?",
      "tensor \"fc.weight\" is [4, 6], config.json implies [6, 4]",
      "tensor \"fc.bias\" has dtype I64; supported: F32, F16, BF16",
      "tensor \"fc.weight\" is [4, 6], config.json implies [4, 6, 1]",
  };
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(errors[i].code == ErrorCode::model);
    CHECK(errors[i].message == messages[i]);
    CHECK(errors[i].where == folder.file("model.safetensors"));
  }
}

TEST_CASE("8-bit tensors that are no strips of ours are refused in both layouts", "[weights]") {
  const test::TempFolder folder;
  test::CheckpointFile file;
  file.add_bytes("image_projection", {40, 6}, "I8", std::string(240, '\1'));  // marks Microsoft's layout
  file.add_bytes("language_model.fc.weight", {4, 6}, "I8", std::string(24, '\1'));
  for (const char* name : {"language_model.q.weight", "language_model.k.weight"}) {
    file.add_bytes(name, {2, 16, 16, 4}, "I8", std::string(2048, '\1'));  // 20 or 32 outputs
  }
  WeightReader reader = open(folder, file);
  REQUIRE(reader.ms_layout());
  KernelTable table = table_of(8);
  table.depth_unit = 8;
  CHECK(reader.projection(table, 6, 40).error().message ==
        "tensor \"image_projection\" is [40, 6], config.json implies [2, 16, 16, 4]");
  CHECK(reader.linear(table, "fc", 4, 6).error().message ==
        "tensor \"language_model.fc.weight\" is [4, 6], config.json implies [2, 16, 16, 4]");
  CHECK(reader.linears(table, std::vector<std::string>{"q", "k"}, 20, 6).error().message ==
        "tensor \"language_model.q.weight\" cannot lie beside others: it has 20 outputs, expected a multiple of 32");
}

TEST_CASE("Errors use the names of the file's layout", "[weights]") {
  const test::TempFolder folder;
  test::CheckpointFile file;
  file.add("language_model.model.shared.weight", {8, 4}, DType::f16);
  WeightReader reader = open(folder, file);
  CHECK_THAT(reader.norm("model.multi_modal_projector.image_proj_norm", 4).error().message,
             Contains("tensor \"image_proj_norm.weight\" is missing"));
  CHECK(reader.linear(table_of(8), "model.language_model.shared", 8, 4, false));
}

TEST_CASE("NaN and infinity are found where they are, when asked for", "[weights]") {
  const DType dtype = GENERATE(DType::f32, DType::f16, DType::bf16);
  const bool nan = GENERATE(true, false);
  const std::int64_t out = 600, in = 300, at = 123'456;
  const std::uint32_t exponent = dtype == DType::f32 ? 0x7F800000u : dtype == DType::f16 ? 0x7C00u : 0x7F80u;
  const std::uint32_t pattern = exponent | (nan ? 1u : 0u);
  std::string bytes(static_cast<std::size_t>(out * in) * size_of(dtype), '\0');
  for (std::size_t i = 0; i < size_of(dtype); ++i) {
    bytes[static_cast<std::size_t>(at) * size_of(dtype) + i] = static_cast<char>(pattern >> (8 * i));
  }
  const test::TempFolder folder;
  test::CheckpointFile file;
  file.add_bytes("fc.weight", {out, in}, std::string(name_of(dtype)), bytes);
  CHECK(open(folder, file).linear(table_of(16), "fc", out, in, false));
  const auto checked = open(folder, file, 2, true).linear(table_of(16), "fc", out, in, false);
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == ErrorCode::model);
  CHECK(checked.error().message ==
        std::string("tensor \"fc.weight\": ") + (nan ? "NaN" : "infinity") + " at element 123456");
}

TEST_CASE("The number of threads changes nothing", "[weights]") {
  const test::TempFolder folder;
  test::CheckpointFile file;
  file.add("fc.weight", {1000, 333}, DType::f16);
  const auto one = open(folder, file, 1).linear(table_of(32), "fc", 1000, 333, false);
  const auto three = open(folder, file, 3).linear(table_of(32), "fc", 1000, 333, false);
  REQUIRE(one);
  REQUIRE(three);
  REQUIRE(one->weight.bytes() == three->weight.bytes());
  CHECK(std::memcmp(one->weight.panel(0), three->weight.panel(0), static_cast<std::size_t>(one->weight.bytes())) == 0);
}

TEST_CASE("A file that shrinks while it is read is an error, from any thread", "[weights]") {
  const test::TempFolder folder;
  test::CheckpointFile file;
  file.add("fc.weight", {1000, 333}, DType::f16);
  WeightReader reader = open(folder, file);
  REQUIRE(truncate(folder.file("model.safetensors").c_str(), 400'000) == 0);
  const auto linear = reader.linear(table_of(8), "fc", 1000, 333, false);
  REQUIRE_FALSE(linear);
  CHECK(linear.error().code == ErrorCode::io);
  CHECK_THAT(linear.error().message, Contains("file changed while being read (it ends at byte 400000"));
}

TEST_CASE("Tensors that nobody needs are listed, except the usual ones", "[weights]") {
  const test::TempFolder folder;
  test::CheckpointFile file;
  for (const char* name : {"visual_temporal_embed.pos_idx_to_embed", "language_model.final_logits_bias",
                           "language_model.model.encoder.embed_tokens.weight", "vision_tower.norms.weight",
                           "vision_tower.head.bias", "image_projection", "adapter.lora_A.weight"}) {
    file.add(name, {2}, DType::f32);
  }
  CHECK(open(folder, file).unused() == std::vector<std::string>{"image_projection", "adapter.lora_A.weight"});
}

TEST_CASE("A folder without weights says what it holds", "[weights]") {
  const test::TempFolder folder;
  folder.write("flax_model.msgpack", "x");
  folder.write("config.json", "{}");
  const auto reader = WeightReader::open(folder.path(), {});
  REQUIRE_FALSE(reader);
  CHECK(reader.error().code == ErrorCode::not_found);
  CHECK(reader.error().text() ==
        folder.file("model.safetensors") +
            ": no such file; a model folder needs model.safetensors, config.json, tokenizer.json; found: "
            "config.json, flax_model.msgpack");
  CHECK_THAT(WeightReader::open(folder.file("none"), {}).error().message, Contains("found: no such folder"));
}

TEST_CASE("Another network is told by what it has in place of a missing tensor", "[weights]") {
  const test::TempFolder folder;
  test::CheckpointFile file;
  for (const char* name : {"lm_head.weight", "model.vision_tower.embeddings.patch.weight", "model.z"}) {
    file.add(name, {2}, DType::f32);
  }
  auto reader = open(folder, file);
  const auto conv = reader.tensor("model.vision_tower.convs.0.conv.weight", {2});
  REQUIRE_FALSE(conv);
  CHECK(conv.error().message ==
        "tensor \"model.vision_tower.convs.0.conv.weight\" is missing (the file holds 3 others, the nearest is "
        "\"model.vision_tower.embeddings.patch.weight\"); is this Florence-2?");
}

/// Makes the reference's seeded mini checkpoint in both layouts; false when the reference data is absent.
bool make_mini(const test::TempFolder& folder) {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("skipped: no reference data");
    return false;
  }
  for (const std::string layout : {"hf", "ms"}) {
    const std::string command = "python3 '" + *reference + "/scripts/make_checkpoint.py' '" + folder.file(layout) +
                                "' --size mini --seed 1 --dtype f16 --layout " + layout + " >/dev/null 2>&1";
    if (std::system(command.c_str()) != 0) {
      WARN("skipped: the reference checkpoint cannot be made (needs python3 with numpy)");
      return false;
    }
  }
  return true;
}

TEST_CASE("Both layouts of a whole checkpoint hold the same numbers under our names", "[weights]") {
  const test::TempFolder folder;
  if (!make_mini(folder)) return;
  const auto hf = TensorSource::open(folder.file("hf"), "model", "pytorch_model");
  const auto ms = TensorSource::open(folder.file("ms"), "model", "pytorch_model");
  REQUIRE(hf);
  REQUIRE(ms);
  // The original has final_logits_bias in addition.
  CHECK(hf->tensors().size() + 1 == ms->tensors().size());
  int compared = 0;
  for (const TensorInfo& info : hf->tensors()) {
    const TensorInfo* twin = ms->find(ms_name(info.name));
    INFO(info.name);
    REQUIRE(twin != nullptr);
    if (info.shape != twin->shape) continue;
    std::string bytes(static_cast<std::size_t>(info.bytes), '\0'), twin_bytes = bytes;
    REQUIRE(hf->read(info, 0, std::as_writable_bytes(std::span(bytes))));
    REQUIRE(ms->read(*twin, 0, std::as_writable_bytes(std::span(twin_bytes))));
    CHECK(bytes == twin_bytes);
    ++compared;
  }
  // All but image_projection (transposed) and shared (51,289 and 51,328 rows).
  CHECK(compared == static_cast<int>(hf->tensors().size()) - 2);
}

TEST_CASE("Readers of both layouts give the same layers", "[weights]") {
  const test::TempFolder folder;
  if (!make_mini(folder)) return;
  auto hf = WeightReader::open(folder.file("hf"), {.threads = 2, .check_values = true});
  auto ms = WeightReader::open(folder.file("ms"), {.threads = 1, .check_values = true});
  REQUIRE(hf);
  REQUIRE(ms);
  CHECK_FALSE(hf->ms_layout());
  CHECK(ms->ms_layout());
  const KernelTable table = table_of(16);
  const auto same = [](const Result<Linear>& a, const Result<Linear>& b) {
    REQUIRE(a);
    REQUIRE(b);
    REQUIRE(a->weight.bytes() == b->weight.bytes());
    CHECK(std::memcmp(a->weight.panel(0), b->weight.panel(0), static_cast<std::size_t>(a->weight.bytes())) == 0);
  };
  const std::string attention = "model.language_model.encoder.layers.1.self_attn.";
  const std::vector<std::string> qkv = {attention + "q_proj", attention + "k_proj", attention + "v_proj"};
  same(hf->linears(table, qkv, 128, 128), ms->linears(table, qkv, 128, 128));
  same(hf->projection(table, 128, 256), ms->projection(table, 128, 256));
  const std::string conv = "model.vision_tower.convs.3.conv";
  same(hf->patch_linear(table, conv, 256, 128, 3), ms->patch_linear(table, conv, 256, 128, 3));
  CHECK(hf->shape_of("model.language_model.shared.weight")[0] == 51328);
  CHECK(ms->shape_of("model.language_model.shared.weight")[0] == 51289);
  CHECK(hf->storage() == "F16");
  CHECK(hf->parameters() == ms->parameters());
}

}  // namespace
}  // namespace florence2
