// `florence2 run`: many inputs, many outputs, options of answers. Everything runs on the demo checkpoint.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "model/convert.hpp"
#include "model/florence2.hpp"
#include "tests/program.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

using test::Child;
using test::florence2;
using test::TempFolder;
using test::Words;
using namespace test::program;

/// The images of JSON lines.
Words images_of(const std::string& lines) {
  Words images;
  for (const std::string& line : lines_of(lines)) images.push_back(test::text_of(test::at(parsed(line), "image")));
  return images;
}

/// JSON lines without what differs from run to run.
Words answers_of(const std::string& lines) {
  Words answers;
  for (const std::string& line : lines_of(lines)) answers.push_back(line.substr(0, line.find(",\"timings_ms\"")));
  return answers;
}

/// A folder with pictures at two depths, a hidden one, and a file that is none.
struct Tree {
  TempFolder folder;
  Tree() {
    fs::create_directories(folder.file("in/deeper"));
    fs::copy(picture(1), folder.file("in/b.png"));
    fs::copy(picture(2), folder.file("in/deeper/a.PNG"));
    fs::copy(picture(3), folder.file("in/.hidden.png"));
    folder.write("in/notes.txt", "no picture");
  }
};

TEST_CASE("folders are walked when asked, in the order of their names") {
  const Tree tree;
  const std::string in = tree.folder.file("in");
  const Words quick = {"-q", "-f", "jsonl", "--beams", "1", "--max-new-tokens", "4"};
  Words flat = quick, deep = quick;
  flat.push_back(in);
  deep.insert(deep.end(), {"-r", in});
  CHECK(images_of(florence2(flat).out) == Words{in + "/b.png"});
  CHECK(images_of(florence2(deep).out) == Words{in + "/b.png", in + "/deeper/a.PNG"});
  fs::remove(in + "/b.png");
  fs::create_symlink("nowhere.png", in + "/gone.png");
  const Child broken = florence2(flat);
  CHECK(broken.status == 66);
  CHECK(broken.err == "florence2: error: " + in + "/gone.png: no such file\n");
  fs::remove(in + "/gone.png");
  const Child none = florence2(flat);
  CHECK(none.status == 66);
  CHECK(none.err == "florence2: error: " + in + ": no images found in this folder; -r looks into its folders, too\n");
}

TEST_CASE("folders and patterns without pictures are failures of their own") {
  const TempFolder empty;
  const std::string pattern = empty.file("*.png");
  const Child child = florence2({"-q", "-f", "jsonl", "--beams", "1", picture(1), empty.path(), pattern, picture(2)});
  CHECK(child.status == 66);
  CHECK(child.err == "florence2: error: " + empty.path() + ": no images found in this folder\nflorence2: error: " +
                         pattern + ": this pattern matched no files\n");
  CHECK(images_of(child.out) == Words{picture(1), empty.path(), pattern, picture(2)});
}

TEST_CASE("lists of files have lines or NULs, and come from files or standard input") {
  const TempFolder folder;
  const Words quick = {"-q", "-f", "jsonl", "--beams", "1", "--max-new-tokens", "4", "--files-from"};
  Words from_file = quick, from_input = quick, empty = quick;
  from_file.push_back(folder.write("list", picture(1) + "\r\n\n" + picture(2) + "\n"));
  from_input.push_back("-");
  empty.push_back(folder.write("empty", "\n"));
  CHECK(images_of(florence2(from_file).out) == Words{picture(1), picture(2)});
  const test::ChildOptions input{.input = picture(2) + '\0' + picture(1)};
  CHECK(images_of(florence2(from_input, input).out) == Words{picture(2), picture(1)});
  CHECK(florence2(empty).status == 66);
  from_input.push_back("-");
  CHECK(florence2(from_input).err.find("standard input (-) can be read only once") != std::string::npos);
}

TEST_CASE("answers in batches are those one by one, failures in place") {
  const TempFolder folder;
  const std::string broken = folder.write("broken.png", "not a picture");
  Words one = {"-q", "-f", "jsonl", "-p", "od,caption", picture(1), broken, picture(2), picture(3)};
  Words batch = one;
  batch.insert(batch.end(), {"--batch", "3"});
  const Child alone = florence2(one), together = florence2(batch);
  CHECK(alone.status == 65);
  CHECK(together.status == 65);
  CHECK(answers_of(together.out).size() == 8);
  CHECK(answers_of(together.out) == answers_of(alone.out));
}

