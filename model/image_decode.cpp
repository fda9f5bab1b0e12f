#include "model/image_decode.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <limits>

namespace florence2 {
namespace {

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Status check_side(std::string_view name, std::int64_t side) {
  if (side < 1) return Error{ErrorCode::data, std::string(name) + " is " + std::to_string(side), ""};
  if (side > kMaxSide) {
    return Error{ErrorCode::limit, std::string(name) + " " + grouped(side) + " over limit " + grouped(kMaxSide), ""};
  }
  return {};
}

}  // namespace

CpuBudget::CpuBudget(double seconds) : seconds_(seconds), start_(thread_seconds()) {}

bool CpuBudget::spent() const { return thread_seconds() - start_ > seconds_; }

Status CpuBudget::check() const {
  if (!spent()) return {};
  const auto seconds = static_cast<std::int64_t>(seconds_);
  return Error{ErrorCode::limit, "decoding stopped after " + std::to_string(seconds) + " s CPU", ""};
}

Status allocate_pixels(Picture& picture, std::int64_t width, std::int64_t height, const PictureOptions& options) {
  FL_TRY(check_side("width", width));
  FL_TRY(check_side("height", height));
  if (width * height > options.max_pixels) {
    return Error{ErrorCode::limit,
                 grouped(width * height) + " pixels, limit " + grouped(options.max_pixels) + " (--max-pixels)", ""};
  }
  picture.width = static_cast<int>(width);
  picture.height = static_cast<int>(height);
  picture.rgb.assign(static_cast<std::size_t>(width * height * 3), 0);
  return {};
}

void fill_pixels(Picture& picture, const std::array<std::uint8_t, 3>& colour) {
  for (auto dst = picture.rgb.begin(); dst != picture.rgb.end();) dst = std::copy(colour.begin(), colour.end(), dst);
}

Status ends_early(Picture& picture, const PictureOptions& options, std::size_t byte, std::int64_t rows) {
  std::string text = "ends early at byte " + std::to_string(byte) + " (" + std::to_string(rows) + " of " +
                     std::to_string(picture.height) + " rows)";
  if (!options.allow_truncated) return Error{ErrorCode::data, text + "; use --allow-truncated to keep them", ""};
  picture.warnings.push_back(std::move(text));
  return {};
}

Error ends_in_header(Bytes bytes) {
  return {ErrorCode::data, "ends early at byte " + std::to_string(bytes.size()) + ", inside the header", ""};
}

void set_frames(Picture& picture, std::int64_t frames) {
  picture.frames = static_cast<int>(std::clamp<std::int64_t>(frames, 1, std::numeric_limits<int>::max()));
  if (frames > 1) picture.warnings.push_back(std::to_string(frames) + " frames, first used");
}

std::uint8_t grey16_level(unsigned value, const PictureOptions& options) {
  if (options.scale_grey16) return static_cast<std::uint8_t>(value >> 8);
  return static_cast<std::uint8_t>(value > 255 ? 255 : value);
}

void note_grey16(Picture& picture, const PictureOptions& options) {
  if (options.scale_grey16) picture.warnings.push_back("16-bit grey: the high byte is used");
}

std::string grouped(std::int64_t value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-') text += ',';
    text += digits[i];
  }
  return text;
}

bool has_at(Bytes bytes, std::size_t offset, std::string_view prefix) {
  return bytes.size() >= offset && bytes.size() - offset >= prefix.size() &&
         std::memcmp(bytes.data() + offset, prefix.data(), prefix.size()) == 0;
}

}  // namespace florence2
