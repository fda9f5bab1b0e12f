// Where the program's output goes: terminals, pipes whose readers leave, links, full devices, closed descriptors.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "model/florence2.hpp"
#include "tests/program.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"
#include "tools/formats.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

using test::Child;
using test::florence2;
using test::TempFolder;
using test::Words;
using namespace test::program;

/// What a terminal shows at the end of `sent`: line by line, what "\r" and "\x1b[K" left.
Words shown(const std::string& sent) {
  Words lines = {""};
  std::size_t column = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    std::string& line = lines.back();
    if (sent[i] == '\r') {
      column = 0;
    } else if (sent[i] == '\n') {
      lines.emplace_back();
    } else if (sent.compare(i, 3, "\x1b[K") == 0) {
      line.resize(column);
      i += 2;
    } else {
      line.resize(std::max(line.size(), column + 1));
      line[column++] = sent[i];
    }
  }
  return lines;
}

TEST_CASE("progress leaves streamed text on a terminal alone, notes begin a line") {
  const std::string demo = test::source_dir() + "/weights/demo";
  const Words ask = {"-m", demo, "-p", "detailed_caption", "--max-new-tokens", "8", picture(1)};
  const Child whole = florence2(ask);
  Words streamed = {FLORENCE2_PROGRAM, "--stream"};
  streamed.insert(streamed.end(), ask.begin(), ask.end());
  const Child child = test::run_on_terminal(streamed, {.environment = {"TERM=dumb"}});
  CHECK(child.status == 0);
  CHECK(child.out.find("looking") != std::string::npos);  // there was progress to hide
  Words expected = lines_of(whole.out);
  REQUIRE(expected.size() == 1);
  const Words notes = lines_of(whole.err);
  REQUIRE(notes.size() == 1);
  expected.insert(expected.end(), {notes[0], ""});
  CHECK(shown(child.out) == expected);
}

TEST_CASE("an answer that fails while it is streamed ends its line, and the next one stands under its own heading") {
  const TempFolder folder;
  const std::string file = folder.file("out.txt");
  auto output = Output::open(file);
  REQUIRE(output);
  const Writer writer = text_writer(std::move(*output), {.headings = true});
  const PictureFacts first{.input = {"a.png", "a.png"}}, second{.input = {"b.png", "b.png"}};
  const Job job{.task = Task::caption};
  REQUIRE(writer->piece(first, job, "A red"));
  REQUIRE(writer->failure("a.png", job, Error{}));
  REQUIRE(writer->piece(second, job, "A blue"));
  TaskResult result;
  result.answer.kind = AnswerKind::text;
  result.answer.text = "A blue sign";
  REQUIRE(writer->answer(second, job, result));
  REQUIRE(writer->piece(first, job, "A green"));
  REQUIRE(writer->finish());  // interrupted
  CHECK(contents(file) ==
        "== a.png  <CAPTION>\nA red\n\n== b.png  <CAPTION>\nA blue sign\n\n== a.png  <CAPTION>\nA green\n");
}

TEST_CASE("an output that takes no more does not cost the others their answers") {
  const TempFolder folder;
  const std::string others = " --draw " + folder.file("d") + " --masks " + folder.file("m") + " --crops " +
                             folder.file("c") + " \"$1\" " + picture(2);
  const auto count = [&](const char* name) {
    return std::distance(fs::directory_iterator(folder.file(name)), fs::directory_iterator());
  };
  SECTION("the reader leaves") {
    const std::string options = GENERATE("-p od", "-f jsonl -p od", "-p caption,od --stream");
    const Child child =
        shell("(sleep 0.2; \"$0\" -q --beams 1 " + options + others + "; echo \"status $?\" >&2) | true");
    CHECK(child.err == "status 0\n");
    CHECK(count("d") == (options.find("caption") == std::string::npos ? 2 : 4));
    CHECK(Picture::open(folder.file("m/scene-2-map.png")));
    CHECK(count("c") > 2);
  }
  SECTION("a full disk, which ends the run after the picture") {
    const Child child = shell("\"$0\" -q --beams 1 -p od -o /dev/full" + others);
    CHECK(child.status == 74);
    CHECK(child.err == "florence2: error: /dev/full: no space left; free space and try again\n");
    CHECK(count("d") == 1);
    CHECK(Picture::open(folder.file("m/scene-1-map.png")));
    CHECK(count("c") > 1);
  }
}

TEST_CASE("files get nothing that was meant for a closed descriptor") {
  const TempFolder folder;
  const std::string file = folder.file("out.jsonl");
  const Child no_error = shell("\"$0\" -f jsonl --beams 1 -o " + file + " \"$1\" /nowhere.png 2>&-");
  CHECK(no_error.status == 66);
  CHECK(lines_of(contents(file)).size() == 2);
  for (const std::string& line : lines_of(contents(file))) CHECK(line.starts_with("{"));
  const Child no_output = shell("\"$0\" -q --beams 1 \"$1\" >&-");
  CHECK(no_output.status == 74);
  CHECK(no_output.err.starts_with("florence2: error: standard output: cannot write"));
}

TEST_CASE("links are followed, and files keep their permissions") {
  const TempFolder folder;
  const std::string file = folder.write("real.jsonl", "old"), link = folder.file("link.jsonl");
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real.jsonl", link);
  const Words ask = {"-q", "-f", "jsonl", "--beams", "1", picture(1), "-o"};
  const auto write_to = [&](const std::string& output) {
    Words words = ask;
    words.push_back(output);
    const Child child = florence2(words);
    INFO(child.err);
    CHECK(child.status == 0);
  };
  write_to(link);
  CHECK(fs::is_symlink(link));
  CHECK(contents(file).starts_with("{"));
  CHECK(fs::status(file).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  const std::string later = folder.file("later.jsonl"), to_later = folder.file("to-later.jsonl");
  fs::create_symlink(later, to_later);
  write_to(to_later);
  CHECK(fs::is_symlink(to_later));
  CHECK(contents(later).starts_with("{"));
  fs::create_symlink("circle", folder.file("circle"));
  check({"circle", {"-q", "-o", folder.file("circle"), picture(1)}, 73, "circle: cannot create the file"});
}

TEST_CASE("standard output has names in the file system") {
  const TempFolder folder;
  const std::string out = folder.file("out");
  fs::create_symlink("/proc/self/fd/1", folder.file("stdout"));  // as /dev/stdout, which a failure might replace
  fs::create_symlink("stdout", folder.file("link"));
  const char* name = GENERATE("./stdout", "./link", "/dev/fd/1");
  const std::string run = "cd " + folder.path() + "; \"$0\" -q -f jsonl --beams 1 -o " + name + " \"$1\"";
  const Child child = shell("(echo first; " + run + "; echo last) >" + out);
  CHECK(child.err.empty());
  const Words lines = lines_of(contents(out));
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == "first");
  CHECK(lines[1].starts_with("{"));
  CHECK(lines[2] == "last");
  CHECK(lines_of(shell(run + " | cat").out).size() == 1);
}

}  // namespace
}  // namespace florence2
