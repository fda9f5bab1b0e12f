// Decoded text to answers by the references' rules: their vectors, the specification's tables, scores.
#include "model/parse.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "core/json.hpp"
#include "model/answer_json.hpp"
#include "tests/support.hpp"
#include "tokenizer/location.hpp"
#include "tokenizer/tokenizer.hpp"

namespace florence2 {
namespace {

using test::at;
using test::text_of;

/// "<loc_a><loc_b>…"
std::string tags(std::initializer_list<int> bins) {
  std::string text;
  for (const int bin : bins) text += "<loc_" + std::to_string(bin) + ">";
  return text;
}

std::string tags_between(int first, int last) {
  std::string text;
  for (int bin = first; bin <= last; ++bin) text += tags({bin});
  return text;
}

/// Equal values; numbers are equal as float32, and integers only equal integers when `whole`.
bool same(const json::Value& mine, const json::Value& wanted, bool whole) {
  double a = 0, b = 0;
  if (mine.number(a) && wanted.number(b)) {
    return whole ? mine.integer() && wanted.integer() && *mine.integer() == *wanted.integer()
                 : static_cast<float>(a) == static_cast<float>(b);
  }
  if (mine.string() && wanted.string()) return *mine.string() == *wanted.string();
  if (mine.array() && wanted.array()) {
    const json::Array &x = *mine.array(), &y = *wanted.array();
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [whole](const auto& p, const auto& q) { return same(p, q, whole); });
  }
  if (!mine.object() || !wanted.object()) return false;
  const json::Object &x = *mine.object(), &y = *wanted.object();
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [whole](const auto& p, const auto& q) {
    return p.first == q.first && same(p.second, q.second, whole);
  });
}

AnswerRules rules_named(const std::string& task) {
  const auto known = parse_task_name(task);
  return known ? answer_rules(*known) : AnswerRules{};
}

/// The answer to a row of the vectors, checked against its member "hf" or "ms".
void check_row(const json::Value& row, Compat compat) {
  const std::string task = text_of(at(row, "task"));
  const std::string text = text_of(at(row, "text"));
  const json::Array& size = *at(row, "size").array();
  const Answer answer = parse_by_rules(rules_named(task), text, static_cast<int>(test::int_of(size[0])),
                                       static_cast<int>(test::int_of(size[1])), compat);
  const json::Value mine = answer_json(answer, compat);
  const json::Value& wanted = at(row, compat == Compat::hf ? "hf" : "ms");
  INFO(task << " " << text << "\nmine   " << json::dump(mine) << "\nwanted " << json::dump(wanted));
  REQUIRE(same(mine, wanted, compat == Compat::hf));
}

std::size_t check_file(const std::string& path) {
  const json::Value document = test::load_json(path);
  const json::Array& rows = *at(document, "cases").array();
  for (const json::Value& row : rows) {
    check_row(row, Compat::hf);
    check_row(row, Compat::ms);
  }
  return rows.size();
}

json::Value parsed(const std::string& text) {
  auto value = json::parse(text);
  INFO(text);
  REQUIRE(value);
  return std::move(value).value();
}

struct AppendixRow {
  std::string text;
  std::string task;
  int width, height;
  std::string ms, hf;
};

