#include "tests/picture_files.hpp"

#include <spng.h>
#include <webp/encode.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

// clang-format off
#include <jpeglib.h>  // needs FILE and size_t
// clang-format on

namespace florence2::test {
namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

std::string bytes_of(const void* data, std::size_t size) { return {static_cast<const char*>(data), size}; }

/// One scan for every coefficient of every component.
std::vector<jpeg_scan_info> many_scans(int channels) {
  std::vector<jpeg_scan_info> scans;
  for (int first = 0; first < 64; ++first) {
    for (int channel = 0; channel < channels; ++channel) scans.push_back({1, {channel}, first, first, 0, 0});
  }
  return scans;
}

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

std::string riff_chunk(std::string_view type, std::string_view data) {
  std::string chunk = std::string(type) + little(data.size(), 4) + std::string(data);
  if (data.size() % 2 != 0) chunk += '\0';
  return chunk;
}

std::string riff(const std::string& chunks) { return "RIFF" + little(chunks.size() + 4, 4) + "WEBP" + chunks; }

std::string extended_header(std::uint8_t flags, int width, int height) {
  return riff_chunk("VP8X", little(flags, 4) + little(width - 1, 3) + little(height - 1, 3));
}

}  // namespace

std::string little(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string big(std::uint64_t value, int bytes) {
  std::string text = little(value, bytes);
  std::reverse(text.begin(), text.end());
  return text;
}

std::string make_jpeg(std::span<const std::uint8_t> samples, int width, int height, int channels, JpegKind kind) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &memory, &size);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = channels;
  jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 100, TRUE);
  jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;
  const auto scans = many_scans(channels);
  if (kind == JpegKind::progressive) jpeg_simple_progression(&jpeg);
  if (kind == JpegKind::scan_bomb) {
    jpeg.scan_info = scans.data();
    jpeg.num_scans = static_cast<int>(scans.size());
  }
  if (kind == JpegKind::arithmetic) jpeg.arith_code = TRUE;
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<std::uint8_t> copy(samples.begin(), samples.end());
  for (int y = 0; y < height; ++y) {
    JSAMPROW row = copy.data() + std::ptrdiff_t{y} * width * channels;
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  const std::unique_ptr<unsigned char, Free> owner(memory);
  return bytes_of(memory, size);
}

std::string make_jpeg(const Pattern& picture, JpegKind kind) {
  return make_jpeg(picture.rgb, picture.width, picture.height, 3, kind);
}

std::string with_jpeg_segment(std::string_view jpeg, std::uint8_t marker, std::string_view data) {
  std::string segment = "\xFF";
  segment += static_cast<char>(marker);
  segment += big(data.size() + 2, 2) + std::string(data);
  return std::string(jpeg).insert(2, segment);
}

std::string with_frame_byte(std::string_view jpeg, std::size_t offset, std::uint8_t value) {
  std::string copy(jpeg);
  std::size_t at = 2;
  while (static_cast<std::uint8_t>(copy[at + 1]) < 0xC0 || static_cast<std::uint8_t>(copy[at + 1]) > 0xC2) {
    at += 2 + static_cast<std::uint8_t>(copy[at + 2]) * 256u + static_cast<std::uint8_t>(copy[at + 3]);
  }
  copy[at + 1 + offset] = static_cast<char>(value);
  return copy;
}

std::string make_png(std::span<const std::uint8_t> samples, int width, int height, const PngKind& kind) {
  spng_ctx* context = spng_ctx_new(SPNG_CTX_ENCODER);
  spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1);
  spng_ihdr header{
      static_cast<std::uint32_t>(width),         static_cast<std::uint32_t>(height), kind.depth, kind.colour, 0, 0,
      static_cast<std::uint8_t>(kind.interlaced)};
  spng_set_ihdr(context, &header);
  if (!kind.palette.empty()) {
    spng_plte palette{};
    palette.n_entries = static_cast<std::uint32_t>(kind.palette.size() / 3);
    for (std::size_t i = 0; i < palette.n_entries; ++i) {
      palette.entries[i] = {kind.palette[3 * i], kind.palette[3 * i + 1], kind.palette[3 * i + 2], 255};
    }
    spng_set_plte(context, &palette);
  }
  int code = spng_encode_image(context, samples.data(), samples.size(), SPNG_FMT_RAW, SPNG_ENCODE_FINALIZE);
  INFO("PNG encoder: " << spng_strerror(code));
  REQUIRE(code == SPNG_OK);
  std::size_t size = 0;
  const std::unique_ptr<void, Free> owner(spng_get_png_buffer(context, &size, &code));
  spng_ctx_free(context);
  return bytes_of(owner.get(), size);
}

