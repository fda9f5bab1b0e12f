// `florence2 tokenize`, `parse` and `preprocess`: the edges of the model, alone.
#include <functional>
#include <iostream>
#include <optional>
#include <vector>

#include "core/json.hpp"
#include "model/answer_json.hpp"
#include "model/config.hpp"
#include "model/image.hpp"
#include "tokenizer/tokenizer.hpp"
#include "tools/commands.hpp"
#include "tools/common_options.hpp"
#include "tools/inputs.hpp"
#include "tools/message.hpp"
#include "tools/model_folder.hpp"
#include "tools/npy.hpp"
#include "tools/output.hpp"
#include "tools/output_names.hpp"

namespace florence2 {
namespace {

// --- Lines of JSON in, lines of JSON out --------------------------------------------------------------

using Convert = std::function<Result<json::Value>(const json::Value&)>;

Result<json::Value> convert_line(const std::string& line, const Convert& convert) {
  FL_ASSIGN(const json::Value value, json::parse(line));
  return convert(value);
}

/// Answers every line of standard input with one line; a bad one with {"error": …}, and the run goes on. Returns the
/// exit status of the first bad line.
Result<int> convert_lines(const Convert& convert) {
  FL_ASSIGN(Output output, Output::open({}));
  int status = 0;
  std::int64_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    auto answer = convert_line(line, convert);
    if (!answer) {
      const Error error{ErrorCode::data, answer.error().text(), "line " + std::to_string(number)};
      const int failed = report(error);
      if (status == 0) status = failed;
      answer = json::Value(json::Object{{"error", json::Object{{"code", failed}, {"message", error.text()}}}});
    }
    FL_TRY(output.write(json::dump(*answer) + '\n'));
  }
  return status;
}

Error wrong_kind(const char* expected, const json::Value& value) {
  return {ErrorCode::data, std::string("must be ") + expected + ", found " + std::string(value.kind()), {}};
}

// --- tokenize -----------------------------------------------------------------------------------------

Result<json::Value> encode_text(const Tokenizer& tokenizer, const json::Value& text) {
  if (text.string() == nullptr) return wrong_kind("a string", text);
  FL_ASSIGN(const std::vector<std::int32_t> ids, tokenizer.encode(*text.string()));
  json::Array array;
  for (const std::int32_t id : ids) array.emplace_back(id);
  return json::Value(std::move(array));
}

Result<json::Value> decode_ids(const Tokenizer& tokenizer, const json::Value& array, bool skip_special) {
  if (array.array() == nullptr) return wrong_kind("an array of ids", array);
  std::vector<std::int32_t> ids;
  for (const json::Value& value : *array.array()) {
    const std::int64_t* id = value.integer();
    if (id == nullptr || *id < 0 || *id >= tokenizer.size()) {
      return Error{
          ErrorCode::data,
          "ids are 0…" + std::to_string(tokenizer.size() - 1) + " in this vocabulary, found " + json::dump(value),
          {}};
    }
    ids.push_back(static_cast<std::int32_t>(*id));
  }
  return json::Value(tokenizer.decode(ids, skip_special));
}

constexpr const char* kTokenizeHeading = R"(florence2 tokenize: text to token ids and back, a line of JSON each

  echo '"a red car"' | florence2 tokenize -m Florence-2-base
  echo '[0, 102, 1275, 512, 2]' | florence2 tokenize --decode -m Florence-2-base
)";

struct TokenizeOptions {
  std::string model;
  bool decode = false, skip_special = false, quiet = false;
};

void declare(Arguments& arguments, TokenizeOptions& options) {
  add_model_option(arguments, options.model);
  arguments.flag("--decode", options.decode, "from arrays of ids to strings");
  arguments.flag("--skip-special", options.skip_special, "with --decode: leave special tokens out");
  add_quiet_option(arguments, options.quiet);
}

Result<int> tokenize(int argc, char** argv) {
  TokenizeOptions options;
  Arguments arguments("tokenize", kTokenizeHeading);
  declare(arguments, options);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return 0;
  if (options.skip_special && !options.decode)
    return Error{ErrorCode::argument, "goes with --decode", "--skip-special"};
  FL_ASSIGN(const std::string folder, find_model(options.model, options.quiet));
  FL_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(folder));
  return convert_lines([&](const json::Value& value) {
    return options.decode ? decode_ids(tokenizer, value, options.skip_special) : encode_text(tokenizer, value);
  });
}

// --- parse --------------------------------------------------------------------------------------------

constexpr const char* kParseHeading = R"(florence2 parse: the model's text to answers, a line of JSON each

  echo '"car<loc_52><loc_332><loc_932><loc_774>"' | florence2 parse -p od --size 640x480
)";

struct ParseOptions {
  std::optional<Task> task;
  int width = 0, height = 0;
  Compat compat = Compat::none;
};

void declare(Arguments& arguments, ParseOptions& options) {
  arguments.value("-p,--task", "TASK", "the task that the text answers", [&options](const std::string& value) {
    auto named = parse_task_name(value);
    if (!named) return Status(std::move(named).error());
    options.task = *named;
    return Status();
  });
  arguments.value("--size", "WxH", "of the picture, in pixels", size_into(options.width, options.height));
  add_compat_option(arguments, options.compat);
}

