// Compat::none: answers worked out by hand, what must hold for every text, scores, and text made to hurt.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "model/answer_json.hpp"
#include "model/parse.hpp"
#include "model/unicode_text.hpp"
#include "tests/support.hpp"
#include "tokenizer/florence_tokens.hpp"

namespace florence2 {
namespace {

std::string tags(std::initializer_list<int> bins) {
  std::string text;
  for (const int bin : bins) text += location_token(bin);
  return text;
}

std::string repeated(std::string_view piece, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += piece;
  return text;
}

Task task_named(const std::string& name) {
  const auto task = parse_task_name(name);
  REQUIRE(task);
  return *task;
}

struct Row {
  std::string task;
  std::string text;
  std::string answer;  ///< JSON, in a picture of 1000 x 1000: bin n is n + 0.5
  int dropped;
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    INFO(row.task << " " << row.text);
    const Answer answer = parse_answer(task_named(row.task), row.text, 1000, 1000);
    CHECK(json::dump(answer_json(answer, Compat::none)) == row.answer);
    CHECK(answer.items_dropped == row.dropped);
  }
}

std::vector<std::string> special_tokens() {
  std::vector<std::string> tokens = florence_tokens();
  for (const char* token : {"<s>", "</s>", "<pad>", "<unk>", "<mask>", "<image>"}) tokens.emplace_back(token);
  return tokens;
}

/// Text put together at random from tokens, halves of tokens and words.
std::string random_text(test::Random& random) {
  static const std::vector<std::string> kPieces = {
      "<s>",    "</s>",    "<pad>",     "<sep>",      "<poly>",   "</poly>",      "<and>",   "<od>",
      "<mask>", "<loc_",   "<loc_5",    "<loc_1000>", "<loc_>",   "loc_5>",       "<",       ">",
      "<lo",    "c_5>",    "</",        "s>",         "/s>",      "car",          "A dog",   " ",
      "\n",     "café 中", "the image", "\xFF",       "\xE4\xB8", "\xE3\x80\x80", "<loc_٣>", "<loc_-1>"};
  std::string text;
  for (std::size_t left = random.bits() % 24; left > 0; --left) {
    if (random.bits() % 2 == 0) {
      text += kPieces[random.bits() % kPieces.size()];
    } else {
      for (std::size_t run = 1 + random.bits() % 9; run > 0; --run) {
        text += location_token(static_cast<int>(random.bits() % 1000));
      }
    }
  }
  return text;
}

bool inside(const Point& point, int width, int height) {
  return point.x >= 0 && point.x <= static_cast<float>(width) && point.y >= 0 && point.y <= static_cast<float>(height);
}

bool shape_is_sound(const Item& item, int width, int height) {
  const auto in_picture = [=](const Point& point) { return inside(point, width, height); };
  if (const auto* box = std::get_if<Box>(&item.shape)) {
    return box->x0 <= box->x1 && box->y0 <= box->y1 && in_picture({box->x0, box->y0}) && in_picture({box->x1, box->y1});
  }
  if (const auto* quad = std::get_if<Quad>(&item.shape)) return std::all_of(quad->begin(), quad->end(), in_picture);
  const auto& polygons = std::get<Polygons>(item.shape);
  return !polygons.empty() && std::all_of(polygons.begin(), polygons.end(), [&](const auto& polygon) {
    return polygon.size() >= 3 && std::all_of(polygon.begin(), polygon.end(), in_picture);
  });
}

void check_sound(const Answer& answer, int width, int height) {
  static const std::vector<std::string> kTokens = special_tokens();
  std::set<std::string> seen;
  for (const Item& item : answer.items) {
    CHECK(shape_is_sound(item, width, height));
    CHECK(item.label == strip(item.label));
    CHECK(item.label.find("<loc_") == std::string::npos);
    const auto leaked = std::find_if(kTokens.begin(), kTokens.end(), [&item](const std::string& token) {
      return item.label.find(token) != std::string::npos;
    });
    CHECK(leaked == kTokens.end());
  }
  const json::Value items = items_json(answer, Compat::none);
  for (const json::Value& item : *items.array()) {
    CHECK(seen.insert(json::dump(item)).second);
  }
}

/// Texts of about a megabyte that punish backtracking, rescanning and copying.
std::vector<std::string> hostile_texts() {
  constexpr std::size_t kSize = std::size_t{1} << 20;
  std::vector<std::string> texts;
  for (const char* piece : {"<", "<loc_", "<loc_1>", "<loc_1", "x<loc_1><loc_2><loc_3>", "<poly>", "<poly><loc_1>",
                            "<poly><loc_1><loc_2></poly>", "<loc_1><sep>", "a\n", "\xFF", "\xE3\x80\x80", "<<s>s>"}) {
    texts.push_back(repeated(piece, kSize));
  }
  texts.push_back("<loc_" + repeated("1", kSize));
  texts.push_back(repeated("a", kSize / 2) + repeated("<loc_1><loc_20><loc_300><loc_4>", kSize / 2));
  texts.push_back(repeated(" ", kSize / 2) + "a" + repeated(" ", kSize / 2) + tags({1, 2, 3, 4}));
  return texts;
}

}  // namespace

