// BMP, a small bounded reader: OS/2 and Windows headers, 1 to 32 bits, bit fields, run lengths, either row order.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "model/image_decode.hpp"

namespace florence2 {
namespace {

using Colour = std::array<std::uint8_t, 3>;

constexpr std::size_t kFileHeader = 14;
constexpr std::uint32_t kOs2Header = 12;

enum Compression : std::uint32_t { kNone = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3, kAlphaBitFields = 6 };

struct Header {
  std::int64_t width = 0, height = 0;
  bool top_down = false;
  int bits = 0;
  std::uint32_t compression = kNone;
  std::size_t pixels = 0;                ///< where they begin in the file
  std::array<std::uint32_t, 3> masks{};  ///< of red, green and blue, for 16 and 32 bits
  std::array<Colour, 256> palette{};     ///< black beyond the file's colours
};

Error unsupported(const std::string& what) { return {ErrorCode::unsupported, "BMP: " + what + " not supported", ""}; }

/// Size, depth and compression; the header's length has been checked against the file.
Status read_fields(Header& header, Bytes bytes, std::uint32_t header_size) {
  if (header_size == kOs2Header) {
    header.width = little16(bytes, 18);
    header.height = little16(bytes, 20);
    header.bits = static_cast<int>(little16(bytes, 24));
  } else {
    header.width = static_cast<std::int32_t>(little32(bytes, 18));
    header.height = static_cast<std::int32_t>(little32(bytes, 22));
    header.bits = static_cast<int>(little16(bytes, 28));
    header.compression = little32(bytes, 30);
  }
  header.top_down = header.height < 0;
  if (header.top_down) header.height = -header.height;

  const int bits = header.bits;
  const bool known_depth = bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32;
  if (!known_depth) return unsupported(std::to_string(bits) + " bits a pixel are");
  const bool os2 = header_size == 64;  // its compressions above 2 are others
  const std::uint32_t compression = header.compression;
  const bool has_fields = !os2 && (compression == kBitFields || compression == kAlphaBitFields) && bits >= 16;
  const bool known_compression =
      compression == kNone || has_fields || (compression == kRle8 && bits == 8) || (compression == kRle4 && bits == 4);
  if (!known_compression) {
    return unsupported("compression " + std::to_string(compression) + " with " + std::to_string(bits) + " bits is");
  }
  return {};
}

/// Reads or sets the masks; `position` moves behind those that follow a 40-byte header.
Status read_masks(Header& header, Bytes bytes, std::uint32_t header_size, std::size_t& position) {
  header.masks = header.bits == 16 ? std::array{0x7C00u, 0x3E0u, 0x1Fu} : std::array{0xFF0000u, 0xFF00u, 0xFFu};
  if (header.compression != kBitFields && header.compression != kAlphaBitFields) return {};
  constexpr std::size_t kMasks = kFileHeader + 40;
  const std::size_t count = header.compression == kBitFields ? 3 : 4;
  if (header_size == 40) position += 4 * count;
  if (bytes.size() < kMasks + 12) return ends_in_header(bytes);
  const std::array masks{little32(bytes, kMasks), little32(bytes, kMasks + 4), little32(bytes, kMasks + 8)};
  if (masks == std::array{0u, 0u, 0u}) return {};
  for (const std::uint32_t mask : masks) {
    const std::uint32_t ones = mask == 0 ? 0 : mask >> std::countr_zero(mask);
    if (mask == 0 || (ones & (ones + 1)) != 0) return unsupported("bit masks with gaps are");
  }
  header.masks = masks;
  return {};
}

Status read_palette(Header& header, Bytes bytes, std::uint32_t header_size, std::size_t& position) {
  const std::size_t entry = header_size == kOs2Header ? 3 : 4;
  std::size_t count = header_size == kOs2Header ? 0 : little32(bytes, 46);
  if (header.bits > 8) {
    position += std::min<std::size_t>(count, 65'536) * entry;  // a hint for old screens
    return {};
  }
  if (count == 0) count = std::size_t{1} << header.bits;
  if (count > 256) return Error{ErrorCode::data, "BMP: " + std::to_string(count) + " colours, limit 256", ""};
  if (position > bytes.size() || bytes.size() - position < count * entry) return ends_in_header(bytes);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = position + i * entry;
    header.palette[i] = {bytes[at + 2], bytes[at + 1], bytes[at]};
  }
  position += count * entry;
  return {};
}

Result<Header> read_header(Bytes bytes) {
  if (bytes.size() < kFileHeader + kOs2Header) return ends_in_header(bytes);
  const std::uint32_t header_size = little32(bytes, kFileHeader);
  constexpr std::array kSizes{kOs2Header, 40u, 52u, 56u, 64u, 108u, 124u};
  if (std::find(kSizes.begin(), kSizes.end(), header_size) == kSizes.end()) {
    return unsupported("a header of " + std::to_string(header_size) + " bytes is");
  }
  if (bytes.size() < kFileHeader + header_size) return ends_in_header(bytes);

  Header header;
  FL_TRY(read_fields(header, bytes, header_size));
  std::size_t position = kFileHeader + header_size;
  FL_TRY(read_masks(header, bytes, header_size, position));
  FL_TRY(read_palette(header, bytes, header_size, position));
  const std::size_t offset = little32(bytes, 10);
  header.pixels = offset != 0 ? offset : position;
  return header;
}

std::uint8_t field(std::uint32_t pixel, std::uint32_t mask) {
  const std::uint64_t largest = mask >> std::countr_zero(mask);
  const std::uint64_t value = (pixel & mask) >> std::countr_zero(mask);
  return static_cast<std::uint8_t>(value * 255 / largest);
}

void convert_row(std::uint8_t* dst, Bytes row, const Header& header) {
  const int bits = header.bits;
  for (std::int64_t x = 0; x < header.width; ++x, dst += 3) {
    const auto at = static_cast<std::size_t>(x * bits / 8);
    Colour colour{};
    if (bits == 24) {
      colour = {row[at + 2], row[at + 1], row[at]};
    } else if (bits > 8) {
      const std::uint32_t pixel = bits == 16 ? little16(row, at) : little32(row, at);
      for (std::size_t channel = 0; channel < 3; ++channel) colour[channel] = field(pixel, header.masks[channel]);
    } else {
      const unsigned shift = 8 - bits - static_cast<unsigned>(x * bits % 8);
      colour = header.palette[row[at] >> shift & ((1u << bits) - 1)];
    }
    std::copy_n(colour.data(), 3, dst);
  }
}

/// The row of the picture that is the file's row `index`.
std::int64_t picture_row(const Header& header, std::int64_t index) {
  return header.top_down ? index : header.height - 1 - index;
}

Status read_rows(Picture& picture, const Header& header, const EncodedPicture& input) {
  const auto row_bytes = static_cast<std::size_t>((header.width * header.bits + 7) / 8);
  const std::size_t stride = (row_bytes + 3) / 4 * 4;
  const Bytes bytes = input.bytes;
  for (std::int64_t index = 0; index < header.height; ++index) {
    const std::size_t begin = header.pixels + static_cast<std::size_t>(index) * stride;
    if (begin > bytes.size() || bytes.size() - begin < row_bytes) {
      return ends_early(picture, input.options, bytes.size(), index);
    }
    std::uint8_t* dst = picture.rgb.data() + 3 * picture_row(header, index) * header.width;
    convert_row(dst, bytes.subspan(begin, row_bytes), header);
    FL_TRY(input.budget.check());
  }
  return {};
}

/// Run-length data: pairs (count, colour), and escapes (0, 0: end of row; 0, 1: end; 0, 2, dx, dy: move; 0, n: n
/// colours).
class RunReader {
 public:
  RunReader(Picture& picture, const Header& header, const EncodedPicture& input)
      : picture_(picture), header_(header), input_(input), position_(header.pixels) {}

