// --masks and --crops: things cut out of their pictures.
#include <algorithm>
#include <cmath>

#include "core/json.hpp"
#include "core/utf8.hpp"
#include "tools/picture_file.hpp"
#include "tools/picture_outputs.hpp"
#include "tools/shapes.hpp"

namespace florence2 {
namespace {

constexpr int kMostMapped = 255;
constexpr std::size_t kLongestLabel = 40;

/// Colours in which neighbouring numbers differ, black for 0: the bits of the number, spread over the channels from the
/// top down.
std::vector<Color> map_palette() {
  std::vector<Color> palette(kMostMapped + 1);
  for (unsigned i = 0; i < palette.size(); ++i) {
    unsigned channels[3] = {};
    for (unsigned bit = 0; bit < 8; ++bit) channels[bit % 3] |= (i >> bit & 1u) << (7 - bit / 3);
    palette[i] = {static_cast<std::uint8_t>(channels[0]), static_cast<std::uint8_t>(channels[1]),
                  static_cast<std::uint8_t>(channels[2])};
  }
  return palette;
}

/// 255 where at least half of a pixel belongs to the thing.
std::vector<std::uint8_t> mask_of(const Item& item, int width, int height) {
  Canvas canvas(width, height, {0, 0, 0});
  canvas.fill(outlines(item), {255, 255, 255}, 1);
  std::vector<std::uint8_t> mask(canvas.rgb().size() / 3);
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = canvas.rgb()[3 * i] >= 128 ? 255 : 0;
  return mask;
}

class MasksWriter : public PictureWriter {
 public:
  explicit MasksWriter(OutputFolder folder) : folder_(std::move(folder)) {}

 protected:
  Status write(const PictureFacts& picture, const std::vector<Answered>& answers) override {
    const std::string stem = folder_.claim(picture.input);
    std::vector<std::uint8_t> map(static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height));
    json::Array legend;
    int number = 0;
    for (const Answered& answered : answers) {
      for (const Item& item : answered.result.answer.items) {
        const std::vector<std::uint8_t> mask = mask_of(item, picture.width, picture.height);
        const std::string name = folder_.unused(stem + "-" + std::to_string(++number), ".png");
        FL_ASSIGN(const std::string png, encode_grey_png(mask, picture.width, picture.height));
        FL_TRY(folder_.write(name, png));
        if (number > kMostMapped) continue;
        for (std::size_t i = 0; i < map.size(); ++i) map[i] = mask[i] != 0 ? static_cast<std::uint8_t>(number) : map[i];
        legend.emplace_back(json::Object{{"value", number},
                                         {"label", item.label},
                                         {"score", item.score},
                                         {"task", answered.job.task_token()},
                                         {"mask", name}});
      }
    }
    FL_ASSIGN(const std::string png, encode_indexed_png(map, picture.width, picture.height, map_palette()));
    FL_TRY(folder_.write(folder_.unused(stem + "-map", ".png"), png));
    return folder_.write(folder_.unused(stem + "-map", ".json"), json::dump(legend) + '\n');
  }

 private:
  OutputFolder folder_;
};

/// "-label" in characters that every file system takes, or nothing.
std::string file_name_part(std::string_view label) {
  std::string part;
  while (!label.empty() && part.size() < kLongestLabel) {
    const Utf8Step step = utf8_step(label);
    const bool plain = (step.code_point >= 'a' && step.code_point <= 'z') ||
                       (step.code_point >= 'A' && step.code_point <= 'Z') ||
                       (step.code_point >= '0' && step.code_point <= '9') || (step.valid && step.code_point >= 0xA0);
    part += plain ? label.substr(0, step.size) : "_";
    label.remove_prefix(step.size);
  }
  return part.empty() ? part : "-" + part;
}

/// The pixels that `box` touches, as [width, height, 3] without padding; empty outside of the picture.
struct Crop {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;
};
Crop crop_of(const ImageView& image, const Box& box) {
  const auto inside = [](float value, int side) {
    return static_cast<int>(std::clamp(value, 0.0f, static_cast<float>(side)));
  };
  const int left = inside(std::floor(box.x0), image.width), right = inside(std::ceil(box.x1), image.width);
  const int top = inside(std::floor(box.y0), image.height), bottom = inside(std::ceil(box.y1), image.height);
  if (right <= left || bottom <= top) return {};
  Crop crop{right - left, bottom - top, {}};
  for (int y = top; y < bottom; ++y) {
    const std::uint8_t* row = image.rgb + y * image.row_bytes;
    crop.rgb.insert(crop.rgb.end(), row + 3 * left, row + 3 * right);
  }
  return crop;
}

class CropsWriter : public PictureWriter {
 public:
  explicit CropsWriter(OutputFolder folder) : folder_(std::move(folder)) {}

 protected:
  Status write(const PictureFacts& picture, const std::vector<Answered>& answers) override {
    const std::string stem = folder_.claim(picture.input);
    int number = 0;
    for (const Answered& answered : answers) {
      for (const Item& item : answered.result.answer.items) {
        const std::string thing = stem + "-" + std::to_string(++number) + file_name_part(item.label);
        const Crop crop = crop_of(picture.pixels, bounds(item));
        if (crop.rgb.empty()) continue;
        FL_ASSIGN(const std::string png,
                  encode_png(ImageView{crop.rgb.data(), crop.width, crop.height, std::ptrdiff_t{3} * crop.width}));
        FL_TRY(folder_.write(folder_.unused(thing, ".png"), png));
      }
    }
    return {};
  }

 private:
  OutputFolder folder_;
};

}  // namespace

Writer masks_writer(OutputFolder folder) { return std::make_unique<MasksWriter>(std::move(folder)); }
Writer crops_writer(OutputFolder folder) { return std::make_unique<CropsWriter>(std::move(folder)); }

}  // namespace florence2