TEST_CASE("formats of several files take a folder and keep the folders of the pictures") {
  const Tree tree;
  const std::string out = tree.folder.file("out");
  REQUIRE(florence2({"-q", "-r", "-p", "od", "-f", "yolo", "-o", out, tree.folder.file("in")}).status == 0);
  CHECK(lines_of(contents(out + "/labels/b.txt")).size() == 3);
  CHECK(!contents(out + "/labels/deeper/a.txt").empty());
  CHECK(contents(out + "/data.yaml").find("  0: \"sign\"\n") != std::string::npos);
}

TEST_CASE("COCO tells pictures of the same name apart") {
  const TempFolder folder;
  Words ask = {"-q", "-p", "od", "--beams", "1", "-f", "coco", "-o", folder.file("out"), picture(1)};
  for (const char* below : {"a", "b"}) {
    fs::create_directory(folder.file(below));
    ask.push_back(folder.file(below) + "/same.png");
    fs::copy(picture(2), ask.back());
  }
  REQUIRE(florence2(ask).status == 0);
  Words names;
  const json::Value file = parsed(contents(folder.file("out/instances.json")));
  for (const json::Value& image : *test::at(file, "images").array()) {
    names.push_back(test::text_of(test::at(image, "file_name")));
  }
  CHECK(names == Words{"scene-1.png", folder.file("a/same.png"), folder.file("b/same.png")});
}

TEST_CASE("COCO keeps the number of a picture that comes again") {
  const TempFolder folder;
  const auto ask = [](int number, const char* task) {
    return "{\"image\": \"" + picture(number) + "\", \"task\": \"" + task + "\"}\n";
  };
  const std::string requests = folder.write("requests", ask(1, "od") + ask(2, "od") + ask(1, "caption"));
  REQUIRE(florence2({"-q", "--beams", "1", "-f", "coco", "-o", folder.path(), "--requests", requests}).status == 0);
  const json::Value file = parsed(contents(folder.file("captions.json")));
  CHECK(test::at(file, "images").array()->size() == 2);
  CHECK(json::dump(test::at(test::at(file, "annotations").array()->at(0), "image_id")) == "1");
}

TEST_CASE("SVG files show their pictures, whatever these are called and wherever they come from") {
  const TempFolder folder;
  const std::string colon = folder.file("photo-12:30.png");
  fs::copy(picture(1), colon);
  REQUIRE(florence2({"-q", "-p", "od", "--beams", "1", "-f", "svg", colon}).status == 0);
  CHECK(contents(folder.file("photo-12:30.svg")).find(" href=\"./photo-12:30.png\"") != std::string::npos);
  const Words from_input = {"-q", "-p", "od", "--beams", "1", "-f", "svg", "-o", folder.path(), "-"};
  REQUIRE(florence2(from_input, {.input = contents(picture(1))}).status == 0);
  CHECK(contents(folder.file("stdin.svg")).find(" href=\"data:image/jpeg;base64,/9j/") != std::string::npos);
}

TEST_CASE("a text about a region keeps the region") {
  const TempFolder folder;
  const auto caption_in = [&](const char* format, const char* file, const char* list) {
    const Child child = florence2({"-q", "-p", "region_to_category", "--region", "138,247,198,300", "-f", format, "-o",
                                   folder.path(), picture(1)});
    INFO(child.err);
    REQUIRE(child.status == 0);
    return json::dump(test::at(test::at(parsed(contents(folder.file(file))), list).array()->at(0), "region"));
  };
  CHECK(caption_in("coco", "captions.json", "annotations") == "[138,247,198,300]");
  CHECK(caption_in("labelme", "scene-1.json", "captions") == "[138,247,198,300]");
}

TEST_CASE("CSV is UTF-8, whatever files are called") {
  const TempFolder folder;
  const std::string name = folder.file("a\xff.png");
  fs::copy(picture(1), name);
  const Child child = florence2({"-q", "--beams", "1", "-f", "csv", name});
  CHECK(child.out.find("/a\xEF\xBF\xBD.png,240,352,") != std::string::npos);
}

TEST_CASE("what a format cannot hold is said") {
  const TempFolder folder;
  const Child child = florence2({"-m", test::source_dir() + "/weights/demo", "-p", "od,caption", "--beams", "1", "-f",
                                 "yolo", "-o", folder.path(), picture(1), picture(2)});
  CHECK(child.status == 0);
  CHECK(child.err == "florence2: note: yolo holds boxes and outlines: the text of caption is left out\n");
}

