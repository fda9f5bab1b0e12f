// The numbers of `florence2 compare` on cases whose values are worked out by hand.
#include "tools/compare_metrics.hpp"

#include <catch2/catch.hpp>

namespace florence2 {
namespace {

using Ids = std::vector<std::int32_t>;

Item box(const std::string& label, float x0, float y0, float x1, float y1) { return {label, Box{x0, y0, x1, y1}}; }

TaskResult result(Ids ids, Answer answer) {
  TaskResult result;
  result.token_ids = std::move(ids);
  result.answer = std::move(answer);
  return result;
}

Answer text(std::string words) { return {.kind = AnswerKind::text, .text = std::move(words), .items = {}}; }
Answer things(AnswerKind kind, std::vector<Item> items) {
  return {.kind = kind, .text = {}, .items = std::move(items)};
}

double value(Scores scores, Metric metric) {
  const auto score = score_of(scores, metric);
  REQUIRE(score);
  return *score;
}

TEST_CASE("token agreement stops at the first difference and counts the longer sequence") {
  CHECK(token_agreement(Ids{}, Ids{}) == 1);
  CHECK(token_agreement(Ids{2, 0, 7, 2}, Ids{2, 0, 7, 2}) == 1);
  CHECK(token_agreement(Ids{2, 0, 7, 2}, Ids{2, 0, 9, 2}) == 0.5);  // the last one is equal, but too late
  CHECK(token_agreement(Ids{2, 0}, Ids{2, 0, 7, 2}) == 0.5);
  CHECK(token_agreement(Ids{2, 0, 7, 2}, Ids{2, 0}) == 0.5);
  CHECK(token_agreement(Ids{}, Ids{1}) == 0);
}

TEST_CASE("edits are counted in characters, not bytes") {
  CHECK(character_edits("", "") == 0);
  CHECK(character_edits("kitten", "sitting") == 3);
  CHECK(character_edits("é", "e") == 1);
  CHECK(character_edits("中文", "") == 2);
}

TEST_CASE("IoU of boxes") {
  CHECK(box_iou({0, 0, 10, 10}, {0, 0, 10, 10}) == 1);
  CHECK(box_iou({0, 0, 10, 10}, {5, 0, 15, 10}) == Approx(50.0 / 150));
  CHECK(box_iou({0, 0, 10, 10}, {2, 2, 4, 4}) == Approx(4.0 / 100));
  CHECK(box_iou({0, 0, 10, 10}, {10, 0, 20, 10}) == 0);
  CHECK(box_iou({0, 0, 10, 10}, {30, 30, 40, 40}) == 0);
  CHECK(box_iou({3, 3, 3, 3}, {3, 3, 3, 3}) == 1);
  CHECK(box_iou({3, 3, 3, 3}, {4, 3, 4, 3}) == 0);
}

TEST_CASE("F1 pairs things one to one, and labels count where they are asked for") {
  const std::vector<Item> none, one = {box("cat", 0, 0, 10, 10)};
  CHECK(f1_score(none, none, 0.5, true) == 1);
  CHECK(f1_score(one, none, 0.5, true) == 0);
  CHECK(f1_score(one, one, 0.9, true) == 1);
  const std::vector<Item> twice = {box("cat", 0, 0, 10, 10), box("cat", 0, 0, 10, 9)};
  CHECK(f1_score(one, twice, 0.5, true) == Approx(2.0 / 3));  // the second has no partner
  const std::vector<Item> renamed = {box("dog", 0, 0, 10, 10)};
  CHECK(f1_score(one, renamed, 0.5, true) == 0);
  CHECK(f1_score(one, renamed, 0.5, false) == 1);
  const std::vector<Item> moved = {box("cat", 0, 0, 10, 8)};  // IoU 0.8
  CHECK(f1_score(one, moved, 0.5, true) == 1);
  CHECK(f1_score(one, moved, 0.9, true) == 0);
}

TEST_CASE("F1 gives each thing its nearest partner, whatever the order") {
  const std::vector<Item> a = {box("", 0, 0, 10, 10), box("", 0, 0, 10, 6)};
  const std::vector<Item> b = {box("", 0, 0, 10, 6), box("", 0, 0, 10, 10)};
  CHECK(f1_score(a, b, 0.9, false) == 1);
}

TEST_CASE("IoU of outlines") {
  const Item square{"", Quad{Point{0, 0}, {8, 0}, {8, 8}, {0, 8}}};
  const Item triangle{"", Polygons{{{0, 0}, {8, 0}, {0, 8}}}};
  const Item right_half{"", Quad{Point{4, 0}, {8, 0}, {8, 8}, {4, 8}}};
  const std::vector<Item> none, whole = {square};
  const auto iou = [&](const Item& other) { return outline_iou(whole, std::vector<Item>{other}); };
  CHECK(iou(square) == Approx(1));
  CHECK(iou(triangle) == Approx(0.5).margin(0.005));  // 256 cells a side, half covered along the diagonal
  CHECK(iou(right_half) == Approx(0.5).margin(0.005));
  CHECK(outline_iou(none, none) == 1);
  CHECK(outline_iou(whole, none) == 0);
  CHECK(outline_iou(whole, std::vector<Item>{square, right_half}) == Approx(0.5));
}

TEST_CASE("logits: angle, largest difference, most likely token") {
  const std::vector<float> a = {3, 4}, same = {6, 8}, across = {-4, 3}, zero = {0, 0};
  CHECK(compare_logits(a, a).cosine == Approx(1));
  CHECK(compare_logits(a, a).max_error == 0);
  const LogitStep longer = compare_logits(a, same);
  CHECK(longer.cosine == Approx(1));
  CHECK(longer.max_error == 4);
  CHECK(longer.same_choice);
  CHECK(compare_logits(a, across).cosine == Approx(0).margin(1e-12));
  CHECK(compare_logits(a, std::vector<float>{4, 3}).same_choice == false);
  CHECK(compare_logits(zero, zero).cosine == 1);
  CHECK(compare_logits(zero, a).cosine == 0);

  Scores scores;
  add_logit_scores({}, scores);
  CHECK(!score_of(scores, Metric::logit_cosine));
  add_logit_scores(std::vector<LogitStep>{{1, 0, true}, {0.5, 2, false}}, scores);
  CHECK(value(scores, Metric::logit_cosine) == 0.75);
  CHECK(value(scores, Metric::logit_error) == 1);
  CHECK(value(scores, Metric::same_choice) == 0.5);
}

TEST_CASE("a text answer has edits, and an error rate where it was read") {
  const TaskResult a = result({2, 0, 5, 2}, text("STOP")), b = result({2, 0, 6, 2}, text("SHOP"));
  const Scores caption = compare_answers(a, b, {.text = true, .reading = false});
  CHECK(value(caption, Metric::same_tokens) == 0);
  CHECK(value(caption, Metric::token_agreement) == 0.5);
  CHECK(value(caption, Metric::same_text) == 0);
  CHECK(value(caption, Metric::text_edits) == 1);
  CHECK(!caption[static_cast<std::size_t>(Metric::character_error)]);
  CHECK(!caption[static_cast<std::size_t>(Metric::f1_50)]);
  const Scores read = compare_answers(a, b, {.text = true, .reading = true});
  CHECK(value(read, Metric::character_error) == 0.25);
  CHECK(value(compare_answers(a, a, {.text = true, .reading = true}), Metric::character_error) == 0);
}

TEST_CASE("things have F1, outlines and words where they are") {
  const TaskResult a = result({2, 1}, things(AnswerKind::boxes, {box("cat", 0, 0, 10, 10)}));
  const Scores boxes = compare_answers(a, a, {});
  CHECK(value(boxes, Metric::f1_90) == 1);
  CHECK(value(boxes, Metric::place_f1_90) == 1);
  CHECK(!boxes[static_cast<std::size_t>(Metric::outline_iou)]);
  CHECK(!boxes[static_cast<std::size_t>(Metric::same_text)]);
  const Quad place = {Point{0, 0}, {9, 0}, {9, 9}, {0, 9}};
  const TaskResult words = result({2, 1}, things(AnswerKind::quads, {{"EXIT", place}}));
  const TaskResult misread = result({2, 3}, things(AnswerKind::quads, {{"EDIT", place}}));
  const Scores read = compare_answers(words, misread, {.text = false, .reading = true});
  CHECK(value(read, Metric::outline_iou) == Approx(1));
  CHECK(value(read, Metric::f1_50) == 0);
  CHECK(value(read, Metric::place_f1_50) == 1);
  CHECK(value(read, Metric::character_error) == Approx(1.0 / 5));  // with the line break behind the word
}

TEST_CASE("means are over the answers to which a metric applies") {
  MeanScores means;
  CHECK(means.count() == 0);
  Scores first, second;
  score_of(first, Metric::same_tokens) = 1;
  score_of(first, Metric::f1_50) = 0.25;
  score_of(second, Metric::same_tokens) = 0;
  means.add(first);
  means.add(second);
  CHECK(means.count() == 2);
  CHECK(value(means.mean(), Metric::same_tokens) == 0.5);
  CHECK(value(means.mean(), Metric::f1_50) == 0.25);
  CHECK(!means.mean()[static_cast<std::size_t>(Metric::outline_iou)]);
}

TEST_CASE("the table of metrics is in the order of the enum, with names of their own") {
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    CHECK(static_cast<std::size_t>(all_metrics()[i].metric) == i);
    for (std::size_t j = 0; j < i; ++j) CHECK(all_metrics()[i].name != all_metrics()[j].name);
  }
}

}  // namespace
}  // namespace florence2
