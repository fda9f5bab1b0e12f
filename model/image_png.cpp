// PNG through libspng. libspng sees the critical chunks only: colour profiles, texts, transparency and the like change
// nothing here, so nobody has to unpack them (Pillow's convert("RGB") drops alpha and ignores tRNS and gamma).
#include <spng.h>

#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "model/image_decode.hpp"
#include "model/image_png_chunks.hpp"

namespace florence2 {
namespace {

using Colour = std::array<std::uint8_t, 3>;

/// From the samples of one scanline to RGB.
class PixelConverter {
 public:
  PixelConverter(const spng_ihdr& header, const spng_plte& palette, const PictureOptions& options)
      : depth_(header.bit_depth), options_(options) {
    const bool grey = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE;
    const bool grey_alpha = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
    has_levels_ = depth_ <= 8 && (grey || header.color_type == SPNG_COLOR_TYPE_INDEXED);
    is_grey16_ = grey && depth_ == 16;
    const int channels = grey_alpha ? 2 : header.color_type == SPNG_COLOR_TYPE_TRUECOLOR ? 3 : 4;
    const int sample_bytes = depth_ / 8;
    pixel_bytes_ = channels * sample_bytes;
    channel_bytes_ = grey_alpha ? 0 : sample_bytes;
    if (has_levels_) fill_levels(grey, palette);
  }

  bool is_grey16() const { return is_grey16_; }
  /// Of pixels without data.
  const Colour& background() const { return levels_[0]; }

  /// Writes `count` pixels, `step` pixels apart.
  void convert(std::uint8_t* dst, const std::uint8_t* row, int count, int step) const {
    for (int i = 0; i < count; ++i, dst += 3 * step) {
      if (has_levels_) {
        const std::int64_t bit = std::int64_t{i} * depth_;
        const unsigned sample = row[bit >> 3] >> (8 - depth_ - (bit & 7)) & ((1u << depth_) - 1);
        std::memcpy(dst, levels_[sample].data(), 3);
      } else if (is_grey16_) {
        std::memset(dst, grey16_level(big16({row + 2 * std::ptrdiff_t{i}, 2}, 0), options_), 3);
      } else {
        const std::uint8_t* pixel = row + std::ptrdiff_t{i} * pixel_bytes_;
        for (int channel = 0; channel < 3; ++channel) dst[channel] = pixel[channel * channel_bytes_];
      }
    }
  }

 private:
  void fill_levels(bool grey, const spng_plte& palette) {
    for (unsigned i = 0; i < 1u << depth_; ++i) {
      const auto level = static_cast<std::uint8_t>(i * 255 / ((1u << depth_) - 1));
      if (grey) levels_[i] = {level, level, level};
      if (!grey && i < palette.n_entries) {
        levels_[i] = {palette.entries[i].red, palette.entries[i].green, palette.entries[i].blue};
      }
    }
  }

  int depth_;
  const PictureOptions& options_;
  bool has_levels_ = false;
  bool is_grey16_ = false;
  int pixel_bytes_ = 0;
  int channel_bytes_ = 0;             ///< from red to green to blue; the high byte comes first
  std::array<Colour, 256> levels_{};  ///< colour of a sample; black beyond the palette
};

struct ContextDelete {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
using Context = std::unique_ptr<spng_ctx, ContextDelete>;

int read_chunks(spng_ctx*, void* chunks, void* dst, std::size_t length) {
  return static_cast<PngChunks*>(chunks)->copy(static_cast<std::uint8_t*>(dst), length) ? SPNG_OK : SPNG_IO_EOF;
}

class PngReader {
 public:
  explicit PngReader(const EncodedPicture& input) : input_(input), chunks_(input.bytes) {}

  Result<Picture> read();

 private:
  Status open(Picture& picture);
  Status read_rows(Picture& picture);
  Error error(int code) const;
  Status stopped(int code, Picture& picture, std::int64_t rows) const;