Result<int> parse(int argc, char** argv) {
  ParseOptions options;
  Arguments arguments("parse", kParseHeading);
  declare(arguments, options);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return 0;
  if (!options.task) return Error{ErrorCode::argument, "is needed", "--task"};
  if (options.width == 0) return Error{ErrorCode::argument, "is needed, as WIDTHxHEIGHT", "--size"};
  return convert_lines([&](const json::Value& text) -> Result<json::Value> {
    if (text.string() == nullptr) return wrong_kind("a string", text);
    const Answer answer = parse_answer(*options.task, *text.string(), options.width, options.height, options.compat);
    return answer_json(answer, options.compat);
  });
}

// --- preprocess ---------------------------------------------------------------------------------------

enum class Stage { rgb, resized, pixels };

/// The array of a stage as a .npy file. The folder's small files are read where the stage needs the input size.
Result<std::string> preprocessed(const ImageView& image, Stage stage, const std::string& folder) {
  if (stage == Stage::rgb) {
    const std::int64_t shape[] = {image.height, image.width, 3};
    return encode_npy({image.rgb, static_cast<std::size_t>(image.height * image.row_bytes)}, shape);
  }
  FL_ASSIGN(const Config config, load_config(folder));
  const int side = config.image.side;
  if (stage == Stage::resized) {
    const std::int64_t shape[] = {side, side, 3};
    return encode_npy(std::span<const std::uint8_t>(resize_bicubic(image, side, side)), shape);
  }
  const std::size_t plane = static_cast<std::size_t>(side) * static_cast<std::size_t>(side);
  std::vector<float> interleaved(3 * plane), planar(3 * plane);
  preprocess(interleaved.data(), image, config.image);
  for (std::size_t i = 0; i < interleaved.size(); ++i) planar[i % 3 * plane + i / 3] = interleaved[i];
  const std::int64_t shape[] = {3, side, side};
  return encode_npy(std::span<const float>(planar), shape);
}

constexpr const char* kPreprocessHeading = R"(florence2 preprocess: a picture as the array that the model sees

  florence2 preprocess photo.jpg -o pixels.npy
  florence2 preprocess photo.jpg --stage rgb -o decoded.npy
)";

struct PreprocessOptions {
  std::string model, file;
  std::vector<std::string> images;
  PictureOptions picture;
  Compat compat = Compat::none;
  Stage stage = Stage::pixels;
  bool quiet = false;
};

void declare(Arguments& arguments, PreprocessOptions& options) {
  arguments.positionals("IMAGE", "-i,--image", "the same as IMAGE", options.images);
  arguments.value("-o,--output", "OUT.npy", "NumPy file to write; - for standard output", text_into(options.file));
  add_choice<Stage>(arguments,
                    {{}, "--stage", "STAGE", "rgb [H,W,3], resized [S,S,3] or pixels [3,S,S] (default pixels)", {}},
                    options.stage, {{"rgb", Stage::rgb}, {"resized", Stage::resized}, {"pixels", Stage::pixels}});
  add_model_option(arguments, options.model);
  add_picture_options(arguments, options.picture);
  add_compat_option(arguments, options.compat);
  add_quiet_option(arguments, options.quiet);
}

Result<int> preprocess_picture(int argc, char** argv) {
  PreprocessOptions options;
  Arguments arguments("preprocess", kPreprocessHeading);
  declare(arguments, options);
  FL_ASSIGN(const bool go_on, arguments.parse(argc, argv));
  if (!go_on) return 0;
  if (options.images.size() != 1) return Error{ErrorCode::argument, "one picture is needed", {}};
  if (options.file.empty()) return Error{ErrorCode::argument, "is needed", "--output"};
  FL_TRY(OutputNames(options.images).check(options.file));
  options.picture.scale_grey16 = options.compat == Compat::none;
  FL_ASSIGN(const Picture picture, open_input(options.images[0], options.picture));
  for (const std::string& warning : picture.warnings) {
    if (!options.quiet) print_note(options.images[0] + ": " + warning);
  }
  std::string folder;
  if (options.stage != Stage::rgb) {
    FL_ASSIGN(folder, find_model(options.model, options.quiet));
  }
  FL_ASSIGN(const std::string bytes, preprocessed(picture.view(), options.stage, folder));
  FL_TRY(write_file(options.file, bytes));
  return 0;
}

template <typename Options>
HelpPage page_of(const char* command, const char* heading) {
  Options options;
  Arguments arguments(command, heading);
  declare(arguments, options);
  return arguments.page();
}

}  // namespace

HelpPage tokenize_page() { return page_of<TokenizeOptions>("tokenize", kTokenizeHeading); }
HelpPage parse_page() { return page_of<ParseOptions>("parse", kParseHeading); }
HelpPage preprocess_page() { return page_of<PreprocessOptions>("preprocess", kPreprocessHeading); }

int tokenize_command(int argc, char** argv) { return conclude(tokenize(argc, argv)); }
int parse_command(int argc, char** argv) { return conclude(parse(argc, argv)); }
int preprocess_command(int argc, char** argv) { return conclude(preprocess_picture(argc, argv)); }

}  // namespace florence2
