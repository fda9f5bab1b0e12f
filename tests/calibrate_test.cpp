// Calibration: a matrix that was made not to bear 8 bits is found, alone, and kept; the file says so.
#include "model/calibrate.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "core/file.hpp"
#include "core/json.hpp"
#include "kernels/isa.hpp"
#include "model/convert.hpp"
#include "model/florence2.hpp"
#include "tests/program.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"
#include "weights/weight_reader.hpp"

namespace florence2 {
namespace {

using test::TempFolder;
using test::program::Row;

const std::string kDemo = test::source_dir() + "/weights/demo";
const std::string kLayer = "model.language_model.encoder.layers.1.self_attn.";
const std::string kSensitive = "encoder.layers.1.self_attn.out_proj";

bool can_quantize() {
  if (portable_table()) return true;
  WARN("no kernels to quantise with on this CPU");
  return false;
}

/// The demo checkpoint, an f16 file, with channel kChannel of one attention cut off: v_proj's row is zero, and what
/// out_proj multiplies that zero by is so large that no other weight of its rows is left in 8 bits. In floating point
/// the large numbers change nothing.
class SensitiveModel {
 public:
  SensitiveModel() : bytes_(test::program::contents(kDemo + "/model.safetensors")) {
    for (const char* name : {"config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json"}) {
      folder_.write(name, test::program::contents(kDemo + "/" + name));
    }
    const auto size = static_cast<std::size_t>(static_cast<unsigned char>(bytes_[0])) |
                      static_cast<std::size_t>(static_cast<unsigned char>(bytes_[1])) << 8 |
                      static_cast<std::size_t>(static_cast<unsigned char>(bytes_[2])) << 16;
    header_ = test::program::parsed(bytes_.substr(8, size));
    data_ = 8 + size;
    constexpr std::size_t kWidth = 128, kChannel = 5;
    constexpr std::uint16_t kThousand = 0x63D0;  // as f16
    for (std::size_t i = 0; i < kWidth; ++i) {
      set(kLayer + "v_proj.weight", kChannel * kWidth + i, 0);
      set(kLayer + "out_proj.weight", i * kWidth + kChannel, kThousand);
    }
    set(kLayer + "v_proj.bias", kChannel, 0);
    folder_.write("model.safetensors", bytes_);
  }

  std::string path() const { return folder_.path(); }

 private:
  void set(const std::string& tensor, std::size_t index, std::uint16_t half) {
    const json::Value* entry = header_.find(tensor);
    REQUIRE(entry != nullptr);
    REQUIRE(*entry->find("dtype")->string() == "F16");
    const auto begin = static_cast<std::size_t>(*(*entry->find("data_offsets")->array())[0].integer());
    bytes_[data_ + begin + 2 * index] = static_cast<char>(half & 0xFF);
    bytes_[data_ + begin + 2 * index + 1] = static_cast<char>(half >> 8);
  }