TEST_CASE("side-car files lie beside the pictures and are not replaced unasked") {
  const Tree tree;
  const Words arguments = {"-q", "-f", "txt", tree.folder.file("in")};
  const std::string file = tree.folder.file("in/b.txt");
  REQUIRE(florence2(arguments).status == 0);
  const std::string caption = contents(file);
  CHECK(caption.ends_with(".\n"));
  tree.folder.write("in/b.txt", "mine");
  const Child kept = florence2(arguments);
  CHECK(kept.status == 73);
  CHECK(kept.err == "florence2: error: " + file + ": exists already; --overwrite replaces it\n");
  CHECK(contents(file) == "mine");
  Words replacing = arguments;
  replacing.push_back("--overwrite");
  CHECK(florence2(replacing).status == 0);
  CHECK(contents(file) == caption);
}

TEST_CASE("annotated pictures, masks and parts") {
  const TempFolder folder;
  const Words ask = {"-q", "-p", "od", picture(1), "--draw"};
  const auto draw = [&](const std::string& name) {
    Words words = ask;
    words.push_back(folder.file(name));
    return florence2(words).status;
  };
  REQUIRE(draw("one.jpg") == 0);
  const auto jpeg = Picture::open(folder.file("one.jpg"));
  REQUIRE(jpeg);
  CHECK(jpeg->format == "JPEG");
  CHECK(jpeg->width == 720);
  REQUIRE(draw("one.svg") == 0);
  CHECK(contents(folder.file("one.svg")).find("data-label=\"hexagon\"") != std::string::npos);
  REQUIRE(draw("drawn") == 0);
  CHECK(Picture::open(folder.file("drawn/scene-1.png")));
  const Words parts = {
      "-q",      "-p", "od", "--precision", "fp32", "--masks", folder.file("m"), "--crops", folder.file("c"),
      picture(1)};  // other precisions may move an edge by a pixel
  REQUIRE(florence2(parts).status == 0);
  const auto map = Picture::open(folder.file("m/scene-1-map.png"));
  REQUIRE(map);
  CHECK(map->width == 240);
  const auto crop = Picture::open(folder.file("c/scene-1-2-hexagon.png"));
  REQUIRE(crop);
  CHECK((crop->width == 107 && crop->height == 95));  // 71.4…177.24, 87.12…181.1
}

TEST_CASE("a file that cannot be written costs its picture alone") {
  const TempFolder folder;
  fs::create_directories(folder.file("drawn/scene-2.png"));
  const std::string out = folder.file("all.json");
  Words ask = {"-q", "-p", "od", "-f", "json", "--beams", "1", "--draw", folder.file("drawn")};
  Words pictures = {picture(1), picture(2), picture(3)};
  ask.insert(ask.end(), pictures.begin(), pictures.end());
  Words to_file = ask;
  to_file.insert(to_file.end(), {"-o", out});
  const Child child = florence2(to_file);
  INFO(child.err);
  CHECK(child.status == 73);
  CHECK(lines_of(child.err).size() == 1);
  CHECK(child.err.find("drawn/scene-2.png: cannot create the file") != std::string::npos);
  const json::Value records = parsed(contents(out));
  REQUIRE(records.array()->size() == 3);
  for (const json::Value& record : *records.array()) CHECK(test::at(record, "items").array()->size() > 0);
  CHECK(Picture::open(folder.file("drawn/scene-3.png")));
  CHECK(parsed(florence2(ask).out).array()->size() == 3);
}

TEST_CASE("a full disk ends the run, and the other outputs are completed") {
  const TempFolder folder;
  fs::create_directories(folder.file("drawn"));
  fs::create_symlink("/dev/full", folder.file("drawn/scene-2.png"));
  const Child child = florence2({"-q", "-p", "od", "-f", "json", "--beams", "1", "--draw", folder.file("drawn"),
                                 picture(1), picture(2), picture(3)});
  INFO(child.err);
  CHECK(child.status == 74);
  CHECK(lines_of(child.err).size() == 1);
  CHECK(parsed(child.out).array()->size() == 2);
}

TEST_CASE("what was not asked leaves files as they were") {
  const TempFolder folder;
  const std::string out = folder.write("out.json", "mine");
  CHECK(florence2({"-q", "-f", "json", "-o", out, "-m", folder.file("nowhere"), picture(1)}).status == 66);
  CHECK(contents(out) == "mine");
}

