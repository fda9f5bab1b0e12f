// The EXIF orientation: where each format keeps its EXIF data, the one number in it that matters, and turning the
// picture.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "model/image_decode.hpp"

namespace florence2 {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kExifMark = "Exif\0\0"sv;

/// Each finds the TIFF structure in a file; empty when there is none.
Bytes exif_of_jpeg(Bytes bytes) {
  std::size_t position = 2;
  while (bytes.size() - position >= 4 && bytes[position] == 0xFF) {
    const std::uint8_t marker = bytes[position + 1];
    if (marker == 0xFF) {  // padding
      ++position;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) break;
    const std::size_t size = big16(bytes, position + 2);
    if (size < 2 || size + 2 > bytes.size() - position) break;
    const Bytes segment = bytes.subspan(position + 4, size - 2);
    if (marker == 0xE1 && has_at(segment, 0, kExifMark)) return segment.subspan(kExifMark.size());
    position += 2 + size;
  }
  return {};
}

Bytes exif_of_png(Bytes bytes) {
  for (std::size_t chunk = 8; chunk <= bytes.size() && bytes.size() - chunk >= 12;) {
    const std::size_t size = big32(bytes, chunk);
    if (size > bytes.size() - chunk - 12) break;
    if (has_at(bytes, chunk + 4, "eXIf")) return bytes.subspan(chunk + 8, size);
    chunk += 12 + size;
  }
  return {};
}

Bytes exif_of_webp(Bytes bytes) {
  for (std::size_t chunk = 12; chunk <= bytes.size() && bytes.size() - chunk >= 8;) {
    const std::size_t size = little32(bytes, chunk + 4);
    if (size > bytes.size() - chunk - 8) break;
    const Bytes data = bytes.subspan(chunk + 8, size);
    if (has_at(bytes, chunk, "EXIF")) return has_at(data, 0, kExifMark) ? data.subspan(kExifMark.size()) : data;
    chunk += 8 + size + size % 2;
  }
  return {};
}

Bytes find_exif(ImageFormat format, Bytes bytes) {
  switch (format) {
    case ImageFormat::jpeg:
      return exif_of_jpeg(bytes);
    case ImageFormat::png:
      return exif_of_png(bytes);
    case ImageFormat::webp:
      return exif_of_webp(bytes);
    default:
      return {};
  }
}

/// The orientation in a TIFF structure, 1 when it has none. Empty when the structure is damaged. Only the first
/// directory is looked at, so loops between directories do not matter.
std::optional<unsigned> read_orientation(Bytes tiff) {
  constexpr std::uint32_t kOrientation = 0x0112, kShort = 3, kEntry = 12;
  const bool little = has_at(tiff, 0, "II*\0"sv);
  if (tiff.size() < 8 || !(little || has_at(tiff, 0, "MM\0*"sv))) return std::nullopt;
  const auto get16 = [&](std::size_t offset) { return little ? little16(tiff, offset) : big16(tiff, offset); };
  const std::size_t directory = little ? little32(tiff, 4) : big32(tiff, 4);
  if (directory > tiff.size() || tiff.size() - directory < 2) return std::nullopt;
  const std::size_t entries = get16(directory);
  if ((tiff.size() - directory - 2) / kEntry < entries) return std::nullopt;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntry;
    if (get16(entry) != kOrientation) continue;
    const unsigned value = get16(entry + 8);
    if (get16(entry + 2) != kShort || value < 1 || value > 8) return std::nullopt;
    return value;
  }
  return 1;
}

/// Orientation 5 to 8 swap the sides; then, in the source, rows and columns may run backwards.
void turn(Picture& picture, unsigned orientation) {
  struct Order {
    bool swap, flip_x, flip_y;
  };
  constexpr std::array<Order, 9> kOrders{{{},
                                          {false, false, false},
                                          {false, true, false},
                                          {false, true, true},
                                          {false, false, true},
                                          {true, false, false},
                                          {true, false, true},
                                          {true, true, true},
                                          {true, true, false}}};
  const Order order = kOrders[orientation];
  const Picture source = std::move(picture);
  picture = Picture(source);
  if (order.swap) std::swap(picture.width, picture.height);
  std::uint8_t* dst = picture.rgb.data();
  for (int y = 0; y < picture.height; ++y) {
    for (int x = 0; x < picture.width; ++x) {
      std::int64_t source_x = order.swap ? y : x;
      std::int64_t source_y = order.swap ? x : y;
      if (order.flip_x) source_x = source.width - 1 - source_x;
      if (order.flip_y) source_y = source.height - 1 - source_y;
      dst = std::copy_n(source.rgb.data() + 3 * (source_y * source.width + source_x), 3, dst);
    }
  }
}

}  // namespace

void apply_exif_orientation(Picture& picture, ImageFormat format, Bytes bytes) {
  const Bytes exif = find_exif(format, bytes);
  if (exif.empty()) return;
  const std::optional<unsigned> orientation = read_orientation(exif);
  if (!orientation) {
    picture.warnings.push_back("EXIF data is damaged; the picture is not turned");
  } else if (*orientation != 1) {
    turn(picture, *orientation);
  }
}

}  // namespace florence2
