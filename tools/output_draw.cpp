// --draw: annotated pictures.
#include <filesystem>
#include <optional>

#include "tools/draw.hpp"
#include "tools/output.hpp"
#include "tools/picture_file.hpp"
#include "tools/picture_outputs.hpp"
#include "tools/svg.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return path.ends_with('/') || fs::is_directory(path, ignored) || fs::path(path).extension().empty();
}

Result<std::string> encode(const std::string& name, const PictureFacts& picture, const Job& job, const Answer& answer) {
  if (lower_extension(name) != ".svg") {
    return encode_picture(name, view_of(draw_answer(picture.pixels, answer, job.region)));
  }
  const SceneOptions options{.region = job.region, .text_height = svg_text_height(picture.width, picture.height)};
  FL_ASSIGN(const std::string address, data_address(picture.pixels));
  return svg_document(make_scene(picture.width, picture.height, answer, options), address);
}

/// What the annotated picture is called, as long as no other has this name.
struct DrawName {
  std::string stem, ending;
};
DrawName name_of(const DrawOptions& options, const Input& picture, const Job& job) {
  const fs::path place(picture.place), path(options.path);
  const bool folder = is_folder(options.path);
  std::string stem = (path.parent_path() / path.stem()).string();
  if (folder) stem = (path / place.parent_path() / place.stem()).string();
  if (!folder && options.several_pictures) stem += "-" + place.stem().string();
  if (options.several_jobs) stem += "-" + job.name();
  return {stem, folder ? ".png" : path.extension().string()};
}

class DrawWriter : public AnswerWriter {
 public:
  explicit DrawWriter(DrawOptions options) : options_(std::move(options)), folder_(is_folder(options_.path)) {}

  Status answer(const PictureFacts& picture, const Job& job, const TaskResult& result) override {
    const auto [stem, ending] = name_of(options_, picture.input, job);
    const std::string name = options_.names->unused(stem, ending);
    FL_TRY(options_.names->take(name));
    FL_ASSIGN(const std::string file, encode(name, picture, job, result.answer));
    std::error_code failure;
    if (folder_) fs::create_directories(fs::path(name).parent_path(), failure);
    return write_file(name, file);
  }

  Status finish() override { return {}; }

 private:
  DrawOptions options_;
  bool folder_;
};

}  // namespace

Result<Writer> draw_writer(const DrawOptions& options) {
  if (is_folder(options.path)) {
    FL_TRY(OutputFolder::open(options.path));
  } else if (const Status there = try_file_in(fs::path(options.path).parent_path().string()); !there) {
    return Error{there.error().code, there.error().message, options.path};
  }
  return Writer(std::make_unique<DrawWriter>(options));
}

Status check_draw_name(const DrawOptions& options, const Input& picture, const Job& job) {
  const auto [stem, ending] = name_of(options, picture, job);
  return options.names->check(stem + ending);
}

Status check_draw_path(const std::string& path) {
  const std::string extension = lower_extension(path);
  const bool named = fs::path(path).stem() != "" && (is_picture_name(path) || extension == ".svg");
  if (named || (!path.empty() && is_folder(path))) return {};
  return Error{ErrorCode::argument, "must end in .png, .jpg or .svg, or be a folder, found \"" + path + "\"", {}};
}

}  // namespace florence2