std::vector<AppendixRow> box_rows() {
  const std::string car = tags({52, 332, 932, 774});
  const std::string car_ms = "[33.599998474121094,159.59999084472656,596.7999877929688,371.7599792480469]";
  const std::string whole_ms = "[0.3199999928474426,0.23999999463558197,639.6799926757812,479.7599792480469]";
  return {
      {"</s><s>car" + car + "wheel" + tags({708, 575, 865, 772, 142, 583, 308, 773}) + "</s>", "OD", 640, 480,
       R"({"bboxes":[)" + car_ms +
           R"(,[453.44000244140625,276.239990234375,553.9199829101562,370.79998779296875],
           [91.19999694824219,280.0799865722656,197.44000244140625,371.2799987792969]],
           "labels":["car","wheel","wheel"]})",
       R"({"bboxes":[[33,159,596,371],[453,276,553,370],[91,280,197,371]],"labels":["car","wheel","wheel"]})"},
      {"car" + car + tags({1, 2}) + " door  " + tags({1, 2, 3}) + "x" + tags({0, 0, 999, 999}), "OD", 640, 480,
       R"({"bboxes":[)" + car_ms + "," + whole_ms + R"(],"labels":["car","loc_3>x"]})",
       R"({"bboxes":[[33,159,596,371],[0,0,639,479]],"labels":["car","loc_3>x"]})"},
      {"café 中" + tags({1, 2, 3, 4}), "OD", 1000, 1000, R"({"bboxes":[[1.5,2.5,3.5,4.5]],"labels":["caf "]})",
       R"({"bboxes":[[1,2,3,4]],"labels":["caf "]})"},
      {"a\nb" + tags({1, 2, 3, 4}) + "ok" + tags({5, 6, 7, 8}), "OD", 1000, 1000,
       R"({"bboxes":[[5.5,6.5,7.5,8.5]],"labels":["ok"]})", R"({"bboxes":[[5,6,7,8]],"labels":["ok"]})"},
      {"\n b" + tags({1, 2, 3, 4}), "OD", 1000, 1000, R"({"bboxes":[[1.5,2.5,3.5,4.5]],"labels":["b"]})",
       R"({"bboxes":[[1,2,3,4]],"labels":["b"]})"},
      {tags_between(1, 8), "OD", 1000, 1000, R"({"bboxes":[[2.5,3.5,4.5,5.5]],"labels":["loc_1>"]})",
       R"({"bboxes":[[2,3,4,5]],"labels":["loc_1>"]})"},
      {"car<od>" + tags({1, 2, 3, 4}), "OD", 1000, 1000, R"({"bboxes":[[1.5,2.5,3.5,4.5]],"labels":["od>"]})",
       R"({"bboxes":[[1,2,3,4]],"labels":["od>"]})"},
      {tags({0, 0, 998, 711, 0, 0, 419, 673, 5}), "REGION_PROPOSAL", 1300, 876,
       R"({"bboxes":[[0.6499999761581421,0.43799999356269836,1298.0499267578125,623.2739868164062],
          [0.6499999761581421,0.43799999356269836,545.3499755859375,589.9859619140625]],"labels":["",""]})",
       R"({"bboxes":[[0,0,1298,623],[0,0,545,589]],"labels":["",""]})"},
      {"A green car" + tags({54, 330, 911, 780}) + "a yellow building" + tags({0, 8, 998, 635}) + "the image" +
           tags({0, 0, 999, 999}) + "The image" + tags({0, 0, 999, 999}),
       "CAPTION_TO_PHRASE_GROUNDING", 640, 480,
       R"({"bboxes":[[34.880001068115234,158.63999938964844,583.3599853515625,374.6399841308594],
          [0.3199999928474426,4.079999923706055,639.0399780273438,305.03997802734375],)" +
           whole_ms + R"(],"labels":["A green car","a yellow building","The image"]})",
       R"({"bboxes":[[34,158,583,374],[0,4,639,305],[0,0,639,479]],
          "labels":["A green car","a yellow building","The image"]})"},
  };
}

std::vector<AppendixRow> text_and_quad_rows() {
  return {
      {"</s><s> A green car. </s><pad><pad>", "CAPTION", 640, 480, R"(" A green car. <pad><pad>")",
       R"("A green car. <pad><pad>")"},
      {"doughnut" + tags({0, 0, 998, 998}), "REGION_TO_CATEGORY", 640, 480,
       R"("doughnut<loc_0><loc_0><loc_998><loc_998>")", R"("doughnut<loc_0><loc_0><loc_998><loc_998>")"},
      {"</s><s>Hello" + tags({100, 100, 200, 100, 200, 200, 100, 200}) + " World" +
           tags({300, 300, 400, 300, 400, 400, 300, 400}) + "</s>",
       "OCR_WITH_REGION", 1000, 1000,
       R"({"quad_boxes":[[100.5,100.5,200.5,100.5,200.5,200.5,100.5,200.5],
          [300.5,300.5,400.5,300.5,400.5,400.5,300.5,400.5]],"labels":["</s>Hello"," World"]})",
       R"({"quad_boxes":[[100,100,200,100,200,200,100,200],[300,300,400,300,400,400,300,400]],
          "labels":["Hello","World"]})"},
      {"</s><s>A\nB" + tags({1, 1, 2, 1, 2, 2, 1, 2}) + "\nC" + tags({3, 1, 2, 1, 2, 2, 1, 2}) + "</s><pad>",
       "OCR_WITH_REGION", 1000, 1000,
       R"({"quad_boxes":[[1.5,1.5,2.5,1.5,2.5,2.5,1.5,2.5],[3.5,1.5,2.5,1.5,2.5,2.5,1.5,2.5]],"labels":["B","C"]})",
       R"({"quad_boxes":[[1,1,2,1,2,2,1,2],[3,1,2,1,2,2,1,2]],"labels":["B","C"]})"},
  };
}