  const EncodedPicture& input_;
  PngChunks chunks_;
  Context context_;
  spng_ihdr header_{};
};

Error PngReader::error(int code) const {
  if (code == SPNG_EMEM) return {ErrorCode::memory, "out of memory decoding the picture", ""};
  if (chunks_.damage()) return *chunks_.damage();
  return {ErrorCode::data, std::string("PNG: ") + spng_strerror(code), ""};
}

Status PngReader::stopped(int code, Picture& picture, std::int64_t rows) const {
  if (code != SPNG_IO_EOF || chunks_.damage()) return error(code);
  return ends_early(picture, input_.options, input_.bytes.size(), rows);
}

/// The sides stand at a fixed place: they are judged before libspng sees the file.
Status PngReader::open(Picture& picture) {
  const Bytes bytes = input_.bytes;
  constexpr std::size_t kHeaderEnd = kPngSignature + kPngChunkFrame + 13;
  if (bytes.size() < kHeaderEnd) return ends_in_header(bytes);
  if (!has_at(bytes, kPngSignature + 4, "IHDR")) return Error{ErrorCode::data, "PNG: does not begin with IHDR", ""};
  FL_TRY(allocate_pixels(picture, big32(bytes, 16), big32(bytes, 20), input_.options));

  context_.reset(spng_ctx_new(0));
  if (!context_) return error(SPNG_EMEM);
  spng_set_image_limits(context_.get(), kMaxSide, kMaxSide);
  spng_set_chunk_limits(context_.get(), kDecoderMemory, kDecoderMemory);
  spng_set_crc_action(context_.get(), SPNG_CRC_USE, SPNG_CRC_USE);  // PngChunks has checked them
  spng_set_png_stream(context_.get(), &read_chunks, &chunks_);
  const int code = spng_get_ihdr(context_.get(), &header_);
  if (code != SPNG_OK) return error(code);
  return {};
}

/// Where the pixels of an interlaced pass lie in a row: first column and distance.
constexpr std::array<std::array<int, 2>, 7> kPassColumns{{{0, 8}, {4, 8}, {0, 4}, {2, 4}, {0, 2}, {1, 2}, {0, 1}}};

Status PngReader::read_rows(Picture& picture) {
  spng_ctx* context = context_.get();
  int code = spng_decode_image(context, nullptr, 0, SPNG_FMT_RAW, SPNG_DECODE_PROGRESSIVE);
  if (code != SPNG_OK) return stopped(code, picture, 0);
  spng_plte palette{};
  spng_get_plte(context, &palette);
  const PixelConverter converter(header_, palette, input_.options);
  if (header_.color_type == SPNG_COLOR_TYPE_INDEXED) fill_pixels(picture, converter.background());
  if (converter.is_grey16()) note_grey16(picture, input_.options);

  std::vector<std::uint8_t> row(std::size_t{header_.width} * 8 + 1);
  std::int64_t rows = 0;
  while (code == SPNG_OK) {
    spng_row_info info{};
    spng_get_row_info(context, &info);
    code = spng_decode_scanline(context, row.data(), row.size());
    if (code != SPNG_OK && code != SPNG_EOI) return stopped(code, picture, rows);
    const auto [first, step] = header_.interlace_method != 0 ? kPassColumns[info.pass] : std::array{0, 1};
    const std::int64_t pixel = std::int64_t{info.row_num} * picture.width + first;
    converter.convert(picture.rgb.data() + 3 * pixel, row.data(), (picture.width - first + step - 1) / step, step);
    rows = step == 1 ? info.row_num + 1 : 0;  // a row is whole when the last pass has filled it
    FL_TRY(input_.budget.check());
  }
  code = spng_decode_chunks(context);  // the rest of the file, up to IEND
  if (code != SPNG_OK) return stopped(code, picture, picture.height);
  return {};
}

Result<Picture> PngReader::read() {
  Picture picture;
  FL_TRY(open(picture));
  FL_TRY(read_rows(picture));
  set_frames(picture, count_png_frames(input_.bytes));
  return picture;
}

}  // namespace

Result<Picture> decode_png(const EncodedPicture& input) { return PngReader(input).read(); }

}  // namespace florence2
