// `florence2 run --requests`: questions of its own for each picture. Everything runs on the demo checkpoint.
#include "tools/requests.hpp"

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

std::string line(const std::string& image, const std::string& members) {
  return "{\"image\": \"" + image + "\", " + members + "}\n";
}

TEST_CASE("a request is a picture and a question, neighbours about one picture are looked at once") {
  const TempFolder folder;
  const std::string file =
      folder.write("requests.jsonl", line("a/x.png", "\"task\": \"od\"") + "\n" +
                                         line("a/x.png", "\"task\": \"<REGION_TO_OCR>\", \"region\": [1, 2, 3.5, 4]") +
                                         line("y.png", "\"task\": \"open_vocabulary_detection\", \"text\": \"a cat\"") +
                                         line("a/x.png", "\"prompt\": \"What is this?\"") + "  \r\n");
  const auto assignments = read_requests(file, {});
  REQUIRE(assignments);
  REQUIRE(assignments->size() == 3);
  const Assignment& first = assignments->at(0);
  CHECK(first.input.path == "a/x.png");
  CHECK(first.input.place == "x.png");
  REQUIRE(first.jobs.size() == 2);
  CHECK(first.jobs[0].task == Task::object_detection);
  CHECK(first.jobs[0].answer == AnswerKind::boxes);
  REQUIRE(first.jobs[1].region);
  CHECK(first.jobs[1].region->x1 == 3.5f);
  CHECK(assignments->at(1).jobs[0].text == "a cat");
  CHECK(assignments->at(2).jobs[0].prompt == "What is this?");
  CHECK(!assignments->at(2).jobs[0].task);
}

TEST_CASE("what is wrong with a request is one line that names it, before the model is loaded") {
  struct Row {
    const char* request;
    const char* message;
  };
  const Row rows[] = {
      {"nonsense", "line 2: not JSON: "},
      {"[1]", "line 2: must be an object, found an array"},
      {R"({"task": "od"})", "line 2: \"image\" is missing"},
      {R"({"image": "-", "task": "od"})", "line 2: \"image\" must be a file, found \"-\""},
      {R"({"image": "a.png"})", "line 2: needs either \"task\" or \"prompt\""},
      {R"({"image": "a.png", "task": "od", "prompt": "x"})", "line 2: needs either \"task\" or \"prompt\""},
      {R"({"image": "a.png", "task": "cption"})", "line 2: unknown task \"cption\"; did you mean"},
      {R"({"image": "a.png", "task": 3})", "line 2: \"task\" must be a string, found a number"},
      {R"({"image": "a.png", "tsak": "od"})", "line 2: unknown member \"tsak\"; there are image, task"},
      {R"({"image": "a.png", "task": "od", "text": "x"})", "line 2: task <OD> takes no text"},
      {R"({"image": "a.png", "task": "od", "region": [1, 2, 3, 4]})", "line 2: task <OD> takes no region"},
      {R"({"image": "a.png", "task": "region_to_ocr"})", "line 2: task <REGION_TO_OCR> needs a region: \"region\""},
      {R"({"image": "a.png", "task": "caption_to_phrase_grounding"})", "GROUNDING> needs a \"text\""},
      {R"({"image": "a.png", "task": "region_to_ocr", "region": [1, 2, 3]})", "must be four numbers"},
      {R"({"image": "a.png", "task": "region_to_ocr", "region": [1, 2, 3, "4"]})", "must be four numbers"},
      {R"({"image": "a.png", "task": "region_to_ocr", "region": [9, 2, 3, 4]})", "x0 ≤ x1"},
      {R"({"image": "a.png", "task": "region_to_ocr", "region": [1, 2, 3, 4], "text": "<loc_1>"})", "not both"},
      {R"({"image": "a.png", "prompt": "x", "text": "y"})", "\"text\" and \"region\" go with \"task\""},
  };
  const TempFolder folder;
  for (const Row& row : rows) {
    const std::string file = folder.write("r.jsonl", line("a.png", "\"task\": \"od\"") + row.request + "\n");
    const auto assignments = read_requests(file, {});
    INFO(row.request);
    REQUIRE(!assignments);
    INFO(assignments.error().text());
    CHECK(assignments.error().code == ErrorCode::data);
    CHECK(assignments.error().where == file);
    CHECK(assignments.error().message.find(row.message) != std::string::npos);
  }
}

TEST_CASE("requests that cannot be read, or go with other options") {
  const TempFolder folder;
  const std::string some = folder.write("some.jsonl", line(picture(1), "\"task\": \"od\""));
  const Row rows[] = {
      {"missing", {"--requests", folder.file("no.jsonl")}, 66, "no.jsonl"},
      {"empty", {"--requests", folder.write("empty.jsonl", "\n")}, 66, "no requests found"},
      {"wrong line", {"--requests", folder.write("wrong.jsonl", "{}\n")}, 65, "wrong.jsonl: line 1: \"image\""},
      {"pictures", {"--requests", some, picture(1)}, 64, "--requests: names the pictures"},
      {"task", {"--requests", some, "-p", "od"}, 64, "--requests: says what to ask"},
      {"stream", {"--requests", some, "--stream", "-f", "text"}, 64, "--stream: does not go with --requests"},
  };
  for (const auto& row : rows) check(row);
}

TEST_CASE("answers stand in the order of the requests and are those of the options") {
  const TempFolder folder;
  const std::string file = folder.write(
      "requests.jsonl", line(picture(1), "\"task\": \"od\"") +
                            line(picture(1), "\"task\": \"region_to_category\", \"region\": [138, 247, 198, 300]") +
                            line(folder.file("missing.png"), "\"task\": \"caption\"") +
                            line(picture(2), "\"task\": \"caption\""));
  const Child child = florence2({"-q", "--beams", "1", "--batch", "4", "--requests", file});
  CHECK(child.status == 66);  // of the missing picture
  const Words lines = lines_of(child.out);
  REQUIRE(lines.size() == 4);
  const auto text = [&](std::size_t index) { return test::text_of(test::at(parsed(lines[index]), "text")); };
  const auto alone = [](Words arguments) {
    arguments.insert(arguments.end(), {"-q", "--beams", "1", "-f", "jsonl"});
    return test::text_of(test::at(parsed(florence2(arguments).out), "text"));
  };
  CHECK(text(0) == alone({"-p", "od", picture(1)}));
  CHECK(text(1) == alone({"-p", "region_to_category", "--region", "138,247,198,300", picture(1)}));
  CHECK(test::int_of(test::at(test::at(parsed(lines[2]), "error"), "code")) == 66);
  CHECK(text(3) == alone({"-p", "caption", picture(2)}));
}

TEST_CASE("requests from standard input, answers in another format") {
  test::ChildOptions input;
  input.input = line(picture(1), "\"task\": \"caption\"") + line(picture(1), "\"task\": \"od\"");
  const Child child = florence2({"-q", "--beams", "1", "-f", "text", "--requests", "-"}, input);
  CHECK(child.status == 0);
  CHECK(child.out.find("== " + picture(1) + "  <OD>") != std::string::npos);
}

}  // namespace
}  // namespace florence2
