// Parts of the program that are easier to reach directly: escaping, exit codes, arrays, annotated pictures.
#include <catch2/catch.hpp>

#include "core/file.hpp"
#include "tests/temp_folder.hpp"
#include "tools/answer_text.hpp"
#include "tools/answer_writer.hpp"
#include "tools/draw.hpp"
#include "tools/font.hpp"
#include "tools/labels.hpp"
#include "tools/message.hpp"
#include "tools/npy.hpp"
#include "tools/picture_file.hpp"

namespace florence2 {
namespace {

TEST_CASE("control characters and broken UTF-8 are made visible") {
  CHECK(printable("plain café 中") == "plain café 中");
  CHECK(printable("\x1b[31m\n\x7f") == "\\x1b[31m\\x0a\\x7f");
  CHECK(printable("\xc2\x9b"
                  "31m") == "\\xc2\\x9b31m");  // a one-character CSI
  CHECK(printable("a\xff\xc3") == "a\\xff\\xc3");
}

TEST_CASE("every error code has its status of sysexits.h") {
  const std::pair<ErrorCode, int> expected[] = {
      {ErrorCode::argument, 64},      {ErrorCode::data, 65},     {ErrorCode::not_found, 66},
      {ErrorCode::unsupported, 69},   {ErrorCode::internal, 70}, {ErrorCode::memory, 71},
      {ErrorCode::cannot_create, 73}, {ErrorCode::io, 74},       {ErrorCode::limit, 76},
      {ErrorCode::permission, 77},    {ErrorCode::model, 78}};
  for (const auto& [code, status] : expected) CHECK(exit_status(code) == status);
}

TEST_CASE("93: an error is one line, and our own mistakes ask to be reported") {
  CHECK(error_line({ErrorCode::data, "file is empty", "a\n.png"}, false) ==
        "florence2: error: a\\x0a.png: file is empty");
  CHECK(error_line({ErrorCode::internal, "unexpected exception: broken", ""}, false) ==
        "florence2: error: unexpected exception: broken (this is a bug; please report it with `florence2 --version`)");
  CHECK(error_line({ErrorCode::data, "x", ""}, true) == "florence2: \x1b[1;31merror:\x1b[0m x");
}

TEST_CASE("side-car files have the lines of words where asked") {
  const auto word = [](const char* text, float x, float y) {
    return Item{text, Quad{Point{x, y}, {x + 30, y}, {x + 30, y + 10}, {x, y + 10}}, 0};
  };
  TaskResult words;
  words.answer.kind = AnswerKind::quads;
  words.answer.items = {word("lies", 50, 10), word("under", 10, 40), word("it", 50, 40), word("This", 10, 10)};
  const test::TempFolder folder;
  RunSettings settings;
  settings.format = Format::txt;
  settings.output = folder.path();
  settings.ocr_lines = true;
  auto writer = make_answer_writer(settings, false);
  REQUIRE(writer);
  const PictureFacts facts{.input = {"page.png", "page.png"}, .width = 100, .height = 60};
  REQUIRE((*writer)->answer(facts, {.task = Task::ocr_with_region, .answer = AnswerKind::quads}, words));
  REQUIRE((*writer)->picture_done(facts));
  const auto text = read_file(folder.file("page.txt"), 1000);
  REQUIRE(text);
  CHECK(*text == "This lies\nunder it\n");
}

TEST_CASE("answers as text") {
  Answer boxes{.kind = AnswerKind::boxes, .text = {}, .items = {{"cat", Box{1, 2, 30.25f, 400}, 0.5f}, {"", Box{}, 0}}};
  CHECK(answer_text(boxes) ==
        "label   x0   y0    x1     y1  score\n"
        "cat    1.0  2.0  30.2  400.0   0.50\n"
        "-      0.0  0.0   0.0    0.0      -\n");
  CHECK(answer_text({.kind = AnswerKind::polygons, .text = {}, .items = {}}) == "(nothing found)\n");
  CHECK(answer_text({.kind = AnswerKind::text, .text = "two\nlines\x1b", .items = {}}) == "two\nlines\\x1b\n");
}

TEST_CASE("location tokens are left out of text for people") {
  CHECK(readable_text("heart<loc_575><loc_0>") == "heart");
  CHECK(readable_text("<loc_1>a<loc_>b<loc_x>c<loc_12") == "a<loc_>b<loc_x>c<loc_12");
}

TEST_CASE("the .npy header fills up to a multiple of 64 bytes") {
  const float elements[] = {1, 2, 3, 4, 5, 6};
  const std::int64_t shape[] = {2, 3};
  const std::string bytes = encode_npy(elements, shape);
  CHECK(bytes.size() == 128 + sizeof(elements));
  CHECK(bytes.substr(0, 10) == std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  CHECK(bytes.substr(10, 58) == "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, )");
  CHECK(bytes[127] == '\n');
}

TEST_CASE("areas are filled exactly, edges by their share") {
  Canvas canvas(6, 6, {0, 0, 0});
  const Contour square = {{1.5f, 1}, {1.5f, 5}, {4, 5}, {4, 1}};
  canvas.fill({&square, 1}, {200, 100, 50}, 1);
  const auto red = [&](int x, int y) { return int{canvas.rgb()[static_cast<std::size_t>(y * 6 + x) * 3]}; };
  CHECK(red(2, 2) == 200);
  CHECK(red(1, 2) == 100);
  CHECK(red(4, 2) == 0);
  CHECK(red(2, 0) == 0);
  CHECK(red(2, 5) == 0);
}

TEST_CASE("drawing stays inside the picture, whatever the sizes") {
  const auto [width, height] = GENERATE(std::pair{1, 1}, std::pair{2000, 1}, std::pair{1, 900}, std::pair{40, 30});
  const std::vector<std::uint8_t> rgb(std::size_t{3} * width * height, 128);
  const float w = static_cast<float>(width), h = static_cast<float>(height);
  Answer answer{.kind = AnswerKind::boxes, .text = {}, .items = {}};
  answer.items.push_back({"a label that is far too long for such a picture", Box{0, 0, w, h}, 0.9f});
  answer.items.push_back({"outside", Box{-1e6f, -1e6f, 1e6f, 1e6f}, 0.9f});
  answer.items.push_back({"text", Quad{Point{0, 0}, {w, 0}, {w, h}, {0, h}}, 0.9f});
  answer.items.push_back({"", Polygons{{}, {{1, 1}}, {{0, 0}, {w, 0}, {w, h}}}, 0.9f});
  const Canvas canvas = draw_answer({rgb.data(), width, height, 3 * width}, answer);
  CHECK(canvas.width() % width == 0);
  CHECK(canvas.rgb().size() == std::size_t{3} * canvas.width() * canvas.height());
  const auto png = encode_png(canvas);
  REQUIRE(png);
  const auto back = Picture::decode(std::as_bytes(std::span(*png)), "png");
  REQUIRE(back);
  CHECK(back->rgb == canvas.rgb());
}

TEST_CASE("narrow pictures are enlarged, too, as far as files stay handy") {
  CHECK(enlargement(240, 352) == 3);
  CHECK(enlargement(20, 900) == 9);
  CHECK(enlargement(900, 100) == 3);
  CHECK(enlargement(1, 60000) == 1);
  CHECK(enlargement(1920, 1080) == 1);
}

TEST_CASE("a label that is too long is cut, its score is not") {
  Answer answer{.kind = AnswerKind::boxes, .text = {}, .items = {}};
  answer.items.push_back({std::string(200, 'x'), Box{10, 10, 300, 300}, 0.75f});
  answer.items.push_back({"", Box{10, 10, 300, 300}, 0.5f});
  const Scene scene = make_scene(400, 400, answer);
  REQUIRE(scene.plates.size() == 2);
  CHECK(scene.plates[0].text.starts_with("xxx"));
  CHECK(scene.plates[0].text.ends_with("x... 0.75"));
  CHECK(scene.plates[1].text == "0.50");
  for (const Plate& plate : scene.plates) CHECK(plate.box.x1 <= 400);
}

TEST_CASE("a caption becomes a strip below the picture") {
  const std::vector<std::uint8_t> rgb(std::size_t{3} * 100 * 50, 128);
  const ImageView view{rgb.data(), 100, 50, 300};
  const Canvas plain = draw_answer(view, {.kind = AnswerKind::text, .text = {}, .items = {}});
  const Canvas one = draw_answer(view, {.kind = AnswerKind::text, .text = "A dog.", .items = {}});
  const std::string words =
      "word " + std::string(300, 'x') + " and more words that fill several lines of the strip, surely";
  const Canvas many = draw_answer(view, {.kind = AnswerKind::text, .text = words, .items = {}});
  CHECK(plain.height() == 400);
  CHECK(one.height() > plain.height());
  CHECK(many.height() > one.height());
}

TEST_CASE("text has a width in any font, and fits where it must") {
  Font font(20);
  const bool built_in = GENERATE(false, true);
  if (built_in) font.use_built_in();
  CHECK(font.width("") == 0);
  CHECK(font.width("ab") > font.width("a"));
  CHECK(font.width("é中") > 0);
  const std::string shorter = fit(font, "abcdefghij", font.width("abcde") + 1);
  CHECK(shorter == "abcde");
  Canvas canvas(60, 24, {255, 255, 255});
  font.draw(canvas, 2, 2, "Hg", {0, 0, 0});
  CHECK(std::count(canvas.rgb().begin(), canvas.rgb().end(), 0) > 60);
}

}  // namespace
}  // namespace florence2