std::string make_png(const Pattern& picture) { return make_png(picture.rgb, picture.width, picture.height, {}); }

std::string png_chunk(std::string_view type, std::string_view data) {
  const std::string body = std::string(type) + std::string(data);
  return big(data.size(), 4) + body + big(crc32(body), 4);
}

std::string with_png_chunk(std::string_view png, std::string_view type, std::string_view data) {
  return std::string(png).insert(33, png_chunk(type, data));
}

std::string png_header(std::uint32_t width, std::uint32_t height) {
  using namespace std::string_literals;
  return "\x89PNG\r\n\x1A\n" + png_chunk("IHDR", big(width, 4) + big(height, 4) + "\x08\x02\0\0\0"s);
}

std::string make_webp(const Pattern& picture) {
  std::uint8_t* memory = nullptr;
  const std::size_t size =
      WebPEncodeLosslessRGB(picture.rgb.data(), picture.width, picture.height, 3 * picture.width, &memory);
  REQUIRE(size > 0);
  std::string file = bytes_of(memory, size);
  WebPFree(memory);
  return file;
}

std::string make_animated_webp(const Pattern& frame, int canvas_width, int canvas_height, int x, int y) {
  const std::string picture = make_webp(frame).substr(12);
  const auto place = [&](int left, int top) {
    return riff_chunk("ANMF", little(left / 2, 3) + little(top / 2, 3) + little(frame.width - 1, 3) +
                                  little(frame.height - 1, 3) + little(40, 3) + little(0, 1) + picture);
  };
  return riff(extended_header(2, canvas_width, canvas_height) +
              riff_chunk("ANIM", little(0xFF102030u, 4) + little(0, 2)) + place(x, y) + place(0, 0));
}

std::string make_webp_with_exif(const Pattern& picture, std::string_view exif) {
  return riff(extended_header(8, picture.width, picture.height) + make_webp(picture).substr(12) +
              riff_chunk("EXIF", exif));
}

/// Codes of 8 bits, never compressed: a clear code comes before the codes would need 9 bits.
std::string make_gif(int width, int height, const std::vector<GifFrame>& frames) {
  constexpr char kClear = '\x80', kEnd = '\x81';
  std::string file = "GIF89a" + little(width, 2) + little(height, 2) + little(0x86, 3);
  for (int i = 0; i < 128; ++i) file += little(i, 1) + little(2 * i, 1) + little(255 - i, 1);
  for (const GifFrame& frame : frames) {
    if (frame.transparent >= 0) file += "\x21\xF9\x04" + little(1, 3) + little(frame.transparent, 1) + little(0, 1);
    file += "\x2C" + little(frame.x, 2) + little(frame.y, 2) + little(frame.width, 2) + little(frame.height, 2);
    file += little(frame.interlaced ? 0x40 : 0, 1) + "\x07";
    std::string codes;
    for (std::size_t i = 0; i < frame.indices.size(); ++i) {
      if (i % 100 == 0) codes += kClear;
      codes += static_cast<char>(frame.indices[i]);
    }
    codes += kEnd;
    for (std::size_t i = 0; i < codes.size(); i += 255) {
      const std::string block = codes.substr(i, 255);
      file += little(block.size(), 1) + block;
    }
    file += '\0';
  }
  return file + "\x3B";
}

std::string make_bmp(int width, int height, int bits, std::string_view pixels, std::string_view palette,
                     std::uint32_t compression) {
  const std::size_t offset = 54 + palette.size();
  std::string file = "BM" + little(offset + pixels.size(), 4) + little(0, 4) + little(offset, 4);
  file += little(40, 4) + little(static_cast<std::uint32_t>(width), 4) + little(static_cast<std::uint32_t>(height), 4);
  file += little(1, 2) + little(bits, 2) + little(compression, 4) + little(pixels.size(), 4) + little(0, 8);
  const bool has_masks = compression == 3;
  file += little(has_masks ? 0 : palette.size() / 4, 4) + little(0, 4);
  return file + std::string(palette) + std::string(pixels);
}

std::string exif_orientation(unsigned orientation, bool little_endian) {
  const auto number = [&](std::uint64_t value, int bytes) {
    return little_endian ? little(value, bytes) : big(value, bytes);
  };
  return (little_endian ? "II" : "MM") + number(42, 2) + number(8, 4) + number(1, 2) + number(0x0112, 2) +
         number(3, 2) + number(1, 4) + number(orientation, 2) + number(0, 2) + number(0, 4);
}

}  // namespace florence2::test