std::vector<AppendixRow> polygon_rows() {
  const std::string cat = "cat<poly>" + tags_between(1, 6);
  return {
      {tags({279, 379, 282, 379, 290, 373, 293}), "REFERRING_EXPRESSION_SEGMENTATION", 640, 480,
       R"({"polygons":[[[178.87998962402344,182.1599884033203,180.8000030517578,182.1599884033203,
          185.9199981689453,179.27999877929688]]],"labels":[""]})",
       R"({"polygons":[[[178,182,180,182,185,179]]],"labels":[""]})"},
      {tags_between(1, 6) + "<sep>" + tags_between(7, 12), "REFERRING_EXPRESSION_SEGMENTATION", 1000, 1000,
       R"({"polygons":[[[1.5,2.5,3.5,4.5,5.5,6.5],[7.5,8.5,9.5,10.5,11.5,12.5]]],"labels":[""]})",
       R"({"polygons":[[[1,2,3,4,5,6],[7,8,9,10,11,12]]],"labels":[""]})"},
      {"<poly>" + tags_between(1, 6) + "<sep>" + tags_between(7, 12) + "</poly><poly>" + tags_between(13, 18) +
           "</poly>",
       "REGION_TO_SEGMENTATION", 1000, 1000,
       R"({"polygons":[[[1.5,2.5,3.5,4.5,5.5,6.5],[7.5,8.5,9.5,10.5,11.5,12.5]],
          [[13.5,14.5,15.5,16.5,17.5,18.5]]],"labels":["",""]})",
       R"({"polygons":[[[1,2,3,4,5,6],[7,8,9,10,11,12]],[[13,14,15,16,17,18]]],"labels":["",""]})"},
      {tags({1, 2, 3}), "REFERRING_EXPRESSION_SEGMENTATION", 1000, 1000, R"({"polygons":[],"labels":[]})",
       R"({"polygons":[],"labels":[]})"},
      {cat + "<sep>" + tags_between(7, 10) + "</poly>dog" + tags_between(1, 4), "OPEN_VOCABULARY_DETECTION", 1000, 1000,
       R"({"bboxes":[],"bboxes_labels":[],"polygons":[[[1.5,2.5,3.5,4.5,5.5,6.5],[7.5,8.5,9.5,10.5]],
          [[1.5,2.5,3.5,4.5]]],"polygons_labels":["cat","dog"]})",
       R"({"bboxes":[],"bboxes_labels":[],"polygons":[[[1,2,3,4,5,6],[7,8,9,10]],[[1,2,3,4]]],
          "polygons_labels":["cat","dog"]})"},
      {cat, "OPEN_VOCABULARY_DETECTION", 1000, 1000,
       R"({"bboxes":[],"bboxes_labels":[],"polygons":[[[1.5,2.5,3.5,4.5,5.5,6.5]]],"polygons_labels":["cat"]})",
       R"({"bboxes":[],"bboxes_labels":[],"polygons":[[[1,2,3,4,5,6]]],"polygons_labels":["cat"]})"},
      {"</s><s><s><s>car" + tags({52, 334, 932, 774}) + "</s>", "OPEN_VOCABULARY_DETECTION", 640, 480,
       R"({"bboxes":[[33.599998474121094,160.55999755859375,596.7999877929688,371.7599792480469]],
          "bboxes_labels":["car"],"polygons":[],"polygons_labels":[]})",
       R"({"bboxes":[[33,160,596,371]],"bboxes_labels":["car"],"polygons":[],"polygons_labels":[]})"},
  };
}