TEST_CASE("pictures that are read are not replaced by what is written about them") {
  const TempFolder folder;
  const std::string photo = folder.file("photo.png"), link = folder.file("link.png");
  fs::copy(picture(1), photo);
  fs::create_symlink(photo, link);
  const std::string before = contents(photo), message = ": is an input of this run; name another output\n";
  const auto refused = [&](Words words, const std::string& file) {
    words.insert(words.end(), {"-q", "-p", "od", photo});
    const Child child = florence2(words);
    INFO(child.err);
    CHECK(child.status == 73);
    CHECK(child.err == "florence2: error: " + file + message);
    CHECK(contents(photo) == before);
  };
  refused({"-o", photo}, photo);
  refused({"-o", link}, link);
  refused({"--draw", photo}, photo);
  refused({"--draw", folder.path()}, photo);
  fs::copy(picture(2), folder.file("photo-1.png"));
  refused({folder.file("photo-1.png"), "--masks", folder.path()}, folder.file("photo-1.png"));
  const auto also_refused = [&](const Words& words) {
    const Child child = florence2(words);
    CHECK(child.status == 73);
    CHECK(child.err == "florence2: error: " + photo + message);
    CHECK(contents(photo) == before);
  };
  also_refused({"preprocess", "-q", photo, "-o", photo});
  also_refused({"compare", "-q", photo, "--html", photo});
  const std::string list = folder.write("list", photo + "\n");
  refused({"-o", list, "--files-from", list}, list);
}

TEST_CASE("what else is read is not replaced either: tasks, response files, models, adapters") {
  const TempFolder folder;
  const std::string model = folder.file("model"), adapter = folder.file("adapter");
  fs::copy(test::source_dir() + "/weights/demo", model);
  fs::create_directory(adapter);
  const std::string config = model + "/config.json", weights = folder.write("adapter/adapter_config.json", "{}");
  const std::string tasks = folder.write("tasks.json", R"({"tasks":[{"name":"things","token":"<A>","prompt":"a"}]})");
  const std::string words = folder.write("words", "--beams 1");
  const auto refused = [&](const Words& arguments, const std::string& file) {
    const std::string before = contents(file);
    const Child child = florence2(arguments);
    CHECK(child.status == 73);
    CHECK(child.err == "florence2: error: " + file + ": is an input of this run; name another output\n");
    CHECK(contents(file) == before);
  };
  refused({"-q", "--tasks", tasks, "-p", "things", "-o", tasks, picture(1)}, tasks);
  refused({"-q", "@" + words, "-o", words, picture(1)}, words);
  refused({"-q", "-m", model, "-o", config, picture(1)}, config);
  refused({"-q", "--adapter", adapter, "-o", weights, picture(1)}, weights);
  refused({"compare", "-q", "@" + words, "-m", model, "--html", config, picture(1)}, config);
  refused({"compare", "-q", "@" + words, "-o", words, picture(1)}, words);
  // Answers beside the model are no part of it.
  for (int i = 0; i < 2; ++i) {
    CHECK(florence2({"-q", "-m", model, "--beams", "1", "-f", "json", "-o", model + "/answers.json", picture(1)})
              .status == 0);
  }
  const std::string report = folder.file("report");
  const Child twice = florence2({"compare", "-q", "-o", report, "--html", report, picture(1)});
  CHECK(twice.status == 73);
  CHECK(twice.err == "florence2: error: " + report + ": another output of this run has this name\n");
}

TEST_CASE("annotated pictures, masks and parts may share a folder") {
  const TempFolder folder;
  for (const char* name : {"p.png", "p-1.png"}) fs::copy(picture(1), folder.file(name));
  const std::string out = folder.file("out");
  const Child child = florence2({"-q", "-p", "od,region_proposal", "--beams", "1", "-f", "json", "--draw", out,
                                 "--masks", out, "--crops", out, folder.file("p.png"), folder.file("p-1.png")});
  INFO(child.err);
  REQUIRE(child.status == 0);
  std::size_t things = 0;
  const json::Value records = parsed(child.out);
  for (const json::Value& record : *records.array()) things += test::at(record, "items").array()->size();
  REQUIRE(things > 4);
  const auto files = static_cast<std::size_t>(std::distance(fs::directory_iterator(out), {}));
  CHECK(files == 4 + 2 * things + 2 * 2);  // drawings; masks and parts; maps and what they hold
}

