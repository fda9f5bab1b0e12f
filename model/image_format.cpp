// Which format a file has: by its first bytes, never by its name.
#include <algorithm>
#include <array>

#include "model/image_decode.hpp"

namespace florence2 {
namespace {

using namespace std::string_view_literals;

struct Signature {
  std::string_view name;
  std::size_t offset;
  std::string_view bytes;
};

/// Pictures that we know by name but do not read.
constexpr std::array kUnsupported{
    Signature{"TIFF", 0, "II*\0"sv},
    Signature{"TIFF", 0, "MM\0*"sv},
    Signature{"TIFF", 0, "II+\0"sv},
    Signature{"TIFF", 0, "MM\0+"sv},
    Signature{"AVIF", 4, "ftypavif"sv},
    Signature{"AVIF", 4, "ftypavis"sv},
    Signature{"HEIC", 4, "ftyphe"sv},  // heic, heix, heim, heis, hevc, hevx, …
    Signature{"HEIC", 4, "ftypmif1"sv},
    Signature{"HEIC", 4, "ftypmsf1"sv},
    Signature{"JPEG XL", 0, "\xFF\x0A"sv},
    Signature{"JPEG XL", 0, "\0\0\0\x0CJXL \r\n\x87\n"sv},
    Signature{"JPEG 2000", 0, "\0\0\0\x0CjP  \r\n\x87\n"sv},
    Signature{"JPEG 2000", 0, "\xFF\x4F\xFF\x51"sv},
    Signature{"Photoshop (PSD)", 0, "8BPS"sv},
};

bool is_pnm(Bytes bytes) {
  return bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
         (is_white(bytes[2]) || bytes[2] == '#');
}

/// The first bytes for a message: in quotes when they are text, else in hexadecimal.
std::string first_bytes(Bytes bytes) {
  const Bytes head = bytes.first(std::min<std::size_t>(bytes.size(), 8));
  if (std::all_of(head.begin(), head.end(), [](std::uint8_t byte) { return byte >= 0x20 && byte < 0x7F; })) {
    return "\"" + std::string(head.begin(), head.end()) + "\"";
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : head) {
    if (!text.empty()) text += ' ';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

struct Extension {
  std::string_view text;
  ImageFormat format;
};

constexpr std::array kExtensions{
    Extension{"jpg", ImageFormat::jpeg},  Extension{"jpeg", ImageFormat::jpeg}, Extension{"jpe", ImageFormat::jpeg},
    Extension{"jfif", ImageFormat::jpeg}, Extension{"png", ImageFormat::png},   Extension{"apng", ImageFormat::png},
    Extension{"webp", ImageFormat::webp}, Extension{"bmp", ImageFormat::bmp},   Extension{"dib", ImageFormat::bmp},
    Extension{"gif", ImageFormat::gif},   Extension{"pbm", ImageFormat::pnm},   Extension{"pgm", ImageFormat::pnm},
    Extension{"ppm", ImageFormat::pnm},   Extension{"pnm", ImageFormat::pnm},
};

}  // namespace

std::string_view format_name(ImageFormat format) {
  constexpr std::array<std::string_view, 6> kNames{"JPEG", "PNG", "WebP", "BMP", "PPM", "GIF"};
  return kNames[static_cast<std::size_t>(format)];
}

Result<ImageFormat> sniff_format(Bytes bytes) {
  if (bytes.empty()) return Error{ErrorCode::data, "file is empty", ""};
  if (has_at(bytes, 0, "\xFF\xD8\xFF"sv)) return ImageFormat::jpeg;
  if (has_at(bytes, 0, "\x89PNG\r\n\x1A\n"sv)) return ImageFormat::png;
  if (has_at(bytes, 0, "RIFF"sv) && has_at(bytes, 8, "WEBP"sv)) return ImageFormat::webp;
  if (has_at(bytes, 0, "GIF87a"sv) || has_at(bytes, 0, "GIF89a"sv)) return ImageFormat::gif;
  if (has_at(bytes, 0, "BM"sv)) return ImageFormat::bmp;
  if (is_pnm(bytes)) return ImageFormat::pnm;
  for (const Signature& known : kUnsupported) {
    if (has_at(bytes, known.offset, known.bytes)) {
      return Error{ErrorCode::unsupported, std::string(known.name) + " is not supported; convert to PNG", ""};
    }
  }
  return Error{ErrorCode::data, "not a JPEG, PNG, WebP, BMP, GIF or PPM (starts with " + first_bytes(bytes) + ")", ""};
}

std::string extension_warning(std::string_view name, ImageFormat format) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  std::string extension(name.substr(dot + 1));
  for (char& c : extension) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const auto* known =
      std::find_if(kExtensions.begin(), kExtensions.end(), [&](const Extension& e) { return e.text == extension; });
  if (known == kExtensions.end() || known->format == format) return {};
  const std::string actual(format_name(format));
  return "named ." + extension + " but is " + actual + " (decoded as " + actual + ")";
}

}  // namespace florence2
