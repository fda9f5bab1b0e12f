// GIF through giflib: the first frame on its screen, as Pillow's convert("RGB") shows it (transparency is ignored).
#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "model/image_decode.hpp"

namespace florence2 {
namespace {

struct Source {
  Bytes bytes;
  std::size_t position = 0;
  bool ended = false;  ///< more was asked for than there is

  static int read(GifFileType* gif, GifByteType* dst, int length) {
    auto& source = *static_cast<Source*>(gif->UserData);
    const std::size_t rest = source.bytes.size() - source.position;
    const std::size_t count = std::min(rest, static_cast<std::size_t>(length));
    std::memcpy(dst, source.bytes.data() + source.position, count);
    source.position += count;
    if (count < static_cast<std::size_t>(length)) source.ended = true;
    return static_cast<int>(count);
  }
};

struct Close {
  void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
};

/// The blocks of a GIF after its header; counts pictures without decoding them.
class BlockWalker {
 public:
  explicit BlockWalker(Bytes bytes) : bytes_(bytes) {}

  std::int64_t count_frames() {
    constexpr std::size_t kScreen = 13;
    position_ = bytes_.size() < kScreen ? bytes_.size() : kScreen + colours(bytes_[10]);
    std::int64_t frames = 0;
    while (position_ + 10 < bytes_.size()) {
      if (bytes_[position_] == 0x2C) {  // picture: place, colours, code size, data
        position_ += 11 + colours(bytes_[position_ + 9]);
        ++frames;
      } else if (bytes_[position_] == 0x21) {  // extension: label, data
        position_ += 2;
      } else {
        break;
      }
      skip_data();
    }
    return frames;
  }

 private:
  static std::size_t colours(std::uint8_t flags) { return (flags & 0x80) != 0 ? std::size_t{6} << (flags & 7) : 0; }

  void skip_data() {
    while (position_ < bytes_.size() && bytes_[position_] != 0) position_ += 1 + std::size_t{bytes_[position_]};
    ++position_;
  }

  Bytes bytes_;
  std::size_t position_ = 0;
};

class GifReader {
 public:
  explicit GifReader(const EncodedPicture& input) : input_(input), source_{input.bytes} {}

  Result<Picture> read();

 private:
  Status find_frame();
  Status read_extension();
  Status read_rows(Picture& picture);
  void fill_palette();
  Error error() const;
  bool ended() const { return source_.ended || gif_->Error == D_GIF_ERR_EOF_TOO_SOON; }

  const EncodedPicture& input_;
  Source source_;
  std::unique_ptr<GifFileType, Close> gif_;
  GifByteType background_ = 0;                              ///< colour index where the frame leaves the screen free
  std::array<std::array<std::uint8_t, 3>, 256> palette_{};  ///< black beyond the file's colours
};

Error GifReader::error() const {
  if (ended()) return ends_in_header(input_.bytes);
  const char* text = GifErrorString(gif_->Error);
  return {ErrorCode::data, std::string("GIF: ") + (text != nullptr ? text : "damaged data"), ""};
}

/// Reads one extension; the graphics control extension may name a transparent colour.
Status GifReader::read_extension() {
  int label = 0;
  GifByteType* block = nullptr;
  if (DGifGetExtension(gif_.get(), &label, &block) == GIF_ERROR) return error();
  while (block != nullptr) {
    const bool has_transparent = label == GRAPHICS_EXT_FUNC_CODE && block[0] >= 4 && (block[1] & 1) != 0;
    if (has_transparent) background_ = block[4];
    if (DGifGetExtensionNext(gif_.get(), &block) == GIF_ERROR) return error();
  }
  return {};
}

/// Moves to the data of the first frame.
Status GifReader::find_frame() {
  GifRecordType record = UNDEFINED_RECORD_TYPE;
  while (record != IMAGE_DESC_RECORD_TYPE) {
    if (DGifGetRecordType(gif_.get(), &record) == GIF_ERROR) return error();
    if (record == TERMINATE_RECORD_TYPE) return Error{ErrorCode::data, "GIF: holds no picture", ""};
    if (record == EXTENSION_RECORD_TYPE) FL_TRY(read_extension());
  }
  if (DGifGetImageDesc(gif_.get()) == GIF_ERROR) return error();
  return {};
}

/// The frame's own colours, else the file's, else grey levels.
void GifReader::fill_palette() {
  const ColorMapObject* colours = gif_->Image.ColorMap != nullptr ? gif_->Image.ColorMap : gif_->SColorMap;
  const int count = colours != nullptr ? std::min(colours->ColorCount, 256) : 256;
  for (int i = 0; i < count; ++i) {
    const auto level = static_cast<std::uint8_t>(i);
    palette_[i] = {level, level, level};
    if (colours != nullptr) palette_[i] = {colours->Colors[i].Red, colours->Colors[i].Green, colours->Colors[i].Blue};
  }
}

Status GifReader::read_rows(Picture& picture) {
  constexpr std::array<std::array<int, 2>, 4> kInterlaced{{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
  constexpr std::array<std::array<int, 2>, 1> kPlain{{{0, 1}}};
  const GifImageDesc& frame = gif_->Image;
  const std::span<const std::array<int, 2>> passes =
      frame.Interlace ? std::span<const std::array<int, 2>>(kInterlaced) : std::span<const std::array<int, 2>>(kPlain);
  std::vector<GifByteType> row(static_cast<std::size_t>(frame.Width));
  std::int64_t rows = 0;
  for (const auto [first, step] : passes) {
    for (int y = first; y < frame.Height; y += step, ++rows) {
      std::fill(row.begin(), row.end(), background_);
      const bool done = DGifGetLine(gif_.get(), row.data(), frame.Width) != GIF_ERROR;
      if (!done && !ended()) return error();
      std::uint8_t* dst = picture.rgb.data() + 3 * (std::int64_t{frame.Top + y} * picture.width + frame.Left);
      for (const GifByteType index : row) dst = std::copy_n(palette_[index].data(), 3, dst);
      if (!done) return ends_early(picture, input_.options, source_.position, rows);
      FL_TRY(input_.budget.check());
    }
  }
  return {};
}

Result<Picture> GifReader::read() {
  int code = 0;
  gif_.reset(DGifOpen(&source_, &Source::read, &code));
  if (!gif_ && code == D_GIF_ERR_NOT_ENOUGH_MEM) {
    return Error{ErrorCode::memory, "out of memory decoding the picture", ""};
  }
  if (!gif_) return ends_in_header(input_.bytes);
  FL_TRY(find_frame());
  const GifImageDesc& frame = gif_->Image;
  if (frame.Width < 1) return Error{ErrorCode::data, "width is 0", ""};
  if (frame.Height < 1) return Error{ErrorCode::data, "height is 0", ""};
  Picture picture;
  FL_TRY(allocate_pixels(picture, std::max(gif_->SWidth, frame.Left + frame.Width),
                         std::max(gif_->SHeight, frame.Top + frame.Height), input_.options));
  fill_palette();
  fill_pixels(picture, palette_[background_]);
  FL_TRY(read_rows(picture));
  set_frames(picture, BlockWalker(input_.bytes).count_frames());
  return picture;
}

}  // namespace

Result<Picture> decode_gif(const EncodedPicture& input) { return GifReader(input).read(); }

}  // namespace florence2