TEST_CASE("things with low scores are left out") {
  const Words ask = {"-q", "-f", "json", "-p", "od", picture(1), "--min-score"};
  Words some = ask, none = ask;
  some.push_back("0.001");
  none.push_back("0.999");
  const auto items = [](const Child& child) {
    return test::at(parsed(child.out).array()->at(0), "items").array()->size();
  };
  CHECK(items(florence2(some)) == 3);
  CHECK(items(florence2(none)) == 0);
  none.insert(none.end(), {"--classes", "sign,heart"});
  const Child child = florence2(none);
  const json::Value record = parsed(child.out).array()->at(0);
  const json::Array expected = {"sign", "heart"};  // both are in the picture
  CHECK(json::dump(test::at(record, "absent_classes")) == json::dump(expected));
}

TEST_CASE("streamed text is the text") {
  const Words ask = {"-q", "-p", "caption,od,detailed_caption,ocr", picture(1), picture(2)};
  Words as_it_appears = ask;
  as_it_appears.push_back("--stream");
  const Child whole = florence2(ask), streamed = florence2(as_it_appears);
  CHECK(streamed.status == 0);
  CHECK(streamed.out == whole.out);
}

TEST_CASE("only the given classes are answered, absent ones are named") {
  const Child child = florence2({"-f", "json", "--classes", "sign, airplane", picture(1)});
  INFO(child.err);
  REQUIRE(child.status == 0);
  const json::Value all = parsed(child.out);
  const json::Value& answer = all.array()->at(0);
  CHECK(test::text_of(test::at(answer, "task")) == "<OPEN_VOCABULARY_DETECTION>");
  bool airplane = false;
  for (const json::Value& item : *test::at(answer, "items").array()) {
    const std::string label = test::text_of(test::at(item, "label"));
    CHECK((label == "sign" || label == "airplane"));
    airplane = airplane || label == "airplane";
  }
  const bool noted = child.err.find("scene-1.png: no airplane\n") != std::string::npos;
  CHECK(noted == !airplane);
}

TEST_CASE("an answer that the limit cut is called so") {
  const std::string demo = test::source_dir() + "/weights/demo";
  const Words ask = {"-m", demo, "-p", "caption", "--max-new-tokens", "4", picture(1)};
  const Child cut = florence2(ask);
  CHECK(cut.status == 0);
  CHECK(cut.err ==
        "florence2: note: " + picture(1) + ": the answer to caption was cut after 4 tokens (--max-new-tokens)\n");
  Words quietly = ask;
  quietly.push_back("-q");
  CHECK(florence2(quietly).err.empty());
}

TEST_CASE("an answer that takes too long is a failure of its own") {
  const Child child = florence2({"-q", "-f", "jsonl", "--deadline", "0.001", picture(1)});
  CHECK(child.status == 76);
  CHECK(test::int_of(test::at(test::at(parsed(child.out), "error"), "code")) == 76);
}

TEST_CASE("90: a signal leaves what was done, written and complete") {
  const TempFolder folder;
  const std::string broken = folder.write("broken.png", "not a picture");
  test::ChildOptions options;
  options.signal_on_error_output = SIGINT;  // at the message about the broken picture
  const Words files = {picture(1), broken, picture(2), picture(3), picture(4), picture(5), picture(1), picture(2)};
  Words arguments = {"-q", "-f", "json", "-p", "od,dense_region_caption", "-o", folder.file("out.json")};
  arguments.insert(arguments.end(), files.begin(), files.end());
  const Child child = florence2(arguments, options);
  INFO(child.err);
  CHECK(child.status == 130);
  CHECK(child.err.find("florence2: stopped; ") != std::string::npos);
  const json::Value answers = parsed(contents(folder.file("out.json")));
  REQUIRE(answers.array()->size() >= 4);
  CHECK(answers.array()->size() < 2 * files.size());
  CHECK(test::text_of(test::at(answers.array()->at(1), "task")) == "<DENSE_REGION_CAPTION>");
}

TEST_CASE("USR1 asks how far a run is") {
  test::ChildOptions options;
  options.signal_on_error_output = SIGUSR1;  // at the note about the demo checkpoint
  const Child child = florence2({"-f", "jsonl", "--beams", "1", picture(1), picture(2), picture(3)}, options);
  INFO(child.err);
  CHECK(child.status == 0);
  CHECK(lines_of(child.out).size() == 3);
  CHECK(child.err.find("florence2: [                    ] 0/3\n") != std::string::npos);
}

