// The program as a user meets it: exit codes, messages, formats. Everything runs on the demo checkpoint.
#include <catch2/catch.hpp>
#include <csignal>

#include "model/florence2.hpp"
#include "tests/checkpoint_file.hpp"
#include "tests/program.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"

namespace florence2 {
namespace {

using test::Child;
using test::ChildOptions;
using test::florence2;
using test::TempFolder;
using test::Words;
using namespace test::program;

TEST_CASE("wrong options and values are one line and exit code 64") {
  const std::string image = picture(1);
  const Row rows[] = {
      {"no picture", {}, 64, "no picture given"},
      {"43: text missing",
       {"-p", "CAPTION_TO_PHRASE_GROUNDING", image},
       64,
       "task <CAPTION_TO_PHRASE_GROUNDING> needs text: --text"},
      {"43: region missing", {"-p", "region_to_category", image}, 64, "task <REGION_TO_CATEGORY> needs a region"},
      {"44: text not taken", {"-p", "od", "--text", "a cat", image}, 64, "task <OD> takes no text"},
      {"text and region",
       {"-p", "region_to_category", "--text", "<loc_1><loc_2><loc_3><loc_4>", "--region", "1,1,2,2", image},
       64,
       "task <REGION_TO_CATEGORY> needs either --text or --region, not both"},
      {"44: region not taken", {"-p", "od", "--region", "1,2,3,4", image}, 64, "task <OD> takes no region"},
      {"45: unknown task", {"-p", "cption", image}, 64, "unknown task \"cption\"; did you mean \"<CAPTION>\"?"},
      {"46: not four numbers",
       {"-p", "region_to_ocr", "--region", "1,2,3", image},
       64,
       "--region: must be four numbers"},
      {"46: corners swapped", {"-p", "region_to_ocr", "--region", "9,2,3,4", image}, 64, "X0 ≤ X1"},
      {"46: bin over 999", {"-p", "region_to_ocr", "--text", "<loc_1><loc_2><loc_3><loc_1000>", image}, 64, "0-999"},
      {"47: beams 0", {"--beams", "0", image}, 64, "--beams: must be 1…16, found \"0\""},
      {"47: beams 10^6", {"--beams", "1000000", image}, 64, "--beams: must be 1…16"},
      {"47: no new tokens", {"--max-new-tokens", "0", image}, 64, "--max-new-tokens: must be 1…"},
      {"47: 10^9 new tokens", {"--max-new-tokens", "1000000000", image}, 64, "--max-new-tokens: must be 1…"},
      {"47: threads -1", {"-t", "-1", image}, 64, "--threads: must be 1…1024, found \"-1\""},
      {"n-gram", {"--no-repeat-ngram", "x", image}, 64, "--no-repeat-ngram: must be 0…"},
      {"length penalty", {"--length-penalty", "nan", image}, 64, "--length-penalty: must be a number"},
      {"early stopping", {"--early-stopping", "maybe", image}, 64, "must be one of true, false, never"},
      {"format",
       {"-f", "xml", image},
       64,
       "--format: must be one of text, json, jsonl, csv, coco, yolo, voc, labelme, svg, txt, found \"xml\""},
      {"compat", {"--compat", "onnx", image}, 64, "must be one of none, hf, ms"},
      {"precision",
       {"--precision", "fp7", image},
       64,
       "--precision: must be one of auto, fp32, bf16, int8, or name parts"},
      {"precision of a part", {"--precision", "vision=bf16,audio=int8", image}, 64, "--precision: must be one of"},
      {"draw", {"--draw", "a.tiff", image}, 64, "--draw: must end in .png, .jpg or .svg"},
      {"91: unknown option", {"--treads", "2", image}, 64, "unknown option \"--treads\"; did you mean \"--threads\"?"},
      {"91: for bench", {"bench", "--bacth", "4"}, 64, "unknown option \"--bacth\"; did you mean \"--batch\"?"},
      {"a name from other engines", {"--beam-size", "99", image}, 64, "--beams: must be 1…16"},
      {"a mistyped command", {"benhc"}, 64, "no command \"benhc\"; did you mean \"bench\"?"},
      {"several files without a folder", {"-f", "coco", image}, 64, "--format: coco writes several files"},
      {"stream as JSON", {"--stream", "-f", "json", image}, 64, "--stream: goes with --format text"},
      {"min score", {"--min-score", "2", image}, 64, "--min-score: must be a number in 0…1"},
      {"an empty class", {"--classes", "a,,b", image}, 64, "--classes: a part of \"a,,b\" is empty"},
      {"temperature", {"--temperature", "0", image}, 64, "--temperature: must be a number in"},
      {"answer kind", {"--prompt", "x", "--answer", "circles", image}, 64, "--answer: must be one of text, boxes"},
      {"completion", {"completion", "tcsh"}, 64, "one of bash, zsh, fish is needed"},
      {"91: twice", {"--beams", "1", "--beams", "2", image}, 64, "--beams: given twice"},
      {"91: flag twice", {"-q", "-q", image}, 64, "--quiet: given twice"},
      {"91: value missing", {image, "--text"}, 64, "--text: needs a value"},
      {"an empty picture", {""}, 64, "IMAGE: must not be empty"},
      {"an empty output", {"-o", "", image}, 64, "--output: must not be empty"},
      {"an empty output and =", {"--output=", image}, 64, "--output: must not be empty"},
      {"an empty name from other engines", {"--output-file=", image}, 64, "--output: must not be empty"},
      {"an empty text", {"--text", "", image}, 64, "--text: must not be empty"},
      {"an empty prompt", {"--prompt=", image}, 64, "--prompt: must not be empty"},
      {"an empty model", {"-m", "", image}, 64, "--model: must not be empty"},
      {"an empty drawing", {"--draw=", image}, 64, "--draw: must"},
      {"an empty folder for masks", {"--masks", "", image}, 64, "--masks: must not be empty"},
      {"an empty folder for crops", {"--crops=", image}, 64, "--crops: must not be empty"},
      {"sampling beams", {"--sample", "--beams", "3", image}, 64, "--beams: must be 1 when sampling, found \"3\""},
      {"least above most",
       {"--min-new-tokens", "9", "--max-new-tokens", "5", image},
       64,
       "--min-new-tokens: must be at most --max-new-tokens, found \"9\" and \"5\""},
      {"answer without prompt", {"--answer", "boxes", "-p", "od", image}, 64, "--answer: goes with --prompt"},
      {"lines of a caption",
       {"--ocr-lines", "-p", "caption", image},
       64,
       "--ocr-lines: goes with tasks that find text"},
      {"classes of a caption", {"--classes", "a", "-p", "caption", image}, 64, "--classes: task <CAPTION> does not"},
      {"classes without labels",
       {"--classes", "a", "-p", "region_proposal", image},
       64,
       "--classes: task <REGION_PROP"},
      {"a class with a tag", {"--classes", "a,b<x", image}, 64, "--classes: class \"b<x\" must be text without '<'"},
      {"boxes of a caption",
       {"-p", "caption", "-f", "yolo", "-o", "out", image},
       64,
       "--format: yolo holds boxes and outlines, task <CAPTION> answers with text"},
      {"extra argument", {"info", "what"}, 64, "unexpected argument \"what\""},
      {"standard input twice", {"-q", "-", "-"}, 64, "standard input (-) can be read only once"},
      {"parse without size", {"parse", "-p", "od"}, 64, "--size: is needed"},
      {"parse size", {"parse", "-p", "od", "--size", "640"}, 64, "--size: must be WIDTHxHEIGHT"},
      {"preprocess without output", {"preprocess", image}, 64, "--output: is needed"},
      {"bench size and model", {"bench", "--size", "base", "-m", "x"}, 64, "--size: goes with random weights"},
  };
  for (const Row& row : rows) check(row);
}

TEST_CASE("inputs, outputs and devices that are not there have their own exit codes") {
  const TempFolder folder, empty;
  const std::string image = picture(1);
  const Row rows[] = {
      {"48: missing file", {"-q", folder.file("no.png")}, 66, "no.png"},
      {"48: pattern", {"-q", empty.file("*.png")}, 66, "matched no files"},
      {"74: empty folder", {"-q", empty.path()}, 66, "no images found in"},
      {"1: model missing", {"-m", folder.file("nowhere"), image}, 66, "nowhere"},
      {"a file of a model",
       {"-m", test::source_dir() + "/weights/demo/config.json", image},
       66,
       "config.json: is a file; name its folder"},
      {"a URL", {"-q", "https://example.com/a.png?b"}, 65, "a.png?b: URLs are not fetched; download it first"},
      {"75: annotated picture in a missing folder",
       {"-q", "--draw", folder.file("no/a.png"), image},
       73,
       "no/a.png: cannot create the file"},
      {"75: output in a missing folder", {"-q", "-o", folder.file("no/a.json"), image}, 73, "cannot create the file"},
      {"75: output is a folder", {"-q", "-o", folder.path(), image}, 73, "cannot create the file"},
      {"75: a file system that takes no files", {"-q", "-o", "/proc/a.json", image}, 73, "/proc/a.json: cannot create"},
      {"75: a folder that takes no files",
       {"-q", "-f", "coco", "-o", "/proc", image},
       73,
       "/proc: cannot create the file"},
      {"75: for masks", {"-q", "--masks", "/proc", image}, 73, "/proc: cannot create the file"},
      {"75: for annotated pictures", {"-q", "--draw", "/proc/", image}, 73, "/proc/: cannot create the file"},
      {"77: disk full", {"-q", "-o", "/dev/full", image}, 74, "no space left"},
      {"88: GPU", {"--device", "gpu", image}, 69, "no supported GPU"},
      {"a later command", {"serve"}, 69, "no command serve"},
      {"50: not a picture", {"-q", folder.write("a.png", "%PDF-1.4 hello")}, 65, "a.png"},
      {"49: empty picture", {"-q", folder.write("b.png", "")}, 65, "empty"},
      {"41: prompt not UTF-8",
       {"-p", "open_vocabulary_detection", "--text", "a\xff", image},
       65,
       "--text: not valid UTF-8 at byte 1"},
      {"41: class not UTF-8", {"--classes", "a\xff", image}, 65, "--classes: not valid UTF-8"},
      {"42: long prompt", {"-q", "--prompt", std::string(100'000, 'a') + " b", image}, 76, "limit"},
      {"46: region outside", {"-q", "-p", "region_to_ocr", "--region", "0,0,9999,9", image}, 64, "inside 240x352"},
      {"55: pixels", {"-q", "--max-pixels", "1000", image}, 76, "limit 1,000"},
      {"92: control characters", {"-q", folder.file("\x1b[31mred\n.png")}, 66, "\\x1b[31mred\\x0a.png"},
  };
  for (const Row& row : rows) check(row);
}

TEST_CASE("limits and pipes of the shell") {
  SECTION("77: standard output is full") {
    const Child child = shell("\"$0\" -q \"$1\" >/dev/full");
    CHECK(child.status == 74);
    CHECK(child.err == "florence2: error: standard output: no space left; free space and try again\n");
  }
  SECTION("77: for help and version") {
    const char* option = GENERATE("--help", "--version", "bench --help");
    const Child child = shell(std::string("\"$0\" ") + option + " >/dev/full");
    CHECK(child.status == 74);
    CHECK(child.err == "florence2: error: standard output: no space left; free space and try again\n");
  }
  SECTION("89: the reader leaves") {
    const Child child = shell("(\"$0\" -q \"$1\"; echo \"status $?\" >&2) | true");
    CHECK(child.err == "status 0\n");
  }
  SECTION("89: of a help text") {
    const char* command = GENERATE("", "compare", "info");
    const Child child = shell(std::string("(sleep 0.1; \"$0\" ") + command + " --help; echo \"status $?\" >&2) | true");
    CHECK(child.err == "status 0\n");
  }
}

#ifndef FLORENCE2_SANITIZED  // its shadow needs terabytes of address space
TEST_CASE("84: not enough memory") {
  const Child child = shell("ulimit -v 60000; \"$0\" -q \"$1\"");
  CHECK(child.status == 76);
  CHECK(child.err.find("needs at least 0.08 GB of memory, the limit is 0.06 GB") != std::string::npos);
}
#endif

TEST_CASE("90: the first signal ends the run after the current step") {
  const auto [signal, status] = GENERATE(std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}, std::pair{SIGHUP, 129});
  ChildOptions options;
  options.signal_on_error_output = signal;  // at the note about the demo checkpoint
  const Child child = florence2({"-f", "json", "-"}, options);
  INFO(child.err);
  CHECK(child.status == status);
  CHECK(child.err.ends_with("florence2: stopped; 0 of 1 pictures done\n"));
  CHECK(child.out == "[]\n");
}

TEST_CASE("help and version ask nothing of a model") {
  const ChildOptions nowhere{.environment = {"FLORENCE2_MODEL=/nowhere"}};
  for (const char* command : {"run", "bench", "info", "tokenize", "parse", "preprocess", "help", "completion"}) {
    const Child help = florence2({command, "--help"}, nowhere);
    INFO(command);
    CHECK(help.status == 0);
    CHECK(help.err.empty());
    CHECK(help.out.find("--help") != std::string::npos);
    CHECK(help.out.find(std::string("florence2 ") + (std::string(command) == "run" ? "photo.jpg" : command)) !=
          std::string::npos);
  }
  const Child help = florence2({"-h"});
  for (const TaskInfo& info : all_tasks()) {
    std::string name(info.token.substr(1, info.token.size() - 2));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    CHECK(help.out.find("\n  " + name + " ") != std::string::npos);
  }
  const Child about = florence2({"--version"}, nowhere);
  CHECK(about.out.starts_with("florence2 " + version() + "\ncommit "));
  for (const char* part : {"instruction sets built in: scalar", ", in use: "}) {
    CHECK(about.out.find(part) != std::string::npos);
  }
}

TEST_CASE("the demo checkpoint is announced, and --quiet keeps standard error empty") {
  const Child noted = florence2({picture(1)});
  CHECK(noted.status == 0);
  CHECK(noted.err.find("using the demo checkpoint") != std::string::npos);
  CHECK(noted.err.find("florence2 download base") != std::string::npos);
  for (const std::string& line : lines_of(noted.err)) CHECK(line.starts_with("florence2: note: "));
  const Child quiet = florence2({"--quiet", picture(1)});
  CHECK(quiet.err.empty());
  CHECK(quiet.out == noted.out);
  const std::string named = test::source_dir() + "/weights/demo";
  CHECK(florence2({"-m", named, picture(1)}).err.empty());
  CHECK(florence2({picture(1)}, {.environment = {"FLORENCE2_MODEL=" + named}}).err.empty());
}

TEST_CASE("the environment names threads, the option wins") {
  const Words arguments = {"-q", "--beams", "1", picture(1)};
  const Child wrong = florence2(arguments, {.environment = {"FLORENCE2_THREADS=many"}});
  CHECK(wrong.status == 64);
  CHECK(wrong.err == "florence2: error: FLORENCE2_THREADS: must be 1…1024, found \"many\"\n");
  const Words bench = {"bench", "-m", test::source_dir() + "/weights/demo", "--rounds", "1", "--format", "json"};
  const Child one = florence2(bench, {.environment = {"FLORENCE2_THREADS=1"}});
  CHECK(test::int_of(test::at(parsed(one.out), "threads")) == 1);
  Words named = bench;
  named.insert(named.end(), {"-t", "2"});
  const Child two = florence2(named, {.environment = {"FLORENCE2_THREADS=many"}});
  CHECK(test::int_of(test::at(parsed(two.out), "threads")) == 2);
}

TEST_CASE("87: the scalar kernels are announced and give the same answer") {
  const Words arguments = {"-m", test::source_dir() + "/weights/demo", "-p", "caption", picture(1)};
  const Child scalar = florence2(arguments, {.environment = {"FLORENCE2_ISA=scalar"}});
  CHECK(scalar.status == 0);
  CHECK(scalar.err == "florence2: note: using the scalar kernels (slow)\n");
  CHECK(scalar.out == florence2(arguments).out);
  const Child unknown = florence2(arguments, {.environment = {"FLORENCE2_ISA=mmx"}});
  CHECK(unknown.status == 64);
  CHECK(unknown.err.find("mmx") != std::string::npos);
}

TEST_CASE("JSON of a run holds what the contract names, in its order") {
  const Child child = florence2({"-q", "-f", "json", "--precision", "fp32", "-p", "OD", "-p", "<caption>", "-p",
                                 "region_to_category", "--region", "138,247,198,300", picture(1)});
  REQUIRE(child.status == 0);
  const json::Value answers = parsed(child.out);
  REQUIRE(answers.array() != nullptr);
  REQUIRE(answers.array()->size() == 3);
  const json::Value& detection = answers.array()->at(0);
  CHECK(keys_of(detection) == Words{"image", "width", "height", "task", "prompt", "answer", "items", "text",
                                    "token_ids", "score", "confidence", "finish_reason", "precision", "timings_ms"});
  CHECK(test::text_of(test::at(detection, "image")) == picture(1));
  CHECK(test::int_of(test::at(detection, "width")) == 240);
  CHECK(test::int_of(test::at(detection, "height")) == 352);
  CHECK(test::text_of(test::at(detection, "task")) == "<OD>");
  CHECK(test::text_of(test::at(detection, "prompt")) == "Locate the objects with category name in the image.");
  CHECK(keys_of(test::at(detection, "answer")) == Words{"bboxes", "labels"});
  CHECK(keys_of(test::at(detection, "timings_ms")) ==
        Words{"decode_image", "preprocess", "vision", "prefill", "generate"});
  CHECK(test::text_of(test::at(detection, "precision")) == "fp32");
  CHECK(test::text_of(test::at(detection, "finish_reason")) == "stop");
  CHECK(test::number_of(test::at(detection, "score")) < 0);

  const auto ids = test::ids_of(test::at(detection, "token_ids"));
  CHECK(ids.front() == 2);
  CHECK(ids.back() == 2);
  const json::Array& labels = *test::at(test::at(detection, "answer"), "labels").array();
  const json::Array& items = *test::at(detection, "items").array();
  REQUIRE(items.size() == labels.size());
  REQUIRE(items.size() == 3);  // a sign, a hexagon and a heart
  for (std::size_t i = 0; i < items.size(); ++i) {
    CHECK(keys_of(items[i]) == Words{"label", "box", "score", "label_score"});
    CHECK(test::text_of(test::at(items[i], "label")) == test::text_of(labels[i]));
    CHECK(test::at(items[i], "box").array()->size() == 4);
    const double score = test::number_of(test::at(items[i], "score"));
    CHECK((score > 0 && score <= 1));
  }

  CHECK(test::at(answers.array()->at(1), "answer").string() != nullptr);
  const json::Value& category = answers.array()->at(2);
  CHECK(test::at(category, "region").array()->size() == 4);
  CHECK(test::text_of(test::at(category, "answer")).starts_with("heart"));
}

TEST_CASE("one picture's failure does not stop the others") {
  const TempFolder folder;
  const std::string broken = folder.write("broken.png", "not a picture"), missing = folder.file("missing.png");
  const Child child = florence2({"-q", "-f", "jsonl", "-p", "od", broken, picture(2), "-i", missing, picture(3)});
  CHECK(child.status == 65);  // of the first
  const Words lines = lines_of(child.out);
  REQUIRE(lines.size() == 4);
  const json::Value failed = parsed(lines[0]);
  CHECK(keys_of(failed) == Words{"image", "task", "error"});
  CHECK(test::text_of(test::at(failed, "image")) == broken);
  CHECK(test::int_of(test::at(test::at(failed, "error"), "code")) == 65);
  CHECK(!test::text_of(test::at(test::at(failed, "error"), "message")).empty());
  CHECK(test::text_of(test::at(parsed(lines[1]), "image")) == picture(2));
  CHECK(test::int_of(test::at(test::at(parsed(lines[2]), "error"), "code")) == 66);
  CHECK(test::text_of(test::at(parsed(lines[3]), "image")) == picture(3));
  CHECK(lines_of(child.err).size() == 2);
}

TEST_CASE("text: a caption alone is plain, several answers get headings, things a table") {
  const Child caption = florence2({"-q", picture(1)});
  CHECK(lines_of(caption.out).size() == 1);
  CHECK(caption.out.find("==") == std::string::npos);
  const Child several = florence2({"-q", "-p", "caption", "-p", "dense_region_caption", picture(1)});
  const Words lines = lines_of(several.out);
  REQUIRE(lines.size() >= 6);
  CHECK(lines[0] == "== " + picture(1) + "  <CAPTION>");
  CHECK(lines[1] + "\n" == caption.out);
  CHECK(lines[2].empty());
  CHECK(lines[3] == "== " + picture(1) + "  <DENSE_REGION_CAPTION>");
  CHECK(lines[4].starts_with("label"));
  CHECK(lines[4].ends_with("score"));
  for (std::size_t i = 5; i < lines.size(); ++i) CHECK(lines[i].size() == lines[4].size());
}

TEST_CASE("a picture from standard input, answers to a file") {
  const TempFolder folder;
  const std::string file = folder.write("answers.jsonl", "old");
  const ChildOptions input{.input = contents(picture(1))};
  const Child child = florence2({"-q", "-f", "jsonl", "-o", file, "-"}, input);
  CHECK(child.status == 0);
  CHECK(child.out.empty());
  const json::Value answer = parsed(contents(file));
  CHECK(test::text_of(test::at(answer, "image")) == "-");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);  // no temporary file is left
}

TEST_CASE("annotated pictures are written, with a name for each when there are several") {
  const TempFolder folder;
  REQUIRE(florence2({"-q", "-p", "od", "--draw", folder.file("one.png"), picture(1)}).status == 0);
  const auto one = Picture::open(folder.file("one.png"));
  REQUIRE(one);
  CHECK(one->width == 720);  // three times the picture
  CHECK(one->height == 1056);
  const Child several = florence2({"-q", "--beams", "1", "--max-new-tokens", "20", "-p", "caption", "-p",
                                   "region_to_segmentation", "--region", "5,5,50,50", "--region", "60,60,90,90",
                                   "--draw", folder.file("a.png"), picture(1), picture(2)});
  REQUIRE(several.status == 0);
  for (const char* name : {"a-scene-1-caption.png", "a-scene-2-caption.png", "a-scene-1-region_to_segmentation.png",
                           "a-scene-1-region_to_segmentation-2.png", "a-scene-2-region_to_segmentation-2.png"}) {
    INFO(name);
    CHECK(Picture::open(folder.file(name)));
  }
}

TEST_CASE("folders stand for the pictures in them") {
  const Child child = florence2({"-q", "-f", "jsonl", "--beams", "1", test::source_dir() + "/weights/demo/images"});
  CHECK(child.status == 0);
  const Words lines = lines_of(child.out);
  REQUIRE(lines.size() >= 5);
  CHECK(test::text_of(test::at(parsed(lines[0]), "image")) == picture(1));
  CHECK(test::text_of(test::at(parsed(lines[4]), "image")) == picture(5));
}

TEST_CASE("timings and verbose notes go to standard error") {
  const Child child = florence2({"--timings", "-v", picture(1)});
  CHECK(child.status == 0);
  CHECK(lines_of(child.out).size() == 1);
  for (const char* part : {"load", "vision", "prefill", "generate", "peak memory", "instruction sets", "parameters"}) {
    INFO(part);
    CHECK(child.err.find(part) != std::string::npos);
  }
}

TEST_CASE("tokenize goes to ids and back, and answers bad lines in place") {
  const Child ids = florence2({"tokenize", "-q"}, {.input = "\"A red sign\"\n42\n\"<loc_7>\"\n"});
  CHECK(ids.status == 65);
  const Words lines = lines_of(ids.out);
  REQUIRE(lines.size() == 3);
  CHECK(test::int_of(test::at(test::at(parsed(lines[1]), "error"), "code")) == 65);
  CHECK(ids.err == "florence2: error: line 2: must be a string, found a number\n");
  const Child text = florence2({"tokenize", "-q", "--decode"}, {.input = lines[0] + "\n" + lines[2] + "\n"});
  CHECK(text.out == "\"<s>A red sign</s>\"\n\"<s><loc_7></s>\"\n");
  const Child wrong = florence2({"tokenize", "-q", "--decode"}, {.input = "[-1]\n[4294967296]\n[99999]\n[\"a\"]\n"});
  CHECK(wrong.status == 65);
  const Words errors = lines_of(wrong.err);
  REQUIRE(errors.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    const char* const found[] = {"-1", "4294967296", "99999", "\"a\""};
    CHECK(errors[i] ==
          "florence2: error: line " + std::to_string(i + 1) + ": ids are 0…1754 in this vocabulary, found " + found[i]);
  }
  const Child plain = florence2({"tokenize", "-q", "--decode", "--skip-special"}, {.input = lines[0] + "\n"});
  CHECK(plain.out == "\"A red sign\"\n");
}

TEST_CASE("parse turns text into answers in any compat mode") {
  const ChildOptions input{.input = "\"</s><s>car<loc_52><loc_332><loc_932><loc_774></s>\"\n"};
  const Child ours = florence2({"parse", "-p", "od", "--size", "640x480"}, input);
  CHECK(ours.status == 0);
  CHECK(ours.err.empty());
  const json::Value answer = parsed(ours.out);
  CHECK(keys_of(answer) == Words{"bboxes", "labels"});
  const json::Array& box = *test::at(answer, "bboxes").array()->at(0).array();
  const double expected[] = {33.6, 159.6, 596.8, 371.76};  // (bin + 0.5) * side / 1000
  for (std::size_t i = 0; i < 4; ++i) CHECK(test::number_of(box[i]) == Approx(expected[i]).epsilon(1e-6));
  const Child hf = florence2({"parse", "-p", "od", "--size", "640x480", "--compat", "hf"}, input);
  CHECK(hf.out == "{\"bboxes\":[[33,159,596,371]],\"labels\":[\"car\"]}\n");
}

TEST_CASE("preprocess writes NumPy arrays of each stage") {
  const TempFolder folder;
  struct Stage {
    const char* name;
    const char* header;
    std::size_t bytes;
  };
  for (const Stage& stage :
       {Stage{"rgb", "'|u1', 'fortran_order': False, 'shape': (352, 240, 3, )", 352 * 240 * 3},
        Stage{"resized", "'|u1', 'fortran_order': False, 'shape': (256, 256, 3, )", 256 * 256 * 3},
        Stage{"pixels", "'<f4', 'fortran_order': False, 'shape': (3, 256, 256, )", 256 * 256 * 12}}) {
    const std::string file = folder.file("out.npy");
    const Child child = florence2({"preprocess", "-q", "--stage", stage.name, picture(1), "-o", file});
    INFO(stage.name << " " << child.err);
    REQUIRE(child.status == 0);
    const std::string bytes = contents(file);
    CHECK(bytes.starts_with(std::string("\x93NUMPY\x01\x00", 8)));
    CHECK(bytes.find(stage.header) != std::string::npos);
    CHECK(bytes.size() % 64 == stage.bytes % 64);
    CHECK(bytes.size() == stage.bytes + 128);
  }
}

TEST_CASE("info says what an adapter changes") {
  const test::TempFolder folder;
  const std::string module = "model.language_model.decoder.layers.0.self_attn.q_proj";
  test::CheckpointFile file;
  const json::Value plain = parsed(florence2({"info", "-q", "--format", "json"}).out);
  const std::int64_t d = test::int_of(test::at(test::at(plain, "model"), "d_model"));
  file.add("base_model.model." + module + ".lora_A.weight", {1, d}, DType::f32);
  file.add("base_model.model." + module + ".lora_B.weight", {d, 1}, DType::f32);
  folder.write("adapter_model.safetensors", file.bytes());
  folder.write("adapter_config.json", R"({"peft_type":"LORA","r":1,"lora_alpha":1,"target_modules":["q_proj"]})");

  const Child text = florence2({"info", "-q", "--adapter", folder.path() + ":0.5"});
  INFO(text.err);
  REQUIRE(text.status == 0);
  CHECK(text.out.find(folder.path() + ", scale 0.5: 1 modules (1 q_proj)\n") != std::string::npos);
  const json::Value info = parsed(florence2({"info", "-q", "--format", "json", "--adapter", folder.path()}).out);
  const json::Array& adapters = *test::at(test::at(info, "model"), "adapters").array();
  REQUIRE(adapters.size() == 1);
  CHECK(test::text_of(test::at(adapters[0], "directory")) == folder.path());
  CHECK(test::number_of(test::at(adapters[0], "scale")) == 1);
  CHECK(test::text_of((*test::at(adapters[0], "modules").array())[0]) == module);

  const Child bench = florence2({"bench", "--adapter", folder.path()});
  CHECK(bench.status == 64);
  CHECK(bench.err.find("--adapter: goes with --model") != std::string::npos);
}

TEST_CASE("info and bench report in JSON") {
  const json::Value info = parsed(florence2({"info", "-q", "--format", "json"}).out);
  CHECK(keys_of(info) == Words{"version", "build", "system", "model"});
  CHECK(test::int_of(test::at(test::at(info, "model"), "image_side")) == 256);
  CHECK(test::int_of(test::at(test::at(info, "system"), "threads")) >= 1);

  const Child bench = florence2({"bench", "-m", test::source_dir() + "/weights/demo", "--rounds", "1", "--beams", "2",
                                 "-t", "1", "--format", "json"});
  INFO(bench.err);
  REQUIRE(bench.status == 0);
  CHECK(bench.err.empty());
  const json::Value report = parsed(bench.out);
  CHECK(keys_of(report) == Words{"size", "precision", "threads", "isa", "rounds", "vision_ms", "preprocess_ms",
                                 "prefill_ms", "decode_ms_per_token", "caption20_ms", "peak_rss_mb", "load_ms", "beams",
                                 "batch"});
  for (const char* stage : {"vision_ms", "preprocess_ms", "prefill_ms", "decode_ms_per_token", "caption20_ms"}) {
    CHECK(keys_of(test::at(report, stage)) == Words{"median", "min", "max"});
    CHECK(test::number_of(test::at(test::at(report, stage), "median")) > 0);
  }
  CHECK(test::number_of(test::at(report, "load_ms")) > 0);
  CHECK(test::int_of(test::at(report, "threads")) == 1);
}

}  // namespace
}  // namespace florence2
