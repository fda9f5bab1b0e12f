// What the program says about itself, and the words of its command line.
#include <catch2/catch.hpp>

#include "tests/program.hpp"
#include "tests/support.hpp"
#include "tools/argument_words.hpp"
#include "tools/commands.hpp"
#include "tools/markup.hpp"
#include "tools/progress.hpp"
#include "tools/table.hpp"

namespace florence2 {
namespace {

using test::florence2;
using test::Words;
using namespace test::program;

TEST_CASE("docs/cli.md is what the program says") {
  CHECK(contents(test::source_dir() + "/docs/cli.md") == florence2({"help", "--markdown"}).out);
}

TEST_CASE("help names every option with a few words, in lines of a terminal's width") {
  for (const Command& command : all_commands()) {
    const HelpPage page = command.page();
    const std::string text = help_text(page);
    INFO(text);
    CHECK(page.command == command.name);
    for (const OptionHelp& option : page.options) {
      CHECK(text.find(" " + long_name(option)) != std::string::npos);
      CHECK(!option.text.empty());
    }
    for (const std::string& line : lines_of(text)) CHECK(text_columns(line) <= 118);
    CHECK(florence2({"help", page.command}).out == text);
    CHECK(florence2({page.command, "--help"}).out == text);
  }
}

TEST_CASE("the manual page holds every command and option") {
  const std::string manual = florence2({"help", "--man"}).out;
  CHECK(manual.starts_with(".TH FLORENCE2 1"));
  for (const Command& command : all_commands()) {
    for (const OptionHelp& option : command.page().options) {
      std::string name = long_name(option);
      for (std::size_t at = 0; (at = name.find('-', at)) != std::string::npos; at += 2) name.insert(at, "\\");
      INFO(name);
      CHECK(manual.find(name) != std::string::npos);
    }
  }
}

/// What bash offers for a line whose last word is being typed.
Words bash_offers(const Words& words) {
  std::string line = "cd /; eval \"$(\"$0\" completion bash)\"; COMP_WORDS=(";
  for (const std::string& word : words) line += "'" + word + "' ";
  line += "); COMP_CWORD=" + std::to_string(words.size() - 1) + "; _florence2; printf '%s\\n' \"${COMPREPLY[@]}\"";
  const test::Child child = test::run_child({"bash", "-c", line, FLORENCE2_PROGRAM});
  INFO(child.err);
  REQUIRE(child.status == 0);
  return lines_of(child.out);
}

TEST_CASE("bash completes commands, options and values") {
  CHECK(bash_offers({"florence2", "ben"}) == Words{"bench"});
  CHECK(bash_offers({"florence2", "--no-rep"}) == Words{"--no-repeat-ngram"});
  CHECK(bash_offers({"florence2", "bench", "--rou"}) == Words{"--rounds"});
  CHECK(bash_offers({"florence2", "bench", "--size", ""}).at(0) == "base");
  CHECK(bash_offers({"florence2", "-f", "co"}) == Words{"coco"});
  CHECK(bash_offers({"florence2", "run", "-p", "dense"}) == Words{"dense_region_caption"});
}

TEST_CASE("completion scripts of other shells name every option") {
  const std::string zsh = florence2({"completion", "zsh"}).out, fish = florence2({"completion", "fish"}).out;
  CHECK(zsh.starts_with("#compdef florence2\n"));
  for (const Command& command : all_commands()) {
    for (const OptionHelp& option : command.page().options) {
      INFO(option.names);
      CHECK(zsh.find(long_name(option)) != std::string::npos);
      CHECK(fish.find(" -l " + long_name(option).substr(2) + " ") != std::string::npos);
    }
  }
}

TEST_CASE("variables of the environment are called after options") {
  CHECK(environment_name("run", "--max-new-tokens") == "FLORENCE2_MAX_NEW_TOKENS");
  CHECK(environment_name("bench", "--model") == "FLORENCE2_MODEL");
  CHECK(environment_name("bench", "--rounds") == "FLORENCE2_BENCH_ROUNDS");
}

TEST_CASE("words of response files") {
  const auto words = split_words("a 'b c'\t\"d \\\" e\" f\\ g # not this\n#nor this\nh#i ''");
  REQUIRE(words);
  CHECK(*words == Words{"a", "b c", "d \" e", "f g", "h#i", ""});
  CHECK(split_words("")->empty());
  CHECK(!split_words("\"a"));
}

TEST_CASE("names from other programs are translated, values left alone") {
  const auto known = [](const std::string& name) {
    return name == "--beams" || name == "--text" || name == "--format";
  };
  const KnownOptions options{known, known};
  const auto prepared = [&](const Words& words) { return prepare_words(words, options).value().words; };
  CHECK(prepared({"-bs", "4", "--beam-size=3", "-oj"}) == Words{"--beams", "4", "--beams=3", "--format", "json"});
  CHECK(prepared({"--text", "-bs", "--text", "@home"}) == Words{"--text", "-bs", "--text", "@home"});
  CHECK(prepared({"--text=", "a.png", "-bs="}) == Words{"--text", "", "a.png", "-bs="});
  CHECK(prepared({"--beam-size=", "a.png"}) == Words{"--beams", "", "a.png"});
  CHECK(prepared({"--", "-bs", "@x"}) == Words{"--", "-bs", "@x"});
  CHECK(prepared({"--dtype", "x"}) == Words{"--dtype", "x"});  // there is no --precision here
}

TEST_CASE("progress bars tell rate and time left") {
  CHECK(progress_bar(0, 4, 9) == "[                    ] 0/4");
  CHECK(progress_bar(1, 4, 2) == "[#####               ] 1/4  2.0 s each  6 s left");
  CHECK(progress_bar(300, 1000, 100) == "[######              ] 300/1000  3.0/s  3 min 54 s left");
  CHECK(progress_bar(1, 10000, 1) == "[                    ] 1/10000  1.0/s  2 h 46 min left");
}

TEST_CASE("columns count what a terminal shows") {
  CHECK(text_columns("café") == 4);
  CHECK(text_columns("cafe\xCC\x81") == 4);  // a combining accent
  CHECK(text_columns("世界") == 4);
  CHECK(align_table({{"a", "1"}, {"世界", "22"}}) == "a      1\n世界  22\n");
}

TEST_CASE("markup holds any text") {
  CHECK(escape_markup("<a & \"b\">") == "&lt;a &amp; &quot;b&quot;&gt;");
  CHECK(escape_markup("a\nb\x01\xff") == "a&#10;b\xEF\xBF\xBD\xEF\xBF\xBD");
}

}  // namespace
}  // namespace florence2
