// Pictures as files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/result.hpp"
#include "tools/canvas.hpp"

namespace florence2 {

/// Rows of pixels without padding. Errors: memory.
Result<std::string> encode_png(const ImageView& image);
Result<std::string> encode_png(const Canvas& canvas);
/// One byte a pixel, [height][width].
Result<std::string> encode_grey_png(std::span<const std::uint8_t> pixels, int width, int height);
/// Pixels are numbers of palette entries, at most 256.
Result<std::string> encode_indexed_png(std::span<const std::uint8_t> pixels, int width, int height,
                                       std::span<const Color> palette);
/// Error limit for sides that JPEG cannot hold (over 65,535).
Result<std::string> encode_jpeg(const ImageView& image);

/// PNG or JPEG, as the extension of `name` says: is_picture_name() holds.
Result<std::string> encode_picture(const std::string& name, const ImageView& image);
/// Ends in .png, .jpg or .jpeg, in any case.
bool is_picture_name(const std::string& name);
/// The extension in lower case, as ".png".
std::string lower_extension(const std::string& name);

ImageView view_of(const Canvas& canvas);

}  // namespace florence2
