// The table of tasks, their names, and prompts in all three dialects.
#include <catch2/catch.hpp>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "core/edit_distance.hpp"
#include "core/json.hpp"
#include "model/florence2.hpp"
#include "model/prompt.hpp"
#include "model/unicode_text.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

using test::at;
using test::text_of;

/// The message of an error with code argument.
template <typename T>
std::string refusal(const Result<T>& result) {
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::argument);
  return result.error().text();
}

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

std::string prompt_of(Task task, std::string_view input, Compat compat = Compat::none) {
  const auto prompt = build_prompt(task, input, compat);
  INFO((prompt ? "" : prompt.error().text()));
  REQUIRE(prompt);
  return *prompt;
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("The table of tasks is in the order of the enum and has one {input} where the task takes one") {
  int index = 0;
  std::set<std::string_view> tokens;
  for (const TaskInfo& info : all_tasks()) {
    INFO(info.token);
    CHECK(static_cast<int>(info.task) == index++);
    CHECK(task_info(info.task).token == info.token);
    CHECK(tokens.insert(info.token).second);
    CHECK((info.prompt.find("{input}") != info.prompt.npos) == (info.input != TaskInput::none));
    CHECK_FALSE(info.description.empty());
  }
  CHECK(index == kTaskCount);
}

TEST_CASE("Task names in any case, with and without brackets") {
  for (const TaskInfo& info : all_tasks()) {
    const std::string token(info.token), bare = token.substr(1, token.size() - 2);
    for (const std::string& name : {token, bare, lower_case(token), lower_case(bare)}) {
      INFO(name);
      const auto task = parse_task_name(name);
      REQUIRE(task);
      CHECK(*task == info.task);
    }
  }
}

TEST_CASE("Unknown task names are answered with the nearest name and the list (row 45)") {
  const std::string list =
      " list: <OCR> <OCR_WITH_REGION> <CAPTION> <DETAILED_CAPTION> <MORE_DETAILED_CAPTION> <OD>"
      " <DENSE_REGION_CAPTION> <REGION_PROPOSAL> <CAPTION_TO_PHRASE_GROUNDING> <REFERRING_EXPRESSION_SEGMENTATION>"
      " <REGION_TO_SEGMENTATION> <OPEN_VOCABULARY_DETECTION> <REGION_TO_CATEGORY> <REGION_TO_DESCRIPTION>"
      " <REGION_TO_OCR>";
  struct Row {
    std::string name, message;
  };
  const std::vector<Row> rows = {
      {"captoin", "unknown task \"captoin\"; did you mean \"<CAPTION>\"?" + list},
      {"<DETAILED_CAPTIONS>", "unknown task \"<DETAILED_CAPTIONS>\"; did you mean \"<DETAILED_CAPTION>\"?" + list},
      {"open_vocab_detection",
       "unknown task \"open_vocab_detection\"; did you mean \"<OPEN_VOCABULARY_DETECTION>\"?" + list},
      {"odd", "unknown task \"odd\"; did you mean \"<OD>\"?" + list},
      {"<OD", "unknown task \"<OD\"; did you mean \"<OD>\"?" + list},
      {"segment everything", "unknown task \"segment everything\";" + list},
      {"", "unknown task \"\";" + list},
      {"<>", "unknown task \"<>\";" + list},
      {"<", "unknown task \"<\";" + list},
      {std::string(500, 'x'), "unknown task \"" + std::string(80, 'x') + "…\";" + list},
  };
  for (const Row& row : rows) CHECK(refusal(parse_task_name(row.name)) == row.message);
}

TEST_CASE("Prompts equal the references' on their vectors") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data");
    return;
  }
  const json::Value document = test::load_json(*reference + "/parser/prompts.json");
  const json::Array& rows = *at(document, "cases").array();
  CHECK(rows.size() == 179);
  for (const json::Value& row : rows) {
    INFO(json::dump(row));
    for (const Compat compat : {Compat::hf, Compat::ms}) {
      const json::Value& wanted = at(row, compat == Compat::hf ? "hf" : "ms");
      const auto prompt = reference_prompt(text_of(at(row, "text")), compat);
      REQUIRE(prompt.has_value() == (wanted.string() != nullptr));
      if (prompt) CHECK(*prompt == *wanted.string());
    }
  }
}

TEST_CASE("Prompts of the specification's table") {
  for (const Compat compat : {Compat::none, Compat::hf, Compat::ms}) {
    CHECK(prompt_of(Task::object_detection, "", compat) == "Locate the objects with category name in the image.");
    CHECK(prompt_of(Task::phrase_grounding, "a {input} car", compat) ==
          "Locate the phrases in the caption: a {input} car");
    CHECK(prompt_of(Task::referring_segmentation, "a green car", compat) ==
          "Locate a green car in the image with mask");
    CHECK(prompt_of(Task::region_to_category, "<loc_52><loc_332><loc_932><loc_774>", compat) ==
          "What is the region <loc_52><loc_332><loc_932><loc_774>?");
  }
}

TEST_CASE("White space around the input: kept by ms alone") {
  const std::string input = "\xC2\xA0 a car\xE3\x80\x80\n";
  CHECK(prompt_of(Task::open_vocabulary_detection, input, Compat::none) == "Locate a car in the image.");
  CHECK(prompt_of(Task::open_vocabulary_detection, input, Compat::hf) == "Locate a car in the image.");
  CHECK(prompt_of(Task::open_vocabulary_detection, input, Compat::ms) == "Locate " + input + " in the image.");
}

