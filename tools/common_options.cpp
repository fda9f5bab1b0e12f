#include "tools/common_options.hpp"

#include <charconv>
#include <cmath>

namespace florence2 {
namespace {

constexpr int kMostThreads = 1024;
constexpr std::int64_t kMostPixels = std::int64_t{65535} * 65535;

Error bad_value(const std::string& allowed, const std::string& found) {
  return {ErrorCode::argument, "must be " + allowed + ", found \"" + found + "\"", {}};
}

/// The number behind the last colon is the scale; a folder whose name holds a colon needs one behind it.
AdapterOptions parse_adapter(const std::string& value) {
  const std::size_t colon = value.rfind(':');
  if (colon == std::string::npos) return {.directory = value};
  float scale = 0;
  const char* end = value.data() + value.size();
  const auto [stop, failure] = std::from_chars(value.data() + colon + 1, end, scale);
  if (failure != std::errc() || stop != end) return {.directory = value};
  return {.directory = value.substr(0, colon), .scale = scale};
}

}  // namespace

void add_adapter_option(Arguments& arguments, std::vector<AdapterOptions>& adapters) {
  arguments.repeatable("--adapter", "DIR[:SCALE]", "LoRA, rsLoRA or DoRA adapter to merge; may be repeated",
                       [&adapters](const std::string& value) -> Status {
                         const AdapterOptions adapter = parse_adapter(value);
                         if (adapter.directory.empty() || !std::isfinite(adapter.scale)) {
                           return bad_value("a folder, or folder:number", value);
                         }
                         adapters.push_back(adapter);
                         return {};
                       });
}

void add_model_option(Arguments& arguments, std::string& model) {
  arguments.value(
      "-m,--model", "MODEL",
      "model folder, or base, large, OWNER/REPO once downloaded; else $FLORENCE2_MODEL, else the demo checkpoint",
      text_into(model));
}

void add_quiet_option(Arguments& arguments, bool& quiet) {
  arguments.flag("-q,--quiet", quiet, "no notes, no progress");
}

void add_threads_option(Arguments& arguments, int& threads) {
  arguments.value("-t,--threads", "N", "default: the physical cores that this process may use",
                  integer_into(threads, 1, kMostThreads));
}

void add_precision_option(Arguments& arguments, std::string& precision) {
  arguments.value("--precision", "P", "auto, fp32, bf16 or int8, or by part: vision=bf16,text=int8 (default auto)",
                  [&precision](const std::string& value) {
                    precision = value;
                    return check_precision(value);
                  });
}

void add_compat_option(Arguments& arguments, Compat& compat) {
  add_choice<Compat>(arguments,
                     {{}, "--compat", "WHOSE", "prompts and parsing as a reference: none, hf or ms (default none)", {}},
                     compat, {{"none", Compat::none}, {"hf", Compat::hf}, {"ms", Compat::ms}});
}

void add_picture_options(Arguments& arguments, PictureOptions& options) {
  arguments.flag("--exif-rotate", options.exif_rotate, "turn pictures upright as their EXIF data says");
  arguments.flag("--allow-truncated", options.allow_truncated, "accept files that end early, with what they hold");
  arguments.value("--max-pixels", "N", "refuse larger pictures (default 178956970)",
                  integer_into(options.max_pixels, 1, kMostPixels));
}

Arguments::Accept size_into(int& width, int& height) {
  return [&width, &height](const std::string& value) -> Status {
    const std::size_t cross = value.find('x');
    if (cross == std::string::npos) return bad_value("WIDTHxHEIGHT, as 640x480", value);
    const auto parsed_width = parse_integer(value.substr(0, cross), 1, 65535);
    const auto parsed_height = parse_integer(value.substr(cross + 1), 1, 65535);
    if (!parsed_width || !parsed_height) return bad_value("WIDTHxHEIGHT, each 1…65535", value);
    width = static_cast<int>(*parsed_width);
    height = static_cast<int>(*parsed_height);
    return {};
  };
}

Result<Box> parse_region(const std::string& value) {
  float numbers[4] = {};
  const char* next = value.data();
  const char* end = next + value.size();
  for (int i = 0; i < 4; ++i) {
    const auto [stop, failure] = std::from_chars(next, end, numbers[i], std::chars_format::fixed);
    const bool separated = i == 3 ? stop == end : stop != end && *stop == ',';
    if (failure != std::errc() || !separated) return bad_value("four numbers X0,Y0,X1,Y1 in pixels", value);
    next = stop + 1;
  }
  const Box box{numbers[0], numbers[1], numbers[2], numbers[3]};
  if (!(box.x0 <= box.x1 && box.y0 <= box.y1)) return bad_value("X0,Y0,X1,Y1 with X0 ≤ X1 and Y0 ≤ Y1", value);
  return box;
}

}  // namespace florence2