  Status read() {
    while (y_ < header_.height && !(y_ == header_.height - 1 && x_ >= header_.width)) {
      if (!has(2)) return ends_early(picture_, input_.options, input_.bytes.size(), y_);
      const unsigned count = next(), value = next();
      if (count > 0) {
        for (unsigned i = 0; i < count; ++i) put(value, i);
      } else if (value == 0) {
        x_ = 0;
        ++y_;
        FL_TRY(input_.budget.check());
      } else if (value == 1) {
        break;
      } else if (!read_escape(value)) {
        return ends_early(picture_, input_.options, input_.bytes.size(), y_);
      }
    }
    return {};
  }

 private:
  bool has(std::size_t count) const {
    return position_ <= input_.bytes.size() && input_.bytes.size() - position_ >= count;
  }
  unsigned next() { return input_.bytes[position_++]; }

  /// Moves, or reads `value` single colours; false at the end of the file.
  bool read_escape(unsigned value) {
    if (value == 2) {
      if (!has(2)) return false;
      x_ += next();
      y_ += next();
      return true;
    }
    const std::size_t size = header_.bits == 8 ? value : (value + 1) / 2;
    if (!has(size)) return false;
    for (unsigned i = 0; i < value; ++i) put(input_.bytes[position_ + (header_.bits == 8 ? i : i / 2)], i);
    position_ += (size + 1) / 2 * 2;  // the data is padded to 16 bits
    return true;
  }

  /// The next pixel; with 4 bits, `value` holds two colours that take turns.
  void put(unsigned value, unsigned turn) {
    if (x_ < header_.width && y_ < header_.height) {
      const unsigned index = header_.bits == 8 ? value : turn % 2 == 0 ? value >> 4 : value & 15;
      const std::int64_t pixel = picture_row(header_, y_) * header_.width + x_;
      std::copy_n(header_.palette[index].data(), 3, picture_.rgb.data() + 3 * pixel);
    }
    ++x_;
  }

  Picture& picture_;
  const Header& header_;
  const EncodedPicture& input_;
  std::size_t position_;
  std::int64_t x_ = 0, y_ = 0;  ///< in the file's order of rows
};

}  // namespace

Result<Picture> decode_bmp(const EncodedPicture& input) {
  FL_ASSIGN(const Header header, read_header(input.bytes));
  Picture picture;
  FL_TRY(allocate_pixels(picture, header.width, header.height, input.options));
  if (header.bits <= 8) fill_pixels(picture, header.palette[0]);
  if (header.compression == kRle8 || header.compression == kRle4) {
    FL_TRY(RunReader(picture, header, input).read());
  } else {
    FL_TRY(read_rows(picture, header, input));
  }
  return picture;
}

}  // namespace florence2