TEST_CASE("Repaired boxes") {
  check({
      {"od", "car" + tags({52, 332, 932, 774}), R"({"bboxes":[[52.5,332.5,932.5,774.5]],"labels":["car"]})", 0},
      // Unicode and inner line breaks stay.
      {"od", "café 中" + tags({1, 2, 3, 4}), R"({"bboxes":[[1.5,2.5,3.5,4.5]],"labels":["café 中"]})", 0},
      {"od", "a\nb" + tags({1, 2, 3, 4}), R"({"bboxes":[[1.5,2.5,3.5,4.5]],"labels":["a\nb"]})", 0},
      // Groups without a label are kept and start where they start.
      {"od", tags({1, 2, 3, 4, 5, 6, 7, 8}), R"({"bboxes":[[1.5,2.5,3.5,4.5],[5.5,6.5,7.5,8.5]],"labels":["",""]})", 0},
      // Incomplete groups: two after car, three after door; a fifth location that is none breaks a group in two.
      {"od", "car" + tags({1, 2, 3, 4, 5, 6}) + " door " + tags({1, 2, 3}) + "x" + tags({7, 8, 9, 10}),
       R"({"bboxes":[[1.5,2.5,3.5,4.5],[7.5,8.5,9.5,10.5]],"labels":["car","x"]})", 2},
      {"od", "car" + tags({1, 2}) + "<loc_1000>" + tags({3, 4}) + "dog" + tags({1, 2, 3, 4}),
       R"({"bboxes":[[1.5,2.5,3.5,4.5]],"labels":["dog"]})", 2},
      {"od", "car" + tags({1, 2, 3}) + "<loc_4", R"({"bboxes":[],"labels":[]})", 1},
      // Tokens end a group but not a label, and never enter it; those around the answer do neither.
      {"od", "car<od>" + tags({1, 2, 3, 4}) + "<and>" + tags({5, 6, 7, 8}),
       R"({"bboxes":[[1.5,2.5,3.5,4.5],[5.5,6.5,7.5,8.5]],"labels":["car","car"]})", 0},
      {"od", "</s><s><s>a<sep>b" + tags({1, 2}) + "<pad>" + tags({3, 4}) + "</s>",
       R"({"bboxes":[[1.5,2.5,3.5,4.5]],"labels":["a b"]})", 0},
      {"od", "<lo<s>c_5>" + tags({1, 2, 3, 4}), R"({"bboxes":[[1.5,2.5,3.5,4.5]],"labels":["<lo c_5>"]})", 0},
      // Corners in order; exact repeats once, also when they repeat the other way round.
      {"od", "a" + tags({3, 4, 1, 2, 1, 2, 3, 4, 1, 4, 3, 2}) + "b" + tags({1, 2, 3, 4}),
       R"({"bboxes":[[1.5,2.5,3.5,4.5],[1.5,2.5,3.5,4.5]],"labels":["a","b"]})", 0},
      {"region_proposal", "text" + tags({1, 2, 3, 4, 5}), R"({"bboxes":[[1.5,2.5,3.5,4.5]],"labels":[""]})", 1},
      {"caption_to_phrase_grounding", "the image" + tags({1, 2, 3, 4}) + "The image" + tags({5, 6, 7, 8}),
       R"({"bboxes":[[5.5,6.5,7.5,8.5]],"labels":["The image"]})", 0},
      {"od", "only words", R"({"bboxes":[],"labels":[]})", 0},
      {"od", "", R"({"bboxes":[],"labels":[]})", 0},
  });
}

