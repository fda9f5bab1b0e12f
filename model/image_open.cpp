// Picture::open and Picture::decode: sniff the format, let its decoder work, and name the file in what went wrong.
#include "core/file.hpp"
#include "model/guarded.hpp"
#include "model/image_decode.hpp"

namespace florence2 {
namespace {

Result<Picture> decode_as(ImageFormat format, const EncodedPicture& input) {
  switch (format) {
    case ImageFormat::jpeg:
      return decode_jpeg(input);
    case ImageFormat::png:
      return decode_png(input);
    case ImageFormat::webp:
      return decode_webp(input);
    case ImageFormat::bmp:
      return decode_bmp(input);
    case ImageFormat::pnm:
      return decode_pnm(input);
    case ImageFormat::gif:
      return decode_gif(input);
  }
  return Error{ErrorCode::internal, "unknown picture format", ""};
}

Result<Picture> decode_any(Bytes bytes, const std::string& name, const PictureOptions& options) {
  if (static_cast<std::int64_t>(bytes.size()) > options.max_file_bytes) {
    return Error{ErrorCode::limit,
                 "file is " + std::to_string(bytes.size()) + " bytes, limit " + std::to_string(options.max_file_bytes),
                 ""};
  }
  FL_ASSIGN(const ImageFormat format, sniff_format(bytes));
  FL_ASSIGN(Picture picture, decode_as(format, {bytes, options, CpuBudget()}));
  picture.format = format_name(format);
  std::string warning = extension_warning(name, format);
  if (!warning.empty()) picture.warnings.push_back(std::move(warning));
  if (options.exif_rotate) apply_exif_orientation(picture, format, bytes);
  return picture;
}

}  // namespace

Result<Picture> Picture::open(const std::string& path, const PictureOptions& options) {
  return guarded([&]() -> Result<Picture> {
    const auto file = guarded([&] { return read_file(path, options.max_file_bytes); });
    if (!file) return Error{file.error().code, file.error().message, path};
    return decode(std::as_bytes(std::span(*file)), path, options);
  });
}

Result<Picture> Picture::decode(std::span<const std::byte> bytes, const std::string& name,
                                const PictureOptions& options) {
  return guarded([&]() -> Result<Picture> {
    const Bytes unsigned_bytes(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    auto picture = guarded([&] { return decode_any(unsigned_bytes, name, options); });
    if (!picture) picture.error().where = name;
    return picture;
  });
}

}  // namespace florence2
