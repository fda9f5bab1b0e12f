// The public API on the demo model: what goes in, what comes out, and what is refused with which words.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>

#include "core/file.hpp"
#include "kernels/isa.hpp"
#include "model/engine.hpp"
#include "model/florence2.hpp"
#include "model/guarded.hpp"
#include "model/rules.hpp"
#include "model/system_info.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"

namespace florence2 {
namespace {

const std::string kFolder = test::source_dir() + "/weights/demo";

const Model& demo() {
  static const Model model = [] {
    auto loaded = Model::load(kFolder, {.precision = "fp32"});
    REQUIRE(loaded);
    return std::move(loaded).value();
  }();
  return model;
}

Picture scene() {
  auto picture = Picture::open(kFolder + "/images/scene-1.png");
  REQUIRE(picture);
  return std::move(picture).value();
}

struct Session {
  Session() : runner(Runner::create(demo(), {.threads = 1}).value()), image(runner.encode(picture.view()).value()) {}
  Picture picture = scene();
  Runner runner;
  EncodedImage image;
};

TEST_CASE("info describes the checkpoint") {
  const ModelInfo& info = demo().info();
  CHECK(info.directory == kFolder);
  CHECK(info.size_name == "custom");
  CHECK(info.layout == "hf");
  CHECK(info.storage == "F16");
  CHECK_FALSE(info.isa.empty());
  CHECK(info.parameters > 5'000'000);
  CHECK(info.parameters < 5'200'000);
  CHECK(info.weight_bytes > 2 * info.parameters);
  CHECK(info.image_side == 256);
  CHECK(info.image_tokens == 65);
  CHECK(info.d_model == 128);
  CHECK(info.encoder_layers == 3);
  CHECK(info.decoder_layers == 3);
  CHECK(info.vocabulary == 1755);
  CHECK(info.positions == 320);
  CHECK(info.tied_head);
  CHECK(info.warnings.empty());
}

TEST_CASE("auto is 8-bit where kernels for it are quick, and parts can be named") {
  const auto automatic = Model::load(kFolder);
  REQUIRE(automatic);
  CHECK(automatic->info().precision == (automatic->info().isa == "scalar" ? "fp32" : "int8"));
  const auto parts = Model::load(kFolder, {.precision = "vision=int8,text=fp32"});
  REQUIRE(parts);
  CHECK(parts->info().precision == "vision=int8,text=fp32");
  CHECK(parts->info().weight_bytes < demo().info().weight_bytes);
  CHECK(check_precision("text=bf16"));
  CHECK_FALSE(check_precision("text=int2"));
  CHECK_FALSE(check_precision("audio=int8"));
  for (const char* broken : {"vision=bf16,", ",", ",text=int8", "vision=bf16,,text=int8", "vision=bf16,vision=int8"}) {
    INFO(broken);
    const Status status = check_precision(broken);
    REQUIRE_FALSE(status);
    CHECK(status.error().code == ErrorCode::argument);
  }
}

TEST_CASE("a result is complete and consistent") {
  Session s;
  CHECK(s.image.width() == s.picture.width);
  CHECK(s.image.height() == s.picture.height);
  const auto result = s.runner.run(s.image, Task::object_detection);
  REQUIRE(result);
  CHECK(result->prompt == "Locate the objects with category name in the image.");
  CHECK(result->answer.kind == AnswerKind::boxes);
  REQUIRE(result->answer.items.size() == 3);
  for (const Item& item : result->answer.items) {
    CHECK(std::holds_alternative<Box>(item.shape));
    CHECK(item.score > 0);
    CHECK(item.score <= 1);
  }
  CHECK(result->answer.items[0].label == "sign");
  CHECK(result->text.starts_with("sign<loc_"));
  CHECK(result->text.find("</s>") == std::string::npos);
  REQUIRE(result->token_ids.size() == result->log_probs.size() + 1);
  CHECK(result->token_ids.front() == 2);
  CHECK(result->token_ids.back() == 2);
  CHECK(result->finish_reason == FinishReason::stop);
  float sum = 0;
  for (const float log_prob : result->log_probs) sum += log_prob;
  CHECK(result->score == Approx(sum / static_cast<float>(result->log_probs.size())));
  CHECK(result->timings.vision > 0);
  CHECK(result->timings.prefill > 0);
  CHECK(result->timings.generate > 0);
}

TEST_CASE("an item's score is the mean log-probability of its location tokens") {
  Session s;
  const auto result = s.runner.run(s.image, Task::object_detection);
  REQUIRE(result);
  // log_probs[i] belongs to ids[i + 1]; a box has four location tokens.
  const auto& ids = result->token_ids;
  const std::int32_t location = demo().impl().tokenizer->location_base();
  const auto first = std::find_if(ids.begin(), ids.end(), [&](std::int32_t id) { return id >= location; });
  const auto begin = result->log_probs.begin() + (first - ids.begin()) - 1;
  const float sum = begin[0] + begin[1] + begin[2] + begin[3];
  CHECK(result->answer.items[0].score == Approx(std::exp(sum / 4)));
}

TEST_CASE("asking a picture is encoding it and asking the features, again and again") {
  Session s;
  const auto direct = s.runner.run(s.picture.view(), Task::caption);
  const auto encoded = s.runner.run(s.image, Task::caption);
  const auto other = s.runner.run(s.image, Task::object_detection);
  const auto again = s.runner.run(s.image, Task::caption);
  REQUIRE(direct);
  REQUIRE(encoded);
  REQUIRE(other);
  REQUIRE(again);
  CHECK(direct->token_ids == encoded->token_ids);
  CHECK(direct->log_probs == encoded->log_probs);
  CHECK(again->token_ids == encoded->token_ids);
  CHECK(again->log_probs == encoded->log_probs);
  CHECK(other->token_ids != encoded->token_ids);
}

TEST_CASE("a prompt of one's own is sent as it is and answered with text") {
  Session s;
  const auto mine = s.runner.run_prompt(s.image, "What does the image describe?");
  const auto task = s.runner.run(s.image, Task::caption);
  REQUIRE(mine);
  REQUIRE(task);
  CHECK(mine->prompt == task->prompt);
  CHECK(mine->token_ids == task->token_ids);
  CHECK(mine->answer.kind == AnswerKind::text);
  CHECK(mine->answer.text == task->answer.text);
}

TEST_CASE("a region in pixels is the region in location tokens") {
  Session s;
  // 240x352: bins are 0.24 and 0.352 pixels wide.
  const auto pixels = s.runner.run(s.image, Task::region_to_category, {.region = Box{24.1f, 35.3f, 120.1f, 176.1f}});
  const auto tokens = s.runner.run(s.image, Task::region_to_category, {.text = "<loc_100><loc_100><loc_500><loc_500>"});
  REQUIRE(pixels);
  REQUIRE(tokens);
  CHECK(pixels->prompt == "What is the region <loc_100><loc_100><loc_500><loc_500>?");
  CHECK(pixels->token_ids == tokens->token_ids);
}

TEST_CASE("the token limit is reported, and cut to the position table") {
  Session s;
  const auto cut = s.runner.run(s.image, Task::detailed_caption, {.generation = {.max_new_tokens = 3}});
  REQUIRE(cut);
  CHECK(cut->finish_reason == FinishReason::length);
  CHECK(cut->log_probs.size() == 3);
  const auto all = s.runner.run(s.image, Task::detailed_caption, {.generation = {.max_new_tokens = 100'000}});
  REQUIRE(all);
  CHECK(all->finish_reason == FinishReason::stop);
}

TEST_CASE("the caller can stop a run, and ask again") {
  Session s;
  int steps = 0;
  const auto stopped = s.runner.run(s.image, Task::caption, {.on_step = [&](int tokens) {
                                      steps = tokens;
                                      return tokens < 4;
                                    }});
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == ErrorCode::cancelled);
  CHECK(steps == 4);
  CHECK(s.runner.run(s.image, Task::caption));
}

// --- Refusals -----------------------------------------------------------------------------------------

void check_error(const Error& error, ErrorCode code, const std::string& message) {
  CHECK(error.code == code);
  CHECK(error.message == message);
}

TEST_CASE("generation options out of range are named with their range") {
  struct Row {
    GenerationOptions options;
    std::string message;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Row row = GENERATE_COPY(values<Row>({
      {{.num_beams = 0}, "num_beams must be 1…16, not 0"},
      {{.num_beams = 1'000'000}, "num_beams must be 1…16, not 1000000"},
      {{.max_new_tokens = 0}, "max_new_tokens must be 1…1000000, not 0"},
      {{.max_new_tokens = 1'000'000'000}, "max_new_tokens must be 1…1000000, not 1000000000"},
      {{.no_repeat_ngram = -1}, "no_repeat_ngram must be 0…1000000, not -1"},
      {{.length_penalty = nan}, "length_penalty must be -100…100, not nan"},
  }));
  Session s;
  const auto result = s.runner.run(s.image, Task::caption, {.generation = row.options});
  REQUIRE_FALSE(result);
  check_error(result.error(), ErrorCode::argument, row.message);
}

TEST_CASE("threads out of range are refused") {
  const auto runner = Runner::create(demo(), {.threads = -1});
  REQUIRE_FALSE(runner);
  check_error(runner.error(), ErrorCode::argument, "threads must be 0…1024, not -1");
  const auto model = Model::load(kFolder, {.threads = 5000});
  REQUIRE_FALSE(model);
  check_error(model.error(), ErrorCode::argument, "threads must be 0…1024, not 5000");
}

TEST_CASE("inputs that do not fit the task are refused") {
  Session s;
  const Box box{0, 0, 10, 10};
  const auto no_region = s.runner.run(s.image, Task::caption, {.region = box});
  REQUIRE_FALSE(no_region);
  check_error(no_region.error(), ErrorCode::argument, "task <CAPTION> takes no region");
  const auto both = s.runner.run(s.image, Task::region_to_ocr, {.text = "<loc_1>", .region = box});
  REQUIRE_FALSE(both);
  check_error(both.error(), ErrorCode::argument,
              "task <REGION_TO_OCR> takes a region or location tokens as text, not both");
  const auto outside = s.runner.run(s.image, Task::region_to_ocr, {.region = Box{0, 0, 5000, 10}});
  REQUIRE_FALSE(outside);
  CHECK(outside.error().code == ErrorCode::argument);
  const auto missing = s.runner.run(s.image, Task::phrase_grounding);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::argument);
  const auto unknown = s.runner.run(s.image, static_cast<Task>(kTaskCount));
  REQUIRE_FALSE(unknown);
  check_error(unknown.error(), ErrorCode::argument, "unknown task");
}

TEST_CASE("a prompt that does not fit beside the picture is refused") {
  Session s;
  std::string words;
  for (int i = 0; i < 400; ++i) words += " sign";
  const auto result = s.runner.run(s.image, Task::phrase_grounding, {.text = words});
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::limit);
  CHECK(result.error().message.starts_with("prompt has 4"));
  CHECK(result.error().message.ends_with(" tokens, limit 255"));
  const auto broken = s.runner.run(s.image, Task::phrase_grounding, {.text = "a\xff"});
  REQUIRE_FALSE(broken);
  CHECK(broken.error().code == ErrorCode::data);
}

TEST_CASE("pictures and features that cannot be are refused") {
  Session s;
  const std::uint8_t pixel[3] = {1, 2, 3};
  const auto message_of = [&](const ImageView& view) {
    const auto encoded = s.runner.encode(view);
    REQUIRE_FALSE(encoded);
    CHECK(encoded.error().code == ErrorCode::argument);
    return encoded.error().message;
  };
  CHECK(message_of({nullptr, 1, 1, 3}) == "image has no pixels");
  CHECK(message_of({pixel, 0, 7, 3}) == "image is 0x7, both sides must be at least 1");
  CHECK(message_of({pixel, 1, 1, 2}) == "image rows have 2 bytes, 1 pixels need 3");
  CHECK(s.runner.encode({pixel, 1, 1, 3}));
  const auto empty = s.runner.run(EncodedImage(), Task::caption);
  REQUIRE_FALSE(empty);
  check_error(empty.error(), ErrorCode::argument, "the encoded image has 0 x 0 features, this model needs 65 x 128");
}

TEST_CASE("folders and instruction sets that are not there are refused") {
  const auto nowhere = Model::load("/nonexistent/model");
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().code == ErrorCode::not_found);
  const auto isa = Model::load(kFolder, {.isa = "mmx"});
  REQUIRE_FALSE(isa);
  CHECK(isa.error().code == ErrorCode::argument);
}

/// A copy of the demo checkpoint without `left_out`, to be spoiled.
struct DemoCopy {
  explicit DemoCopy(std::string_view left_out) {
    for (const char* name :
         {"config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"}) {
      if (name != left_out) std::filesystem::copy_file(kFolder + "/" + name, folder.file(name));
    }
  }
  test::TempFolder folder;
};

TEST_CASE("a token without an embedding is refused") {
  const DemoCopy copy("tokenizer.json");
  const test::TempFolder& folder = copy.folder;
  auto tokenizer = read_file(kFolder + "/tokenizer.json", 1 << 20);
  REQUIRE(tokenizer);
  const std::string list = "\"added_tokens\": [";
  const std::string token = R"({"id": 1755, "content": "<extra>", "single_word": false, "lstrip": false,)"
                            R"( "rstrip": false, "normalized": false, "special": true},)";
  tokenizer->insert(tokenizer->find(list) + list.size(), token);
  folder.write("tokenizer.json", *tokenizer);
  const auto model = Model::load(folder.path());
  REQUIRE_FALSE(model);
  check_error(model.error(), ErrorCode::model, "token \"<extra>\" has id 1755, the embedding has 1755 rows");
  CHECK(model.error().where == folder.file("tokenizer.json"));
}

TEST_CASE("a picture size whose tokens do not fit the position table is refused") {
  const DemoCopy copy("preprocessor_config.json");  // so that it is the published size
  const auto model = Model::load(copy.folder.path());
  REQUIRE_FALSE(model);
  check_error(model.error(), ErrorCode::model,
              "size = 768 gives 577 image tokens, the position table has 320 rows; without this file the size is the "
              "published models'");
  CHECK(model.error().where == copy.folder.file("preprocessor_config.json"));
}

TEST_CASE("a grammar is refused where configuration and tokenizer end answers differently") {
  const DemoCopy copy("config.json");
  auto config = read_file(kFolder + "/config.json", 1 << 20);
  REQUIRE(config);
  const std::string id = "\"eos_token_id\": 2";
  config->replace(config->find(id), id.size(), "\"eos_token_id\": 5");
  copy.folder.write("config.json", *config);
  const auto model = Model::load(copy.folder.path());
  REQUIRE(model);
  auto runner = Runner::create(*model, {.threads = 1});
  const auto picture = Picture::open(kFolder + "/images/scene-1.png");
  REQUIRE((runner && picture));
  const auto image = runner->encode(picture->view());
  REQUIRE(image);
  RunOptions options;
  options.generation.max_new_tokens = 5;
  CHECK(runner->run(*image, Task::object_detection, options));
  options.classes = {"sign"};
  const auto result = runner->run(*image, Task::object_detection, options);
  REQUIRE_FALSE(result);
  check_error(
      result.error(), ErrorCode::model,
      "answers can be kept to a form only where they end with </s>: it has id 2 in tokenizer.json, eos_token_id is 5");
}

TEST_CASE("what is thrown inside becomes an error") {
  const auto memory = guarded([]() -> Status { throw std::bad_alloc(); });
  REQUIRE_FALSE(memory);
  check_error(memory.error(), ErrorCode::memory, "out of memory");
  const auto internal = guarded([]() -> Status { throw std::logic_error("oops"); });
  REQUIRE_FALSE(internal);
  check_error(internal.error(), ErrorCode::internal, "unexpected exception: oops");
  const auto unknown = guarded([]() -> Result<int> { throw 7; });
  REQUIRE_FALSE(unknown);
  check_error(unknown.error(), ErrorCode::internal, "unexpected exception: not a std::exception");
  Session s;
  const auto thrown = s.runner.run(s.image, Task::caption, {.on_step = [](int) -> bool { throw std::bad_alloc(); }});
  REQUIRE_FALSE(thrown);
  CHECK(thrown.error().code == ErrorCode::memory);
}

/// Difference of the largest and the smallest; fails on values that are not finite.
float spread(View<const float> row) {
  CHECK(std::all_of(row.data, row.data + row.cols, [](float value) { return std::isfinite(value); }));
  const auto [smallest, largest] = std::minmax_element(row.data, row.data + row.cols);
  return *largest - *smallest;
}

/// Spread of the first logits after a prompt about `image`.
float logits_spread(const Model& model, View<const float> image) {
  const DecoderWeights& weights = model.impl().weights.decoder;
  Engine engine(model.impl(), 1);
  const View<const float> memory = engine.encode_prompt(image, std::vector<std::int32_t>{0, 100, 2});
  engine.decoder().start(engine.context(), weights, memory, 1, 1);
  const std::int32_t token = 2;
  const int parent = 0;
  return spread(engine.decoder().step(engine.context(), weights, {&token, 1}, {&parent, 1}));
}

TEST_CASE("seeded models have the true shapes and finite, lively logits") {
  const DType storage = GENERATE(DType::f32, DType::f16, DType::bf16);
  const auto model = seeded_model("mini", 1, storage);
  REQUIRE(model);
  CHECK(model->info().storage == name_of(storage));
  CHECK(model->info().image_tokens == 577);
  CHECK(model->info().vocabulary == 51289);
  const int d = model->info().d_model;
  const std::vector<float> image = test::Random(1).floats(std::int64_t{20} * d);
  const float logits = logits_spread(*model, {image.data(), 20, d});
  CHECK(logits > 0.1f);
  CHECK(logits < 100.0f);
}

TEST_CASE("a seeded model encodes pictures but has no tokenizer to ask with") {
  const auto model = seeded_model("mini", 2, DType::f32);
  REQUIRE(model);
  auto runner = Runner::create(*model, {.threads = 1});
  REQUIRE(runner);
  const auto image = runner->encode(scene().view());
  REQUIRE(image);
  CHECK(spread({image->features().data(), 1, static_cast<std::int64_t>(image->features().size())}) > 1.0f);
  const auto refused = runner->run(*image, Task::caption);
  REQUIRE_FALSE(refused);
  check_error(refused.error(), ErrorCode::argument, "this model has no tokenizer");
}

TEST_CASE("the system's description names every feature that kernels may need") {
  CHECK(static_cast<int>(system_info().features.size()) == std::popcount(cpu_features()));
}

TEST_CASE("there is at least one thread by default") {
  CHECK(default_threads() >= 1);
  CHECK(default_threads() <= 1024);
}

}  // namespace
}  // namespace florence2