TEST_CASE("Repaired quads") {
  const std::string corners = tags({1, 2, 3, 4, 5, 6, 7, 8});
  const std::string quad = "[1.5,2.5,3.5,4.5,5.5,6.5,7.5,8.5]";
  check({
      {"ocr_with_region", "</s><s>CUDA" + corners + "\n中文" + corners + "</s>",
       R"({"quad_boxes":[)" + quad + "," + quad + R"(],"labels":["CUDA","中文"]})", 0},
      {"ocr_with_region", "A\nB" + corners, R"({"quad_boxes":[)" + quad + R"(],"labels":["A\nB"]})", 0},
      {"ocr_with_region", "A" + tags({1, 2, 3, 4, 5, 6, 7}) + "B" + corners + tags({9}) + "C",
       R"({"quad_boxes":[)" + quad + R"(],"labels":["B"]})", 2},
  });
}

TEST_CASE("Repaired polygons") {
  const std::string triangle = tags({1, 2, 3, 4, 5, 6});
  const std::string outline = "[1.5,2.5,3.5,4.5,5.5,6.5]";
  check({
      // An odd location is left out; a label and a <sep> in front do not become one.
      {"referring_expression_segmentation", triangle + tags({7}),
       R"({"polygons":[[)" + outline + R"(]],"labels":[""]})", 0},
      {"referring_expression_segmentation", "<sep>cat" + triangle,
       R"({"polygons":[[)" + outline + R"(]],"labels":[""]})", 0},
      {"referring_expression_segmentation", tags({1, 2, 3}), R"({"polygons":[],"labels":[]})", 1},
      {"referring_expression_segmentation", tags({1, 2, 3, 4, 5}), R"({"polygons":[],"labels":[]})", 1},
      {"referring_expression_segmentation", "<loc_1><sep><sep><sep>", R"({"polygons":[],"labels":[]})", 1},
      {"region_to_segmentation",
       "<poly>" + triangle + "<sep>" + tags({7, 8, 9, 10}) + "</poly><poly>" + tags({6, 5, 4, 3, 2, 1}),
       R"({"polygons":[[)" + outline + R"(],[[6.5,5.5,4.5,3.5,2.5,1.5]]],"labels":["",""]})", 1},
      {"open_vocabulary_detection", "cat<poly>" + triangle + "</poly>dog" + tags({1, 2, 3, 4}),
       R"({"bboxes":[],"bboxes_labels":[],"polygons":[[)" + outline + R"(]],"polygons_labels":["cat"]})", 1},
      {"open_vocabulary_detection", "cat" + tags({1, 2, 3, 4}),
       R"({"bboxes":[[1.5,2.5,3.5,4.5]],"bboxes_labels":["cat"],"polygons":[],"polygons_labels":[]})", 0},
      {"region_to_segmentation", triangle + "<loc_1000>" + triangle + "<poly>" + triangle + "</poly>",
       R"({"polygons":[[)" + outline + "," + outline + "],[" + outline + R"(]],"labels":["",""]})", 0},
  });
}

TEST_CASE("Repaired text") {
  check({
      {"caption", "</s><s> A green car. </s><pad><pad>", R"("A green car.")", 0},
      {"region_to_category", "<s>doughnut" + tags({0, 0, 998, 998}) + "</s>",
       R"("doughnut<loc_0><loc_0><loc_998><loc_998>")", 0},
  });
}

