// Converted checkpoints: the same answers as the precision gives on the original, smaller, and honest about what they
// are.
#include "model/convert.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "core/atomic_file.hpp"
#include "core/file.hpp"
#include "kernels/isa.hpp"
#include "model/florence2.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"

namespace florence2 {
namespace {

const std::string kDemo = test::source_dir() + "/weights/demo";

/// Answers of one model about a picture, to be compared bit for bit.
struct Answers {
  std::vector<std::vector<std::int32_t>> ids;
  std::vector<std::vector<float>> log_probs;
  std::vector<float> features;
  bool operator==(const Answers&) const = default;
};

Answers answers_of(const Model& model) {
  auto runner = Runner::create(model, {.threads = 1});
  REQUIRE(runner);
  const auto picture = Picture::open(kDemo + "/images/scene-1.png");
  REQUIRE(picture);
  const auto image = runner->encode(picture->view());
  REQUIRE(image);
  Answers answers;
  answers.features.assign(image->features().begin(), image->features().end());
  for (const Task task : {Task::caption, Task::object_detection}) {
    const auto result = runner->run(*image, task);
    REQUIRE(result);
    answers.ids.push_back(result->token_ids);
    answers.log_probs.push_back(result->log_probs);
  }
  return answers;
}

bool can_quantize() {
  for (const KernelTable* table : available_tables()) {
    if (table->quad_limit > 0) return true;
  }
  WARN("no kernels to quantise with on this CPU");
  return false;
}

TEST_CASE("a converted model answers as its precision does on the original, bit for bit") {
  const std::string precision = GENERATE("int8", "bf16", "vision=int8,text=fp32");
  CAPTURE(precision);
  if (precision.find("int8") != std::string::npos && !can_quantize()) return;
  const KernelTable* table = *active_table();
  if (table->quad_limit == 0) WARN("this CPU quantises more finely by itself than what converted files hold");
  test::TempFolder folder;
  const auto report = convert_model(kDemo, folder.path() + "/new", {.precision = precision, .threads = 1});
  INFO((report ? "" : report.error().text()));
  REQUIRE(report);
  CHECK(report->precision == precision);
  const auto converted = Model::load(folder.path() + "/new");
  INFO((converted ? "" : converted.error().text()));
  REQUIRE(converted);
  CHECK(converted->info().precision == precision);
  CHECK(converted->info().warnings.empty());
  const auto original = Model::load(kDemo, {.precision = precision});
  REQUIRE(original);
  CHECK(converted->info().parameters >= original->info().parameters);  // the scales are parameters too
  if (table->quad_limit > 0 || precision == "bf16") CHECK(answers_of(*converted) == answers_of(*original));
}

TEST_CASE("8-bit weights that do not lie as they were written are read, not mapped, and answer the same") {
  if (!can_quantize()) return;
  test::TempFolder folder;
  REQUIRE(convert_model(kDemo, folder.path(), {.threads = 1}));
  const auto mapped = Model::load(folder.path());
  REQUIRE(mapped);
  const Answers answers = answers_of(*mapped);

  // A header that is four spaces longer moves everything off the cache lines. The file is replaced, not changed: the
  // first model still has it.
  const std::string path = folder.path() + "/model.safetensors";
  std::string bytes = *read_file(path, std::int64_t{1} << 30);
  std::uint64_t length;
  std::memcpy(&length, bytes.data(), sizeof(length));
  bytes.insert(sizeof(length) + length, "    ");
  length += 4;
  std::memcpy(bytes.data(), &length, sizeof(length));
  const auto part = std::as_bytes(std::span(bytes));
  REQUIRE(write_file_atomically(path, {&part, 1}));
  const auto read = Model::load(folder.path());
  REQUIRE(read);
  CHECK(answers_of(*read) == answers);
  CHECK(answers_of(*mapped) == answers);
}

TEST_CASE("an int8 file is close to a quarter of its f32 weights") {
  if (!can_quantize()) return;
  test::TempFolder folder;
  const auto report = convert_model(kDemo, folder.path(), {.precision = "auto", .threads = 1});
  REQUIRE(report);
  CHECK(report->precision == "int8");
  const auto size = std::filesystem::file_size(folder.path() + "/model.safetensors");
  CHECK(static_cast<std::int64_t>(size) >= report->bytes);
  CHECK(std::filesystem::exists(folder.path() + "/tokenizer.json"));
}

TEST_CASE("what was converted cannot be asked for more") {
  if (!can_quantize()) return;
  test::TempFolder folder;
  REQUIRE(convert_model(kDemo, folder.path(), {.threads = 1}));
  const auto model = Model::load(folder.path(), {.precision = "fp32"});
  REQUIRE_FALSE(model);
  CHECK(model.error().code == ErrorCode::argument);
  CHECK(model.error().text() == folder.path() +
                                    "/model.safetensors: these weights were converted to int8; precision fp32 needs "
                                    "the original");
  CHECK(Model::load(folder.path(), {.precision = "int8"}));
}

TEST_CASE("conversion that cannot be done leaves nothing behind") {
  test::TempFolder folder;
  const auto same = convert_model(kDemo, kDemo);
  REQUIRE_FALSE(same);
  CHECK(same.error().code == ErrorCode::argument);
  const auto missing = convert_model(folder.path() + "/none", folder.path() + "/new");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ErrorCode::not_found);
  const auto wrong = convert_model(kDemo, folder.path() + "/new", {.precision = "int2"});
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().code == ErrorCode::argument);
  if (!can_quantize()) return;
  const auto cancelled = convert_model(kDemo, folder.path() + "/new",
                                       {.threads = 1, .on_progress = [](double done) { return done < 0.5; }});
  REQUIRE_FALSE(cancelled);
  CHECK(cancelled.error().code == ErrorCode::cancelled);
  CHECK_FALSE(std::filesystem::exists(folder.path() + "/new/model.safetensors"));
}

