#include "tools/picture_file.hpp"

#include <spng.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace florence2 {
namespace {

constexpr int kJpegQuality = 92, kLongestJpegSide = 65535;

struct PngLayout {
  int width, height, color_type;
  std::span<const Color> palette = {};
};

Error failed(int code) {
  if (code == SPNG_EMEM) return {ErrorCode::memory, "out of memory while writing a PNG file", {}};
  return {ErrorCode::internal, std::string("writing a PNG file: ") + spng_strerror(code), {}};
}

int set_palette(spng_ctx* context, std::span<const Color> palette) {
  if (palette.empty()) return 0;
  spng_plte table{};
  table.n_entries = static_cast<std::uint32_t>(palette.size());
  for (std::size_t i = 0; i < palette.size(); ++i) {
    table.entries[i] = {palette[i].r, palette[i].g, palette[i].b, 255};
  }
  return spng_set_plte(context, &table);
}

Result<std::string> encode(std::span<const std::uint8_t> pixels, const PngLayout& layout) {
  const std::unique_ptr<spng_ctx, decltype(&spng_ctx_free)> context(spng_ctx_new(SPNG_CTX_ENCODER), spng_ctx_free);
  if (!context) return failed(SPNG_EMEM);
  spng_ihdr header{};
  header.width = static_cast<std::uint32_t>(layout.width);
  header.height = static_cast<std::uint32_t>(layout.height);
  header.bit_depth = 8;
  header.color_type = static_cast<std::uint8_t>(layout.color_type);
  int code = spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1);
  if (code == 0) code = spng_set_ihdr(context.get(), &header);
  if (code == 0) code = set_palette(context.get(), layout.palette);
  if (code == 0)
    code = spng_encode_image(context.get(), pixels.data(), pixels.size(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
  if (code != 0) return failed(code);
  std::size_t size = 0;
  const std::unique_ptr<void, decltype(&std::free)> file(spng_get_png_buffer(context.get(), &size, &code), std::free);
  if (!file) return failed(code);
  return std::string(static_cast<const char*>(file.get()), size);
}

/// All pixels of a picture whose rows follow each other without padding.
std::span<const std::uint8_t> pixels_of(const ImageView& image) {
  return {image.rgb, std::size_t{3} * static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height)};
}

}  // namespace

Result<std::string> encode_png(const ImageView& image) {
  return encode(pixels_of(image), {image.width, image.height, SPNG_COLOR_TYPE_TRUECOLOR});
}

Result<std::string> encode_png(const Canvas& canvas) { return encode_png(view_of(canvas)); }

Result<std::string> encode_grey_png(std::span<const std::uint8_t> pixels, int width, int height) {
  return encode(pixels, {width, height, SPNG_COLOR_TYPE_GRAYSCALE});
}

Result<std::string> encode_indexed_png(std::span<const std::uint8_t> pixels, int width, int height,
                                       std::span<const Color> palette) {
  return encode(pixels, {width, height, SPNG_COLOR_TYPE_INDEXED, palette});
}

Result<std::string> encode_jpeg(const ImageView& image) {
  if (image.width > kLongestJpegSide || image.height > kLongestJpegSide) {
    return Error{ErrorCode::limit, "JPEG holds at most 65,535 pixels a side; write a PNG file", {}};
  }
  std::string file;
  const auto append = [](void* context, void* data, int size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  if (stbi_write_jpg_to_func(append, &file, image.width, image.height, 3, image.rgb, kJpegQuality) == 0) {
    return Error{ErrorCode::memory, "out of memory while writing a JPEG file", {}};
  }
  return file;
}

std::string lower_extension(const std::string& name) {
  std::string extension = std::filesystem::path(name).extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension;
}

bool is_picture_name(const std::string& name) {
  const std::string extension = lower_extension(name);
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

Result<std::string> encode_picture(const std::string& name, const ImageView& image) {
  return lower_extension(name) == ".png" ? encode_png(image) : encode_jpeg(image);
}

ImageView view_of(const Canvas& canvas) {
  return {canvas.rgb().data(), canvas.width(), canvas.height(), std::ptrdiff_t{3} * canvas.width()};
}

}  // namespace florence2