TEST_CASE("No special token enters a label") {
  for (const std::string& token : special_tokens()) {
    INFO(token);
    if (token.starts_with("<loc_")) continue;
    const Answer answer = parse_answer(Task::object_detection, "car" + token + tags({1, 2, 3, 4}), 1000, 1000);
    REQUIRE(answer.items.size() == 1);
    CHECK(answer.items[0].label == "car");
  }
}

TEST_CASE("Every text gives a sound answer, and the tokens around it change nothing") {
  test::Random random(1);
  for (int i = 0; i < 600; ++i) {
    const std::string text = random_text(random);
    const int width = 1 + static_cast<int>(random.bits() % 5000), height = 1 + static_cast<int>(random.bits() % 5000);
    for (const TaskInfo& info : all_tasks()) {
      INFO(info.token << " " << width << "x" << height << " " << text);
      const Answer answer = parse_answer(info.task, text, width, height);
      check_sound(answer, width, height);
      if (info.answer == AnswerKind::text) continue;
      const Answer wrapped = parse_answer(info.task, "</s><s>" + text + "</s><pad>", width, height);
      CHECK(json::dump(items_json(wrapped, Compat::none)) == json::dump(items_json(answer, Compat::none)));
      CHECK(wrapped.items_dropped == answer.items_dropped);
    }
  }
}

TEST_CASE("Well-formed ASCII answers are the reference's") {
  test::Random random(2);
  const auto bin = [&random](int from) { return from + static_cast<int>(random.bits() % 300); };
  for (int i = 0; i < 200; ++i) {
    std::string boxes = "<s>", quads = "<s>";
    for (int n = 0; n < 4; ++n) {
      const std::string label = "thing " + std::to_string(n);
      boxes += label + tags({bin(0), bin(0), bin(300), bin(300)}) + tags({bin(300), bin(300), bin(600), bin(600)});
      quads += (n == 0 ? "" : "\n") + label + tags({bin(0), bin(0), bin(0), bin(0), bin(0), bin(0), bin(0), bin(0)});
    }
    const auto same = [](Task task, const std::string& text, Compat compat) {
      const auto answer = [&](Compat rules) { return parse_answer(task, text, 640, 480, rules); };
      return json::dump(answer_json(answer(Compat::none), Compat::ms)) ==
             json::dump(answer_json(answer(compat), Compat::ms));
    };
    CHECK(same(Task::object_detection, boxes + "</s>", Compat::ms));
    CHECK(same(Task::open_vocabulary_detection, boxes + "</s>", Compat::ms));
    // ms leaves </s> in its last tags' neighbourhood, not in these labels.
    CHECK(same(Task::ocr_with_region, quads + "</s>", Compat::ms));
  }
}

TEST_CASE("A score is the mean over an item's own location tokens") {
  std::string text;
  std::vector<TokenSpan> tokens;
  const auto add = [&](const std::string& piece, float log_prob) {
    tokens.push_back({text.size(), text.size() + piece.size(), log_prob});
    text += piece;
  };
  add("<s>", 0);
  add("caf", -9);
  add("\xC3", -9);
  add("\xA9", -9);
  for (int n = 0; n < 8; ++n) add(tags({n}), n < 4 ? -1.0f : -2.0f);
  add("<sep>", -9);
  for (int n = 0; n < 4; ++n) add(tags({n}), -3);  // a repeat of the first box: the first one's score stays
  add("x", -9);
  for (int n = 10; n < 14; ++n) add(tags({n}), 0);
  const auto scored = [&](Task task, std::span<const TokenSpan> spans) {
    return parse_scored(answer_rules(task), task, {text, 100, 100, Compat::none}, spans);
  };
  const Answer answer = scored(Task::phrase_grounding, tokens);
  REQUIRE(answer.items.size() == 3);
  CHECK(answer.items[0].label == "café");
  CHECK(answer.items[0].score == static_cast<float>(std::exp(-1.0)));
  CHECK(answer.items[1].score == static_cast<float>(std::exp(-2.0)));
  CHECK(answer.items[2].score == 1);
  CHECK(scored(Task::phrase_grounding, {}).items[0].score == 0);
  CHECK(parse_answer(Task::phrase_grounding, text, 100, 100).items[0].score == 0);
}

