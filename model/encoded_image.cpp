// EncodedImage as a file: a header of little-endian numbers, then the features as f32, then a checksum of both.
#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "core/atomic_file.hpp"
#include "core/file.hpp"
#include "core/fnv.hpp"
#include "model/florence2.hpp"
#include "model/guarded.hpp"

namespace florence2 {
namespace {

static_assert(std::endian::native == std::endian::little, "the file format is the memory of little-endian machines");

constexpr std::array<char, 8> kMagic = {'F', 'L', '2', 'I', 'M', 'A', 'G', 'E'};
constexpr std::uint32_t kFormatVersion = 2;
constexpr std::int64_t kMostFeatures = std::int64_t{1} << 28;

struct FileHeader {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kFormatVersion;
  std::int32_t width = 0, height = 0;
  std::int32_t tokens = 0, dim = 0;
  std::uint32_t vision_id = 0;
};
static_assert(sizeof(FileHeader) == 32);

std::uint64_t checksum(const FileHeader& header, std::span<const float> features) {
  return fnv1a(fnv1a(kFnvStart, std::as_bytes(std::span(&header, 1))), std::as_bytes(features));
}

Error damaged(std::string what, const std::string& path) { return {ErrorCode::data, std::move(what), path}; }

Status check_header(const FileHeader& header, const File& file) {
  if (header.magic != kMagic) return damaged("not an encoded image", file.path());
  if (header.version != kFormatVersion) {
    return damaged("encoded image of format version " + std::to_string(header.version) + ", this build reads version " +
                       std::to_string(kFormatVersion),
                   file.path());
  }
  const std::int64_t features = std::int64_t{header.tokens} * header.dim;
  if (header.width < 1 || header.height < 1 || header.tokens < 1 || header.dim < 1 || features > kMostFeatures) {
    return damaged("encoded image with sizes that cannot be", file.path());
  }
  const std::int64_t bytes = std::int64_t{sizeof(FileHeader)} + features * std::int64_t{sizeof(float)} + 8;
  if (bytes == file.size()) return {};
  return damaged("encoded image needs " + std::to_string(bytes) + " bytes, the file has " + std::to_string(file.size()),
                 file.path());
}

/// The whole file, checked.
Status read_image(const File& file, FileHeader& header, std::vector<float>& features) {
  if (file.size() < std::int64_t{sizeof header}) return damaged("not an encoded image", file.path());
  FL_TRY(file.read(0, std::as_writable_bytes(std::span(&header, 1))));
  FL_TRY(check_header(header, file));
  features.resize(static_cast<std::size_t>(header.tokens) * static_cast<std::size_t>(header.dim));
  FL_TRY(file.read(sizeof header, std::as_writable_bytes(std::span(features))));
  std::uint64_t stored = 0;
  FL_TRY(file.read(file.size() - std::int64_t{sizeof stored}, std::as_writable_bytes(std::span(&stored, 1))));
  if (stored != checksum(header, features)) return damaged("encoded image is damaged (checksum)", file.path());
  return {};
}

}  // namespace

Status EncodedImage::save(const std::string& path) const {
  return guarded([&]() -> Status {
    if (features_.empty()) return Error{ErrorCode::argument, "an empty image cannot be saved", path};
    FileHeader header;
    header.width = width_;
    header.height = height_;
    header.tokens = tokens_;
    header.dim = dim();
    header.vision_id = vision_id_;
    const std::uint64_t sum = checksum(header, features_);
    const std::span<const std::byte> parts[] = {std::as_bytes(std::span(&header, 1)), std::as_bytes(features()),
                                                std::as_bytes(std::span(&sum, 1))};
    return write_file_atomically(path, parts);
  });
}

Result<EncodedImage> EncodedImage::load(const std::string& path) {
  return guarded([&]() -> Result<EncodedImage> {
    FL_ASSIGN(const File file, File::open(path));
    FileHeader header;
    EncodedImage image;
    FL_TRY(read_image(file, header, image.features_));
    image.width_ = header.width;
    image.height_ = header.height;
    image.tokens_ = header.tokens;
    image.vision_id_ = header.vision_id;
    return image;
  });
}

bool operator==(const EncodedImage& a, const EncodedImage& b) {
  return a.width_ == b.width_ && a.height_ == b.height_ && a.tokens_ == b.tokens_ &&
         a.features_.size() == b.features_.size() &&
         std::memcmp(a.features_.data(), b.features_.data(), a.features_.size() * sizeof(float)) == 0;
}

}  // namespace florence2