void check_rows(const std::vector<AppendixRow>& rows) {
  for (const AppendixRow& row : rows) {
    json::Object object;
    object.emplace_back("task", row.task);
    object.emplace_back("text", row.text);
    object.emplace_back("size", json::Array{row.width, row.height});
    object.emplace_back("ms", parsed(row.ms));
    object.emplace_back("hf", parsed(row.hf));
    check_row(object, Compat::hf);
    check_row(object, Compat::ms);
  }
}

/// Tokens that lie one after the other, starting at byte 0.
struct Tokens {
  std::string text;
  std::vector<TokenSpan> spans;

  void add(std::string_view piece, float log_prob) {
    spans.push_back({text.size(), text.size() + piece.size(), log_prob});
    text += piece;
  }
};

Tokens tokens_of(const std::vector<std::pair<std::string, float>>& pieces) {
  Tokens tokens;
  for (const auto& [piece, log_prob] : pieces) tokens.add(piece, log_prob);
  return tokens;
}

Answer scored(Task task, const Tokens& tokens, Compat compat) {
  return parse_scored(answer_rules(task), task, {tokens.text, 1000, 1000, compat}, tokens.spans);
}

/// A score is exp of a mean of values read as float32: relative error below 2^-24 * (|log p| <= 32 + 1) * 2.
void check_score(float score, double wanted) { CHECK(score == Approx(wanted).epsilon(4e-6)); }

/// Answer and scores by the ms rule, checked against `wanted`.
void check_ms_scores(const json::Value& row, const json::Value& wanted, const Tokens& tokens) {
  const json::Array& size = *at(row, "size").array();
  const Task task = *parse_task_name(text_of(at(row, "task")));
  const DecodedText decoded{tokens.text, static_cast<int>(test::int_of(size[0])),
                            static_cast<int>(test::int_of(size[1])), Compat::ms};
  AnswerRules rules = answer_rules(task);
  rules.kind = AnswerKind::boxes;
  const Answer answer = parse_scored(rules, task, decoded, tokens.spans);
  const json::Value mine = answer_json(answer, Compat::ms);
  INFO(json::dump(row) << json::dump(mine));
  CHECK(same(at(mine, "bboxes"), at(wanted, "bboxes"), false));
  CHECK(same(at(mine, "labels"), at(wanted, "labels"), false));
  const json::Array& scores = *at(wanted, "scores").array();
  REQUIRE(answer.items.size() == scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) check_score(answer.items[i].score, test::number_of(scores[i]));
}

}  // namespace

TEST_CASE("Answers equal the references' on their vectors") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data");
    return;
  }
  CHECK(check_file(*reference + "/parser/parser.json") == 912);
  CHECK(check_file(*reference + "/parser/forced_decodes.json") == 85);
}

TEST_CASE("Answers equal the references' in the model goldens") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data");
    return;
  }
  int checked = 0;
  for (const char* name : {"mini-1", "base-1", "base-1-f16", "mini-1-side640"}) {
    const json::Value document = test::load_json(*reference + "/model/" + name + ".json");
    for (const json::Value& image : *at(document, "images").array()) {
      const json::Array size = {at(image, "width"), at(image, "height")};
      for (const json::Value& golden : *at(image, "cases").array()) {
        const json::Value& run = at(golden, "beam");
        json::Object row = *at(run, "parsed").object();
        row.emplace_back("task", at(golden, "task"));
        row.emplace_back("size", size);
        row.emplace_back("text", at(run, "text"));
        check_row(row, Compat::hf);
        check_row(row, Compat::ms);
        ++checked;
      }
    }
  }
  CHECK(checked > 0);
}

TEST_CASE("Answers equal the specification's table") {
  check_rows(box_rows());
  check_rows(text_and_quad_rows());
  check_rows(polygon_rows());
}

TEST_CASE("A value that is no task is read as text") {
  const Answer answer = parse_answer(static_cast<Task>(200), "car<loc_1><loc_2><loc_3><loc_4>", 100, 100);
  CHECK(answer.kind == AnswerKind::text);
  CHECK(answer.items.empty());
}

