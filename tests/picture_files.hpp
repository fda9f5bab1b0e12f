// Small picture files, made in the test: through the libraries' encoders, or byte by byte.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/patterns.hpp"

namespace florence2::test {

/// Numbers as bytes.
std::string little(std::uint64_t value, int bytes);
std::string big(std::uint64_t value, int bytes);

enum class JpegKind { baseline, progressive, scan_bomb, arithmetic };

/// Interleaved samples of 1 (grey), 3 (RGB) or 4 (CMYK as stored) channels, quality 100, no chroma subsampling.
std::string make_jpeg(std::span<const std::uint8_t> samples, int width, int height, int channels,
                      JpegKind kind = JpegKind::baseline);
std::string make_jpeg(const Pattern& picture, JpegKind kind = JpegKind::baseline);
/// Puts a segment (marker 0xFFE1, ...) behind the first marker.
std::string with_jpeg_segment(std::string_view jpeg, std::uint8_t marker, std::string_view data);
/// Replaces the byte `offset` bytes behind the start-of-frame marker; 0 is the marker itself.
std::string with_frame_byte(std::string_view jpeg, std::size_t offset, std::uint8_t value);

struct PngKind {
  std::uint8_t colour = 2;  ///< 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
  std::uint8_t depth = 8;
  bool interlaced = false;
  std::vector<std::uint8_t> palette = {};  ///< [entry][3]
};

/// `samples`: whole rows as PNG stores them (big-endian, bits packed).
std::string make_png(std::span<const std::uint8_t> samples, int width, int height, const PngKind& kind);
std::string make_png(const Pattern& picture);
/// A chunk with its checksum.
std::string png_chunk(std::string_view type, std::string_view data);
/// Puts a chunk behind IHDR.
std::string with_png_chunk(std::string_view png, std::string_view type, std::string_view data);
/// Only the signature and IHDR (RGB, 8 bits): enough to be judged by its size.
std::string png_header(std::uint32_t width, std::uint32_t height);

std::string make_webp(const Pattern& picture);
/// Two lossless frames on a canvas; the first one lies at (x, y), both even.
std::string make_animated_webp(const Pattern& frame, int canvas_width, int canvas_height, int x, int y);
/// With an EXIF chunk.
std::string make_webp_with_exif(const Pattern& picture, std::string_view exif);

struct GifFrame {
  int x = 0, y = 0, width = 1, height = 1;
  std::vector<std::uint8_t> indices;  ///< below 128, in the order of the file
  bool interlaced = false;
  int transparent = -1;
};

/// Colour i of the palette is (i, 2 i, 255 - i).
std::string make_gif(int width, int height, const std::vector<GifFrame>& frames);

/// A BMP with a 40-byte header; `height` below 0 is top-down. `pixels`: everything behind the palette.
std::string make_bmp(int width, int height, int bits, std::string_view pixels, std::string_view palette = {},
                     std::uint32_t compression = 0);

/// A TIFF structure with nothing but an orientation.
std::string exif_orientation(unsigned orientation, bool little_endian);

}  // namespace florence2::test
