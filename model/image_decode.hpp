// What the picture decoders share: their input, their budgets, and the answers to files that break off. Private to
// model/.
//
// Every decoder works in the same order: read the header, check the sizes against the limits (allocate_pixels), and
// only then decode. The result is 8-bit RGB, converted as Pillow's convert("RGB") does it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "model/florence2.hpp"

namespace florence2 {

using Bytes = std::span<const std::uint8_t>;

inline constexpr std::int64_t kMaxSide = 65'535;
inline constexpr int kMaxScans = 100;                                    ///< of a progressive JPEG
inline constexpr std::int64_t kDecoderMemory = std::int64_t{512} << 20;  ///< beside the pixels themselves

/// CPU time this thread may spend on one picture. Decoders ask after every row, or as often as their library lets them.
class CpuBudget {
 public:
  explicit CpuBudget(double seconds = 10);
  bool spent() const;
  /// Error limit when spent.
  Status check() const;

 private:
  double seconds_;
  double start_;
};

/// What a decoder gets.
struct EncodedPicture {
  Bytes bytes;
  const PictureOptions& options;
  CpuBudget budget;
};

Result<Picture> decode_jpeg(const EncodedPicture& input);
Result<Picture> decode_png(const EncodedPicture& input);
Result<Picture> decode_webp(const EncodedPicture& input);
Result<Picture> decode_bmp(const EncodedPicture& input);
Result<Picture> decode_pnm(const EncodedPicture& input);
Result<Picture> decode_gif(const EncodedPicture& input);

enum class ImageFormat : std::uint8_t { jpeg, png, webp, bmp, pnm, gif };

/// "JPEG", "PNG", "WebP", "BMP", "PPM", "GIF".
std::string_view format_name(ImageFormat format);

/// The format by content. Errors: unsupported for pictures of other kinds, data for what is no picture.
Result<ImageFormat> sniff_format(Bytes bytes);

/// A warning when the extension of `name` promises another format, else empty.
std::string extension_warning(std::string_view name, ImageFormat format);

/// Turns the picture as its EXIF orientation asks. Damaged EXIF data changes nothing and leaves a warning.
void apply_exif_orientation(Picture& picture, ImageFormat format, Bytes bytes);

/// Sets the sides and makes the pixels black. Errors: data (a side below 1), limit (a side, or the number of pixels).
Status allocate_pixels(Picture& picture, std::int64_t width, std::int64_t height, const PictureOptions& options);

/// Gives all pixels one colour: what stays where a palette picture has no data is colour 0 of the palette, not black.
void fill_pixels(Picture& picture, const std::array<std::uint8_t, 3>& colour);

/// For a file that ends at `byte`, after `rows` whole rows: an error, or a warning in `picture` if that is allowed.
Status ends_early(Picture& picture, const PictureOptions& options, std::size_t byte, std::int64_t rows);
/// For a file that ends before its size is known.
Error ends_in_header(Bytes bytes);

/// Notes in `picture` that only the first of its frames is used.
void set_frames(Picture& picture, std::int64_t frames);

/// 16-bit grey as 8 bits: the high byte, or clipped at 255 as Pillow does it.
std::uint8_t grey16_level(unsigned value, const PictureOptions& options);
/// Notes in `picture` that the high byte was taken.
void note_grey16(Picture& picture, const PictureOptions& options);

/// 1234567 as "1,234,567".
std::string grouped(std::int64_t value);

/// Unsigned numbers at `offset`; the caller has checked that the bytes are there.
inline std::uint32_t little16(Bytes bytes, std::size_t offset) { return bytes[offset] | bytes[offset + 1] << 8; }
inline std::uint32_t little32(Bytes bytes, std::size_t offset) {
  return little16(bytes, offset) | little16(bytes, offset + 2) << 16;
}
inline std::uint32_t big16(Bytes bytes, std::size_t offset) { return bytes[offset] << 8 | bytes[offset + 1]; }
inline std::uint32_t big32(Bytes bytes, std::size_t offset) {
  return big16(bytes, offset) << 16 | big16(bytes, offset + 2);
}
/// White space of ASCII.
inline bool is_white(std::uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }
/// Whether `bytes` begins with `prefix` at `offset`.
bool has_at(Bytes bytes, std::size_t offset, std::string_view prefix);

}  // namespace florence2