TEST_CASE("what was converted is not converted again") {
  if (!can_quantize()) return;
  const test::TempFolder folder;
  const std::string once = folder.file("once"), again = folder.file("again");
  REQUIRE(convert_model(kDemo, once, {.threads = 1}));
  const auto report = convert_model(once, again, {.threads = 1});
  REQUIRE_FALSE(report);
  CHECK(report.error().text() ==
        once + "/model.safetensors: these weights were converted to int8 before; convert the original");
  CHECK_FALSE(std::filesystem::exists(again));
}

TEST_CASE("weights that are not finite are not converted") {
  if (!can_quantize()) return;
  const test::TempFolder folder;
  const std::string damaged = folder.file("damaged"), output = folder.file("output");
  std::filesystem::copy(kDemo, damaged);
  {
    std::fstream file(damaged + "/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-2, std::ios::end);
    file.write("\x00\x7e", 2);  // an f16 NaN, or the upper half of an f32 one
  }
  const auto report = convert_model(damaged, output, {.threads = 1});
  REQUIRE_FALSE(report);
  CHECK(report.error().code == ErrorCode::model);
  CHECK(report.error().text().find("NaN at element") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(output + "/model.safetensors"));
}

TEST_CASE("a projection that is no matrix is not converted") {
  if (!can_quantize()) return;
  const test::TempFolder folder;
  const std::string damaged = folder.file("damaged");
  std::filesystem::copy(kDemo, damaged);
  {
    std::fstream file(damaged + "/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    std::string header(std::size_t{1} << 16, '\0');
    file.read(header.data(), static_cast<std::streamsize>(header.size()));
    const std::size_t begin = header.find("[", header.find("\"shape\"", header.find("image_projection")));
    const std::size_t comma = header.find(",", begin), end = header.find("]", begin);
    const int elements = std::stoi(header.substr(begin + 1)) * std::stoi(header.substr(comma + 1));
    std::string shape = "[" + std::to_string(elements) + "]";
    shape.resize(end + 1 - begin, ' ');
    file.seekp(static_cast<std::streamoff>(begin));
    file.write(shape.data(), static_cast<std::streamsize>(shape.size()));
  }
  const auto report = convert_model(damaged, folder.file("output"), {.threads = 1});
  REQUIRE_FALSE(report);
  CHECK(report.error().code == ErrorCode::model);
  CHECK(report.error().text().find("image_projection") != std::string::npos);
}

TEST_CASE("weights that cannot be put in place leave the folder's other files alone") {
  const test::TempFolder folder;
  std::filesystem::create_directories(folder.file("model.safetensors/in the way"));
  const auto report = convert_model(kDemo, folder.path(), {.precision = "bf16", .threads = 1});
  REQUIRE_FALSE(report);
  CHECK(report.error().code == ErrorCode::cannot_create);
  CHECK_FALSE(std::filesystem::exists(folder.file("config.json")));
}

}  // namespace
}  // namespace florence2