TEST_CASE("31: a mapped weights file that is cut short is named, and what was done is written") {
  const TempFolder folder;
  const std::string model = folder.file("int8");
  const auto converted = convert_model(std::string(test::source_dir()) + "/weights/demo", model, {.threads = 1});
  if (!converted && converted.error().code == ErrorCode::unsupported) return;
  REQUIRE(converted);
  std::string list;
  for (int i = 0; i < 1000; ++i) list += picture(1) + "\n";  // more than it gets to
  const std::string files = folder.write("list.txt", list), out = folder.file("out");
  const Child child =
      shell("\"$0\" -q -m " + model + " -p caption -f jsonl --files-from " + files + " >" + out + " & while [ ! -s " +
            out + " ] && kill -0 $!; do sleep 0.02; done; truncate -s 4096 " + model + "/model.safetensors; wait $!");
  CHECK(child.status == 74);
  CHECK(child.err.find("florence2: error: the weights file changed while in use") != std::string::npos);
  CHECK(!lines_of(contents(out)).empty());
}

TEST_CASE("tasks of one's own come from a file, prompts say how to read their answers") {
  const TempFolder folder;
  const std::string file = folder.write("tasks.json",
                                        R"({"tasks":[{"name":"things","token":"<THINGS>","answer":"boxes",
          "prompt":"Locate the objects with category name in the image."}]})");
  const auto boxes = [](const Child& child) {
    INFO(child.err);
    REQUIRE(child.status == 0);
    return json::dump(test::at(parsed(child.out).array()->at(0), "answer"));
  };
  const std::string expected = boxes(florence2({"-q", "-f", "json", "-p", "od", picture(1)}));
  CHECK(boxes(florence2({"-q", "-f", "json", "--tasks", file, "-p", "Things", picture(1)})) == expected);
  CHECK(boxes(florence2({"-q", "-f", "json", "--answer", "boxes", "--prompt",
                         "Locate the objects with category name in the image.", picture(1)})) == expected);
}

TEST_CASE("tasks of one's own are told apart by their names") {
  const TempFolder folder;
  const std::string things = R"({"name":"things","token":"<A>","prompt":"a"})";
  const std::string one = folder.write("one.json", "{\"tasks\":[" + things + "]}");
  const std::string two =
      folder.write("two.json", "{\"tasks\":[" + things + R"(,{"name":"Things","token":"<B>","prompt":"b"}]})");
  check({"unknown", {"--tasks", one, "-p", "thinks", picture(1)}, 64, "; of your own: things"});
  check({"twice", {"--tasks", two, "-p", "things", picture(1)}, 65, "two.json: two tasks are called \"Things\""});
}

TEST_CASE("the environment has a twin of every option, and the command line wins") {
  const Words ask = {"-q", "--max-new-tokens", "4", picture(1)};
  const Child json = florence2(ask, {.environment = {"FLORENCE2_FORMAT=jsonl", "FLORENCE2_TASK=od,caption"}});
  CHECK(lines_of(json.out).size() == 2);
  Words named = ask;
  named.insert(named.end(), {"-f", "csv"});
  CHECK(florence2(named, {.environment = {"FLORENCE2_FORMAT=jsonl"}}).out.starts_with("image,width"));
  const Child wrong = florence2(ask, {.environment = {"FLORENCE2_BEAMS=many"}});
  CHECK(wrong.status == 64);
  CHECK(wrong.err == "florence2: error: FLORENCE2_BEAMS: must be 1…16, found \"many\"\n");
  const Child useless = florence2({"-p", "od", picture(1)}, {.environment = {"FLORENCE2_REGION=1,2,3,4"}});
  CHECK(useless.err == "florence2: error: FLORENCE2_REGION: task <OD> takes no region\n");
  CHECK(florence2({picture(1)}, {.environment = {"FLORENCE2_QUIET=1"}}).err.empty());
}

TEST_CASE("response files and names from other programs") {
  const TempFolder folder;
  const std::string file = folder.write("words", "# quickly\n-bs 1 -n 4\n-oj \"" + picture(1) + "\"\n");
  const Child child = florence2({"-q", "@" + file});
  INFO(child.err);
  CHECK(child.status == 0);
  CHECK(parsed(child.out).array()->size() == 1);
  CHECK(florence2({"-q", "@" + folder.file("none")}).status == 66);
  const Child open = florence2({"-q", "@" + folder.write("open", "'a b")});
  CHECK(open.status == 64);
  CHECK(open.err.find("a quote has no end in \"a b\"") != std::string::npos);
}

}  // namespace
}  // namespace florence2