TEST_CASE("Location bins equal the reference's") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data");
    return;
  }
  const json::Value document = test::load_json(*reference + "/parser/quantize.json");
  for (const json::Value& row : *at(document, "cases").array()) {
    INFO(json::dump(row));
    for (std::size_t i = 0; i < 4; ++i) {
      const auto member = [&](const char* key) -> const json::Value& { return (*at(row, key).array())[i]; };
      const int size = static_cast<int>(test::int_of((*at(row, "size").array())[i % 2]));
      const int bin = location_bin(static_cast<float>(test::number_of(member("box"))), size);
      CHECK(bin == test::int_of(member("bins")));
      const float centre = location_centre(static_cast<float>(bin), size);
      CHECK(centre == static_cast<float>(test::number_of(member("ms_back"))));
      CHECK(static_cast<std::int64_t>(centre) == test::int_of(member("hf_back")));
    }
  }
}

TEST_CASE("ms scores equal the specification's vector, misaligned after extra <s>") {
  const std::vector<std::pair<std::string, float>> pieces = {
      {"car", -.5f},     {"<loc_1>", -.1f}, {"<loc_2>", -.2f}, {"<loc_3>", -.3f}, {"<loc_4>", -.4f}, {" door", -.6f},
      {"<loc_5>", -1.f}, {"<loc_6>", -2.f}, {"<loc_7>", -3.f}, {"<loc_8>", -4.f}, {"</s>", -.01f}};
  Tokens tokens = tokens_of({{"<s>", 0.f}});
  for (const auto& [piece, log_prob] : pieces) tokens.add(piece, log_prob);
  const Answer answer = scored(Task::object_detection, tokens, Compat::ms);
  REQUIRE(answer.items.size() == 2);
  check_score(answer.items[0].score, 0.77880078);
  check_score(answer.items[1].score, 0.08208500);

  Tokens shifted = tokens_of({{"<s>", 0.f}, {"<s>", 0.f}, {"<s>", 0.f}});
  for (const auto& [piece, log_prob] : pieces) shifted.add(piece, log_prob);
  const Answer misaligned = scored(Task::object_detection, shifted, Compat::ms);
  REQUIRE(misaligned.items.size() == 2);
  check_score(misaligned.items[0].score, 0.77880078);
  check_score(misaligned.items[1].score, 0.15987975);
  for (const Compat compat : {Compat::hf, Compat::none}) {
    const Answer aligned = scored(Task::object_detection, shifted, compat);
    REQUIRE(aligned.items.size() == 2);
    check_score(aligned.items[0].score, 0.77880078);
    check_score(aligned.items[1].score, 0.08208500);
  }
}

TEST_CASE("ms scores equal the reference's on forced decodes") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data");
    return;
  }
  const auto tokenizer = Tokenizer::load(*reference + "/model-files/hf");
  REQUIRE(tokenizer);
  const json::Value document = test::load_json(*reference + "/parser/forced_decodes.json");
  int checked = 0;
  for (const json::Value& row : *at(document, "cases").array()) {
    const json::Value* wanted = row.find("ms_scores");
    if (wanted == nullptr) continue;
    const std::vector<std::int32_t> ids = test::ids_of(at(row, "ids"));
    const json::Array& log_probs = *at(row, "logprobs").array();
    Tokens with_start = tokens_of({{"</s>", -99.0f}}), tokens;
    for (std::size_t i = 1; i < ids.size(); ++i) {
      const auto log_prob = static_cast<float>(test::number_of(log_probs[i - 1]));
      tokens.add(tokenizer->piece(ids[i]), log_prob);
      with_start.add(tokenizer->piece(ids[i]), log_prob);
    }
    check_ms_scores(row, *wanted, tokens);
    check_ms_scores(row, *wanted, with_start);
    ++checked;
  }
  CHECK(checked == 12);
}

TEST_CASE("Decoded text of forced ids equals the reference's") {
  const auto reference = test::reference_dir();
  if (!reference) {
    WARN("no reference data");
    return;
  }
  const auto tokenizer = Tokenizer::load(*reference + "/model-files/hf");
  REQUIRE(tokenizer);
  const json::Value document = test::load_json(*reference + "/parser/forced_decodes.json");
  for (const json::Value& row : *at(document, "cases").array()) {
    const std::vector<std::int32_t> ids = test::ids_of(at(row, "ids"));
    CHECK(tokenizer->decode(ids) == text_of(at(row, "text")));
    CHECK(tokenizer->decode(ids, true) == text_of(at(row, "text_skip")));
  }
}

}  // namespace florence2