  TempFolder folder_;
  std::string bytes_;
  json::Value header_;
  std::size_t data_ = 0;
};

Picture scene() {
  auto picture = Picture::open(kDemo + "/images/scene-1.png");
  REQUIRE(picture);
  return std::move(picture).value();
}

std::vector<std::int32_t> caption_of(const std::string& folder, const std::string& precision = "auto") {
  const auto model = Model::load(folder, {.threads = 1, .precision = precision});
  INFO((model ? "" : model.error().text()));
  REQUIRE(model);
  auto runner = Runner::create(*model, {.threads = 1});
  REQUIRE(runner);
  const auto result = runner->run(scene().view(), Task::more_detailed_caption);
  REQUIRE(result);
  return result->token_ids;
}

TEST_CASE("calibration finds the one matrix that does not bear 8 bits, and the file keeps it") {
  if (!can_quantize()) return;
  const SensitiveModel model;
  const Picture picture = scene();
  const ImageView view = picture.view();
  const auto calibration = calibrate_model(model.path(), {&view, 1}, {.budget = 0.01, .threads = 1});
  INFO((calibration ? "" : calibration.error().text()));
  REQUIRE(calibration);
  CHECK(calibration->pictures == 1);
  CHECK(calibration->tokens > 20);
  CHECK(calibration->keep == std::vector<std::string>{kSensitive});
  REQUIRE(calibration->parts.size() > 10);
  CHECK(calibration->parts[0].name == kSensitive);
  CHECK(calibration->parts[0].kept);
  CHECK_FALSE(calibration->parts[1].kept);
  // Alone it makes nearly all of the error: the divergences of the parts add up nearly.
  CHECK(calibration->parts[0].divergence > 0.5 * calibration->plain);
  CHECK(calibration->plain > 0.01);
  CHECK(calibration->final <= 0.01);

  TempFolder written;
  const std::string kept = written.path() + "/kept";
  const auto report = convert_model(model.path(), kept, {.threads = 1, .keep = calibration->keep});
  REQUIRE(report);
  CHECK(report->bytes == report->plain_bytes + 128 * 128 * 2 - (128 * 128 + 128 * 4));  // f16 in place of 8 bits
  const auto reader = WeightReader::open(kept, {});
  REQUIRE(reader);
  CHECK(*reader->stored_dtype(kLayer + "out_proj.weight") == DType::f16);
  CHECK(*reader->stored_dtype(kLayer + "q_proj.weight") == DType::s8);
}

TEST_CASE("the divergence of two distributions") {
  const std::vector<float> even{0, 0}, uneven{std::log(3.0f), 0}, shifted{7, 7};
  CHECK(divergence(even, even) == 0);
  CHECK(divergence(even, shifted) == Approx(0).margin(1e-12));
  CHECK(divergence(even, uneven) == Approx(0.5 * std::log(0.5 / 0.75) + 0.5 * std::log(0.5 / 0.25)).epsilon(1e-6));
  CHECK(std::isinf(divergence(even, std::vector<float>{0, NAN})));
}

TEST_CASE("nothing is kept where the budget bears 8 bits everywhere") {
  if (!can_quantize()) return;
  const Picture picture = scene();
  const ImageView view = picture.view();
  const auto calibration = calibrate_model(kDemo, {&view, 1}, {.budget = 1, .threads = 1});
  REQUIRE(calibration);
  CHECK(calibration->keep.empty());
  CHECK(calibration->parts.empty());
  CHECK(calibration->final == calibration->plain);
}

TEST_CASE("matrices kept by hand are as precise as in the original") {
  if (!can_quantize()) return;
  TempFolder folder;
  REQUIRE(convert_model(kDemo, folder.path(), {.threads = 1, .keep = {"*"}}));
  const auto model = Model::load(folder.path());
  REQUIRE(model);
  CHECK(model->info().storage == "F16");
  CHECK(caption_of(folder.path()) == caption_of(kDemo, "fp32"));
}

TEST_CASE("calibration that cannot be done") {
  const Picture picture = scene();
  const ImageView view = picture.view();
  const auto none = calibrate_model(kDemo, {});
  REQUIRE_FALSE(none);
  CHECK(none.error().text() == "calibration needs a picture");
  if (!can_quantize()) return;
  const auto precise = calibrate_model(kDemo, {&view, 1}, {.precision = "bf16"});
  REQUIRE_FALSE(precise);
  CHECK(precise.error().code == ErrorCode::argument);
  CHECK(precise.error().text() == "nothing to calibrate: precision bf16 leaves nothing in 8 bits");
  const auto cancelled =
      calibrate_model(kDemo, {&view, 1}, {.threads = 1, .on_progress = [](const std::string&) { return false; }});
  REQUIRE_FALSE(cancelled);
  CHECK(cancelled.error().code == ErrorCode::cancelled);
  TempFolder converted;
  REQUIRE(convert_model(kDemo, converted.path(), {.threads = 1}));
  const auto twice = calibrate_model(converted.path(), {&view, 1}, {.threads = 1});
  REQUIRE_FALSE(twice);
  CHECK(twice.error().text().ends_with("these weights were converted to int8; precision fp32 needs the original"));
}

TEST_CASE("the command writes the file and what it measured, or nothing at all") {
  if (!can_quantize()) return;
  TempFolder folder;
  const std::string out = folder.path() + "/new";
  const test::Child child = test::florence2(
      {"convert", "-m", kDemo, "-o", out, "-t", "1", "--budget", "0.0001", "--calibrate", test::program::picture(1)});
  INFO(child.err);
  REQUIRE(child.status == 0);
  CHECK(child.out.find("vision_tower.convs.3.conv") != std::string::npos);
  const json::Value report = test::program::parsed(test::program::contents(out + "/calibration.json"));
  double before = 0, after = 0;
  REQUIRE(report.find("divergence_before")->number(before));
  REQUIRE(report.find("divergence_after")->number(after));
  CHECK(after < before);
  CHECK(*report.find("bytes_after")->integer() > *report.find("bytes_before")->integer());
  CHECK_FALSE(report.find("kept")->array()->empty());

  const test::Words again = {"convert", "-q", "-m", kDemo, "-o", out, "-t", "1"};
  test::program::check({"a model is there", again, 73, "holds a model already; --overwrite replaces it"});
  folder.write("new/model-00001-of-00002.safetensors", "old");
  folder.write("new/notes.txt", "mine");
  test::Words replacing = again;
  replacing.push_back("--overwrite");
  CHECK(test::florence2(replacing).status == 0);
  CHECK(std::filesystem::exists(out + "/notes.txt"));
  for (const char* old : {"/calibration.json", "/model-00001-of-00002.safetensors"}) {
    CHECK_FALSE(std::filesystem::exists(out + old));
  }

  const std::string bad = folder.path() + "/bad", empty = folder.path() + "/empty", none = folder.path() + "/none";
  std::filesystem::create_directory(empty);
  folder.write("broken.png", "no picture");
  const std::string broken = folder.path() + "/broken.png";
  for (const Row& row : std::vector<Row>{
           {"empty folder", {"convert", "-m", kDemo, "-o", bad, "--calibrate", empty}, 66, "no images found in"},
           {"no such picture", {"convert", "-m", kDemo, "-o", bad, "--calibrate", none}, 66, "no such file"},
           {"no picture", {"convert", "-m", kDemo, "-o", bad, "--calibrate", broken}, 65, "broken.png"},
           {"no such matrix", {"convert", "-m", kDemo, "-o", bad, "--keep", "fc9"}, 64, "no matrix is called \"fc9\""},
           {"budget", {"convert", "-m", kDemo, "-o", bad, "--budget", "-1"}, 64, "--budget"},
           {"no pictures",
            {"convert", "-m", kDemo, "-o", bad, "--budget", "1"},
            64,
            "--budget: goes with --calibrate"}}) {
    test::program::check(row);
  }
  CHECK_FALSE(std::filesystem::exists(bad));
}

}  // namespace
}  // namespace florence2
