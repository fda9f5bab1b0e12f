// `florence2 compare` as a user meets it. Everything runs on the demo checkpoint.
#include <catch2/catch.hpp>

#include "tests/program.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"

namespace florence2 {
namespace {

using test::Child;
using test::florence2;
using test::TempFolder;
using test::Words;
using namespace test::program;

const std::string& demo() {
  static const std::string folder = test::source_dir() + "/weights/demo";
  return folder;
}

/// `compare` on the demo checkpoint, greedy so that it is quick.
Words compare(Words more) {
  Words words = {"compare", "-q", "-m", demo(), "--beams", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST_CASE("wrong options of compare are one line and exit code 64") {
  const std::string image = picture(1);
  const Row rows[] = {
      {"no picture", {"compare"}, 64, "no picture given; try `florence2 compare photo.jpg`"},
      {"standard input", {"compare", "-"}, 64, "pictures must be files or folders, found \"-\""},
      {"precision", {"compare", "--precision", "fp7", image}, 64, "--precision: must be one of auto, fp32"},
      {"precisions", {"compare", "--precisions", "fp32,fp7", image}, 64, "--precisions: must be one of auto, fp32"},
      {"one precision", {"compare", "--precisions", "fp32", image}, 64, "--precisions: needs at least two"},
      {"both", {"compare", "--precisions", "fp32,int8", "--precision", "fp32", image}, 64, "--precisions: stands for"},
      {"format", {"compare", "-f", "csv", image}, 64, "--format: must be one of text, json"},
      {"task", {"compare", "-p", "cption", image}, 64, "did you mean \"<CAPTION>\"?"},
      {"text missing", {"compare", "-p", "open_vocabulary_detection", image}, 64, "needs text: --text"},
      {"picture", {"compare", "-q", "/nowhere/a.png"}, 66, "/nowhere/a.png"},
      {"checkpoint", compare({"--against", "/nowhere", image}), 66, "/nowhere"},
  };
  for (const Row& row : rows) check(row);
}

TEST_CASE("a checkpoint equals itself in every metric") {
  const Child child = florence2(compare({"--against", demo(), "-p", "od,caption", "-f", "json", picture(1)}));
  INFO(child.err);
  REQUIRE(child.status == 0);
  const json::Value report = parsed(child.out);
  CHECK(keys_of(report) == Words{"reference", "contestants", "scores", "answers"});
  REQUIRE(test::at(report, "contestants").array()->size() == 2);
  const json::Value& scores = test::at(report, "scores").array()->at(0);
  const json::Value& all = test::at(scores, "all");
  CHECK(test::int_of(test::at(all, "answers")) == 2);
  for (const char* share : {"same_tokens", "token_agreement", "same_text", "f1_iou50", "f1_iou90", "same_choice"}) {
    INFO(share);
    CHECK(test::number_of(test::at(all, share)) == 1);
  }
  CHECK(test::number_of(test::at(all, "text_edits")) == 0);
  CHECK(test::number_of(test::at(all, "logit_max_error")) == 0);
  CHECK(test::number_of(test::at(all, "logit_cosine")) == Approx(1).epsilon(1e-12));
  CHECK(!test::at(scores, "logits_by_step").array()->empty());
}

TEST_CASE("int8 is smaller in memory, near in its logits, and not the same") {
  const Child child = florence2(compare({"-p", "dense_region_caption", "-f", "json", picture(1), picture(2)}));
  INFO(child.err);
  REQUIRE(child.status == 0);
  const json::Value report = parsed(child.out);
  const json::Array& contestants = *test::at(report, "contestants").array();
  CHECK(test::text_of(test::at(contestants[0], "precision")) == "fp32");
  CHECK(test::text_of(test::at(contestants[1], "precision")) == "int8");
  const auto number = [](const json::Value& value, const char* name) { return test::number_of(test::at(value, name)); };
  CHECK(number(contestants[1], "memory_mb") < number(contestants[0], "memory_mb"));
  for (const json::Value& contestant : contestants) {
    CHECK(number(contestant, "file_mb") == Approx(10.2).epsilon(0.01));
    CHECK(number(contestant, "peak_mb") > number(contestant, "memory_mb"));
    for (const char* stage : {"load_ms", "preprocess_ms", "vision_ms", "prefill_ms", "generate_ms_per_token"}) {
      CHECK(number(contestant, stage) > 0);
    }
  }
  const json::Value& all = test::at(test::at(report, "scores").array()->at(0), "all");
  CHECK(number(all, "logit_max_error") > 0);
  CHECK(number(all, "logit_cosine") > 0.99);
  REQUIRE(test::at(report, "answers").array()->size() == 2);
  const json::Value& answer = test::at(test::at(report, "answers").array()->at(0), "answers").array()->at(1);
  CHECK(test::text_of(test::at(answer, "name")) == "int8");
  CHECK(!test::at(test::at(answer, "logits"), "cosine").array()->empty());
}

TEST_CASE("the table names precisions, tasks and what the columns mean") {
  const Child child =
      florence2(compare({"--precisions", "fp32,bf16,int8", "-p", "caption,ocr_with_region", picture(1)}));
  INFO(child.err);
  REQUIRE(child.status == 0);
  for (const char* part :
       {"weights in memory, MB", "peak memory, MB", "vision, ms a picture", "bf16 against fp32", "int8 against fp32",
        "\ncaption ", "\nocr_with_region ", "\nall ", "same: share of answers", "F1@90", "outline", "CER", "cosine"}) {
    INFO(part);
    CHECK(child.out.find(part) != std::string::npos);
  }
}

TEST_CASE("the page holds everything itself") {
  const TempFolder folder;
  const std::string page = folder.file("report.html");
  const Child child =
      florence2(compare({"-p", "caption,od", "--html", page, "-o", folder.file("report.txt"), picture(1)}));
  INFO(child.err);
  REQUIRE(child.status == 0);
  CHECK(child.out.empty());
  CHECK(contents(folder.file("report.txt")).find("int8 against fp32") != std::string::npos);
  const std::string html = contents(page);
  CHECK(html.starts_with("<!DOCTYPE html>"));
  CHECK(html.ends_with("</html>\n"));
  CHECK(html.find("<img alt=\"\" width=\"240\" src=\"data:image/png;base64,iVBOR") != std::string::npos);
  CHECK(html.find("int8 against fp32") != std::string::npos);
  CHECK(html.find("http") == std::string::npos);
}

TEST_CASE("a picture that cannot be read is reported, the others are compared") {
  const TempFolder folder;
  const std::string broken = folder.write("broken.png", "not a picture");
  const Child child = florence2(compare({"-p", "caption", "-f", "json", broken, picture(1)}));
  CHECK(child.status == 65);
  CHECK(lines_of(child.err).size() == 1);
  CHECK(test::at(parsed(child.out), "answers").array()->size() == 1);
  const Child none = florence2(compare({"-p", "caption", broken}));
  CHECK(none.status == 65);
  CHECK(none.out.empty());
}

}  // namespace
}  // namespace florence2