TEST_CASE("Missing text and text that is not taken (rows 43 and 44)") {
  CHECK(refusal(build_prompt(Task::phrase_grounding, "")) ==
        "task <CAPTION_TO_PHRASE_GROUNDING> needs text: --text \"…\"");
  CHECK(refusal(build_prompt(Task::phrase_grounding, " \n")) ==
        "task <CAPTION_TO_PHRASE_GROUNDING> needs text: --text \"…\"");
  CHECK(refusal(build_prompt(Task::region_to_ocr, "")) == "task <REGION_TO_OCR> needs a region: --region X0,Y0,X1,Y1");
  for (const Compat compat : {Compat::none, Compat::hf, Compat::ms}) {
    CHECK(refusal(build_prompt(Task::object_detection, "a car", compat)) == "task <OD> takes no text");
  }
  CHECK(refusal(build_prompt(static_cast<Task>(200), "a car")) == "unknown task");
  // The references take missing text for empty text.
  CHECK(prompt_of(Task::phrase_grounding, "", Compat::hf) == "Locate the phrases in the caption: ");
  CHECK(prompt_of(Task::region_to_ocr, "", Compat::ms) == "What text is in the region ?");
}

TEST_CASE("Regions as location tokens (row 46)") {
  const auto region = [](std::string_view input) { return build_prompt(Task::region_to_ocr, input); };
  CHECK(*region(" <loc_0><loc_007><loc_999><loc_7> ") == "What text is in the region <loc_0><loc_7><loc_999><loc_7>?");
  const std::string four = ": must be four numbers, as <loc_52><loc_332><loc_932><loc_774>";
  for (const std::string input : {"<loc_1><loc_2><loc_3>", "<loc_1><loc_2><loc_3><loc_4><loc_5>", "10,20,30,40",
                                  "<loc_1> <loc_2><loc_3><loc_4>", "<loc_1><loc_2><loc_3><loc_-4>", "<loc_1"}) {
    CHECK(refusal(region(input)) == "region \"" + input + "\"" + four);
  }
  CHECK(refusal(region("<loc_1><loc_2><loc_3><loc_1000>")) ==
        "region \"<loc_1><loc_2><loc_3><loc_1000>\": values must be 0-999");
  for (const std::string input : {"<loc_5><loc_2><loc_4><loc_3>", "<loc_1><loc_4><loc_2><loc_3>"}) {
    CHECK(refusal(region(input)) ==
          "region \"" + input + "\": the second corner must not be left of or above the first");
  }
}

TEST_CASE("Regions in pixels (row 46)") {
  CHECK(*region_tokens({0, 0, 640, 480}, 640, 480) == "<loc_0><loc_0><loc_999><loc_999>");
  // Bin n begins at n * 0.64 across and n * 0.48 down.
  CHECK(*region_tokens({33.6f, 159.6f, 596.8f, 371.7f}, 640, 480) == "<loc_52><loc_332><loc_932><loc_774>");
  CHECK(*region_tokens({5, 5, 5, 5}, 10, 10) == "<loc_500><loc_500><loc_500><loc_500>");
  const std::string outside = ": values must be inside 640x480";
  CHECK(refusal(region_tokens({-1, 0, 10, 10}, 640, 480)) == "region -1,0,10,10" + outside);
  CHECK(refusal(region_tokens({0, 0, 640.5f, 10}, 640, 480)) == "region 0,0,640.5,10" + outside);
  CHECK(refusal(region_tokens({0, 0, 10, 481}, 640, 480)) == "region 0,0,10,481" + outside);
  CHECK(refusal(region_tokens({0, kNan, 10, 10}, 640, 480)) == "region 0,nan,10,10" + outside);
  CHECK(refusal(region_tokens({0, 0, 0, 0}, 0, 0)) == "a picture of 0x0 has no regions");
  CHECK(refusal(region_tokens({0, 0, 1, 0}, 2, 0)) == "a picture of 2x0 has no regions");
  const std::string order = ": the second corner must not be left of or above the first";
  CHECK(refusal(region_tokens({20, 0, 10, 10}, 640, 480)) == "region 20,0,10,10" + order);
  CHECK(refusal(region_tokens({0, 20, 10, 10}, 640, 480)) == "region 0,20,10,10" + order);
}

TEST_CASE("Edit distance") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("sitting", "kitten") == 3);
  CHECK(edit_distance("bacth", "batch") == 2);
}

TEST_CASE("Unicode white space, digits and cutting") {
  CHECK(strip("\x1C\xC2\x85 a\xE2\x80\xA8\xE1\x9A\x80") == "a");
  CHECK(strip("\xE2\x80\x8B") == "\xE2\x80\x8B");  // zero width space is none
  CHECK(strip("\xA0 a \x80") == "\xA0 a \x80");    // nor are broken bytes
  CHECK(strip_left(" a ") == "a ");
  CHECK(strip(" \n") == "");
  CHECK(digit_value('7') == 7);
  CHECK(digit_value(0x0663) == 3);
  CHECK(digit_value(0x1D7FF) == 9);
  CHECK_FALSE(digit_value('/'));
  CHECK_FALSE(digit_value(':'));
  CHECK_FALSE(digit_value(0xB2));  // superscript two
  CHECK(cut("éé", 3) == "é");
  CHECK(cut("éé", 4) == "éé");
  CHECK(cut("中", 1) == "");
  CHECK(cut(std::string(9, '\x80'), 3) == "");
}

}  // namespace florence2
