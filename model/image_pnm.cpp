// PBM, PGM and PPM (P1 to P6), a small bounded reader. Samples are scaled to 255 in double and rounded to even, as
// Pillow.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "model/image_decode.hpp"

namespace florence2 {
namespace {

constexpr int kMaxDigits = 10;

/// Numbers in text, with white space and comments between them.
class TextReader {
 public:
  explicit TextReader(Bytes bytes) : bytes_(bytes), position_(2) {}

  /// False at the end of the file.
  bool skip_blanks() {
    for (bool comment = false; position_ < bytes_.size(); ++position_) {
      const std::uint8_t byte = bytes_[position_];
      if (byte == '#') comment = true;
      if (byte == '\n' || byte == '\r') comment = false;
      if (!comment && !is_white(byte)) return true;
    }
    return false;
  }

  /// The number that begins here, of at most `digits` digits. Error data when there is none or more.
  Result<std::int64_t> number(int digits) {
    std::int64_t value = 0;
    int count = 0;
    for (; position_ < bytes_.size() && is_digit(bytes_[position_]) && count < digits; ++position_, ++count) {
      value = value * 10 + (bytes_[position_] - '0');
    }
    const bool goes_on = digits == kMaxDigits && position_ < bytes_.size() && !ends_number(bytes_[position_]);
    if (count == 0 || goes_on) {
      return Error{ErrorCode::data, "PPM: expected a number at byte " + std::to_string(position_), ""};
    }
    return value;
  }

  std::size_t position() const { return position_; }

 private:
  static bool is_digit(std::uint8_t byte) { return byte >= '0' && byte <= '9'; }
  static bool ends_number(std::uint8_t byte) { return is_white(byte) || byte == '#'; }

  Bytes bytes_;
  std::size_t position_;
};

struct Header {
  bool plain = false;  ///< samples as text
  bool bitmap = false;
  int channels = 1;
  std::int64_t width = 0, height = 0, maximum = 1;
};

Result<Header> read_header(Bytes bytes, TextReader& text) {
  Header header;
  const int kind = bytes[1] - '0';
  header.plain = kind <= 3;
  header.bitmap = kind % 3 == 1;
  header.channels = kind % 3 == 0 ? 3 : 1;
  for (std::int64_t* field : {&header.width, &header.height, &header.maximum}) {
    if (field == &header.maximum && header.bitmap) break;
    if (!text.skip_blanks()) return ends_in_header(bytes);
    FL_ASSIGN(*field, text.number(kMaxDigits));
  }
  if (header.maximum < 1 || header.maximum > 65'535) {
    return Error{ErrorCode::data, "PPM: maximum " + std::to_string(header.maximum) + " is not in 1…65535", ""};
  }
  if (text.position() >= bytes.size()) return ends_in_header(bytes);
  return header;
}

/// The 8-bit level of every sample value.
std::vector<std::uint8_t> make_levels(const Header& header, const PictureOptions& options) {
  if (header.bitmap) return {255, 0};
  std::vector<std::uint8_t> levels(static_cast<std::size_t>(header.maximum) + 1);
  const bool grey16 = header.channels == 1 && header.maximum > 255;
  const double full = grey16 ? 65'535 : 255;
  for (std::size_t value = 0; value < levels.size(); ++value) {
    const double share = static_cast<double>(value) / static_cast<double>(header.maximum);
    const auto level = static_cast<unsigned>(std::lrint(share * full));
    levels[value] = grey16 ? grey16_level(level, options) : static_cast<std::uint8_t>(level);
  }
  return levels;
}

class SampleReader {
 public:
  SampleReader(const Header& header, const EncodedPicture& input)
      : header_(header), input_(input), levels_(make_levels(header, input.options)) {}

  /// Samples as bytes, two bytes above 255, or bits; `position` is where they begin.
  Status read_binary(Picture& picture, std::size_t position) const {
    const std::int64_t samples = header_.width * header_.channels;
    const std::int64_t sample_bytes = header_.maximum > 255 ? 2 : 1;
    const auto row_bytes = static_cast<std::size_t>(header_.bitmap ? (samples + 7) / 8 : samples * sample_bytes);
    for (std::int64_t y = 0; y < header_.height; ++y, position += row_bytes) {
      if (input_.bytes.size() - position < row_bytes) return stop(picture, y);
      const Bytes row = input_.bytes.subspan(position, row_bytes);
      for (std::int64_t i = 0; i < samples; ++i) store(picture, y * samples + i, sample(row, i));
      FL_TRY(input_.budget.check());
    }
    return {};
  }

  /// Samples as text; the digits of a bitmap may touch.
  Status read_plain(Picture& picture, TextReader& text) const {
    const std::int64_t samples = header_.width * header_.channels;
    for (std::int64_t i = 0; i < samples * header_.height; ++i) {
      if (!text.skip_blanks()) return stop(picture, i / samples);
      FL_ASSIGN(const std::int64_t value, text.number(header_.bitmap ? 1 : kMaxDigits));
      if (value > header_.maximum) {
        return Error{ErrorCode::data,
                     "PPM: sample " + std::to_string(value) + " over maximum " + std::to_string(header_.maximum), ""};
      }
      store(picture, i, static_cast<std::size_t>(value));
      if (i % samples == 0) FL_TRY(input_.budget.check());
    }
    return {};
  }

 private:
  Status stop(Picture& picture, std::int64_t rows) const {
    return ends_early(picture, input_.options, input_.bytes.size(), rows);
  }

  std::size_t sample(Bytes row, std::int64_t index) const {
    const auto i = static_cast<std::size_t>(index);
    if (header_.bitmap) return row[i / 8] >> (7 - i % 8) & 1;
    return header_.maximum > 255 ? big16(row, 2 * i) : row[i];
  }

  /// Sample `index` of the picture; grey is replicated.
  void store(Picture& picture, std::int64_t index, std::size_t value) const {
    const std::uint8_t level = levels_[std::min(value, levels_.size() - 1)];
    if (header_.channels == 3) {
      picture.rgb[static_cast<std::size_t>(index)] = level;
    } else {
      std::memset(picture.rgb.data() + 3 * index, level, 3);
    }
  }

  const Header& header_;
  const EncodedPicture& input_;
  std::vector<std::uint8_t> levels_;
};

}  // namespace

Result<Picture> decode_pnm(const EncodedPicture& input) {
  TextReader text(input.bytes);
  FL_ASSIGN(const Header header, read_header(input.bytes, text));
  Picture picture;
  FL_TRY(allocate_pixels(picture, header.width, header.height, input.options));
  if (header.channels == 1 && header.maximum > 255) note_grey16(picture, input.options);
  const SampleReader reader(header, input);
  if (header.plain) {
    FL_TRY(reader.read_plain(picture, text));
  } else {
    FL_TRY(reader.read_binary(picture, text.position() + 1));  // one byte of white space ends the header
  }
  return picture;
}

}  // namespace florence2