TEST_CASE("Spans that do not fit the text are harmless") {
  const std::string text = "<s>car" + tags({1, 2, 3, 4});
  const std::vector<TokenSpan> tokens = {{100, 90, -1}, {5, 1, -1}, {0, std::string::npos, -2}};
  for (const Compat compat : {Compat::none, Compat::hf, Compat::ms}) {
    const Answer answer =
        parse_scored(answer_rules(Task::object_detection), Task::object_detection, {text, 10, 10, compat}, tokens);
    REQUIRE(answer.items.size() == 1);
    CHECK(answer.items[0].score >= 0);
    CHECK(answer.items[0].score <= 1);
  }
}

TEST_CASE("Items as JSON") {
  const auto items = [](Task task, const std::string& text, Compat compat) {
    return json::dump(items_json(parse_answer(task, text, 640, 480, compat), compat));
  };
  const std::string car = "car" + tags({52, 332, 932, 774});
  CHECK(items(Task::object_detection, car, Compat::none) ==
        R"([{"label":"car","box":[33.6,159.59999,596.8,371.75998],"score":0,"label_score":0}])");
  CHECK(items(Task::object_detection, car, Compat::hf) ==
        R"([{"label":"car","box":[33,159,596,371],"score":0,"label_score":0}])");
  CHECK(items(Task::ocr_with_region, "A" + tags({0, 0, 0, 0, 0, 0, 0, 0}), Compat::hf) ==
        R"([{"label":"A","quad":[0,0,0,0,0,0,0,0],"score":0,"label_score":0}])");
  CHECK(items(Task::region_to_segmentation, tags({0, 0, 10, 10, 20, 20}), Compat::hf) ==
        R"([{"label":"","polygons":[[0,0,6,5,13,9]],"score":0,"label_score":0}])");
  CHECK(items(Task::caption, "a car", Compat::none) == "[]");
  // Larger than 64 bits can hold: the largest float that fits.
  const std::string far = "<loc_" + std::string(40, '9') + ">";
  const Answer beyond = parse_answer(Task::object_detection, "x" + far + far + far + far, 2'000'000'000, 1, Compat::hf);
  CHECK(json::dump(answer_json(beyond, Compat::hf)).starts_with(R"({"bboxes":[[9223371487098961920,)"));
}

TEST_CASE("Labels that many items share are cut between characters") {
  const std::string label = repeated("é", 5000) + "x";
  for (const Compat compat : {Compat::none, Compat::ms}) {
    const Answer answer =
        parse_answer(Task::open_vocabulary_detection, label + "<poly>" + tags({1, 2, 3, 4, 5, 6}), 10, 10, compat);
    REQUIRE(answer.items.size() == 1);
    CHECK(answer.items[0].label == repeated("é", 4096));
  }
}

TEST_CASE("Hostile text is parsed in linear time") {
  // A scanner that is quadratic anywhere needs 10^11 steps and more for a megabyte.
  constexpr std::chrono::seconds kLimit(10);
  for (const std::string& text : hostile_texts()) {
    for (const Task task : {Task::object_detection, Task::ocr_with_region, Task::referring_segmentation,
                            Task::open_vocabulary_detection}) {
      for (const Compat compat : {Compat::none, Compat::hf, Compat::ms}) {
        INFO(task_info(task).token << " " << text.substr(0, 40));
        const auto start = std::chrono::steady_clock::now();
        const Answer answer = parse_answer(task, text, 640, 480, compat);
        CHECK(std::chrono::steady_clock::now() - start < kLimit);
        CHECK(answer.items.size() <= text.size() / 20);
      }
    }
  }
}

}  // namespace florence2
