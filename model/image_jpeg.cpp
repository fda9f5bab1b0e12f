// JPEG through libjpeg-turbo, with its defaults: the exact integer inverse DCT and smooth chroma upsampling, as Pillow.
//
// libjpeg reports errors by a callback that must not return. Ours jumps back to returns(), over C frames and over
// lambdas that own nothing; everything with a destructor lives outside of returns().
#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

// clang-format off
#include <jpeglib.h>  // needs FILE and size_t
#include <jerror.h>
// clang-format on

#include "model/image_decode.hpp"

namespace florence2 {
namespace {

using Message = std::array<char, JMSG_LENGTH_MAX>;

class JpegReader {
 public:
  explicit JpegReader(const EncodedPicture& input) : input_(input) {}
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&jpeg_); }

  Result<Picture> read();

  /// Whether reading failed because the file ends inside a segment between two scans, although that is allowed.
  bool cut_inside_segment() const { return truncated_ && stop_ == Stop::library && jpeg_.input_scan_number > 0; }

 private:
  /// Why decoding was left by a jump.
  enum class Stop { library, damaged, truncated, scans, time };

  /// Runs `call`; false when it was left by a jump.
  template <typename Call>
  bool returns(const Call& call) {
    if (setjmp(jump_) != 0) return false;
    call();
    return true;
  }
  [[noreturn]] void stop(Stop reason) {
    stop_ = reason;
    std::longjmp(jump_, 1);
  }

  static JpegReader& self(j_common_ptr jpeg) { return *static_cast<JpegReader*>(jpeg->client_data); }
  static void on_error(j_common_ptr jpeg);
  static void on_message(j_common_ptr jpeg, int level);
  static void on_progress(j_common_ptr jpeg);

  void open();
  Status read_header(Picture& picture);
  Status read_rows(Picture& picture);
  void store_row(std::uint8_t* dst, const std::vector<std::uint8_t>& row) const;
  Error header_error() const;
  Error library_error() const;
  /// Error, or nothing where a file that breaks off is allowed.
  Status stopped(Picture& picture) const;

  const EncodedPicture& input_;
  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  Stop stop_ = Stop::library;
  bool truncated_ = false;
  std::int64_t whole_rows_ = 0;  ///< when the file ended
  Message message_{};            ///< what libjpeg said when it stopped
  Message note_{};               ///< its first harmless warning
};

void JpegReader::on_error(j_common_ptr jpeg) {
  jpeg->err->format_message(jpeg, self(jpeg).message_.data());
  self(jpeg).stop(Stop::library);
}

/// libjpeg's warnings (level -1) are its answer to damage, which it papers over; traces (level >= 0) mean nothing.
void JpegReader::on_message(j_common_ptr jpeg, int level) {
  if (level >= 0) return;
  JpegReader& reader = self(jpeg);
  if (reader.truncated_) return;  // all that follows comes from the missing end
  switch (jpeg->err->msg_code) {
    case JWRN_JPEG_EOF:
      reader.truncated_ = true;
      reader.whole_rows_ = reader.jpeg_.output_scanline;
      if (!reader.input_.options.allow_truncated) reader.stop(Stop::truncated);
      return;
    case JWRN_EXTRANEOUS_DATA:  // cameras and editors pad segments; Adobe and JFIF: unknown versions
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_BOGUS_ICC:
      if (reader.note_[0] == '\0') jpeg->err->format_message(jpeg, reader.note_.data());
      return;
    default:
      jpeg->err->format_message(jpeg, reader.message_.data());
      reader.stop(Stop::damaged);
  }
}

void JpegReader::on_progress(j_common_ptr jpeg) {
  JpegReader& reader = self(jpeg);
  if (reader.jpeg_.input_scan_number > kMaxScans) reader.stop(Stop::scans);
  if (reader.input_.budget.spent()) reader.stop(Stop::time);
}

void JpegReader::open() {
  jpeg_create_decompress(&jpeg_);
  jpeg_.mem->max_memory_to_use = kDecoderMemory;
  jpeg_.progress = &progress_;
  jpeg_mem_src(&jpeg_, input_.bytes.data(), input_.bytes.size());
  jpeg_read_header(&jpeg_, TRUE);
}

Status JpegReader::read_header(Picture& picture) {
  if (!returns([this] { open(); })) return header_error();
  if (truncated_) return ends_in_header(input_.bytes);
  if (jpeg_.arith_code) return Error{ErrorCode::unsupported, "arithmetic-coded JPEG is not supported", ""};
  const int components = jpeg_.num_components;
  if (components != 1 && components != 3 && components != 4) {
    return Error{ErrorCode::unsupported, std::to_string(components) + "-component JPEG is not supported", ""};
  }
  constexpr std::array kSpaces{JCS_UNKNOWN, JCS_GRAYSCALE, JCS_UNKNOWN, JCS_RGB, JCS_CMYK};
  jpeg_.out_color_space = kSpaces[static_cast<std::size_t>(components)];
  return allocate_pixels(picture, jpeg_.image_width, jpeg_.image_height, input_.options);
}

/// Converts one row of grey or CMYK to RGB. CMYK is stored inverted (Adobe): 255 is no ink.
void JpegReader::store_row(std::uint8_t* dst, const std::vector<std::uint8_t>& row) const {
  const int components = jpeg_.output_components;
  const auto scale = [](unsigned a, unsigned b) {  // a * b / 255, rounded
    const unsigned product = a * b + 128;
    return ((product >> 8) + product) >> 8;
  };
  const std::uint8_t* src = row.data();
  for (JDIMENSION x = 0; x < jpeg_.output_width; ++x, src += components, dst += 3) {
    for (int channel = 0; channel < 3; ++channel) {
      const unsigned value = src[components == 1 ? 0 : channel];
      dst[channel] = static_cast<std::uint8_t>(components == 4 ? src[3] - scale(255 - value, src[3]) : value);
    }
  }
}

Status JpegReader::read_rows(Picture& picture) {
  if (!returns([this] { jpeg_start_decompress(&jpeg_); })) return stopped(picture);
  std::vector<std::uint8_t> row(std::size_t{jpeg_.output_width} * jpeg_.output_components);
  std::uint8_t* dst = picture.rgb.data();
  const bool is_rgb = jpeg_.output_components == 3;
  for (; jpeg_.output_scanline < jpeg_.output_height; dst += std::size_t{3} * jpeg_.output_width) {
    JSAMPROW rows[] = {is_rgb ? dst : row.data()};
    if (!returns([&] { jpeg_read_scanlines(&jpeg_, rows, 1); })) return stopped(picture);
    if (!is_rgb) store_row(dst, row);
    FL_TRY(input_.budget.check());
  }
  if (!returns([this] { jpeg_finish_decompress(&jpeg_); })) return stopped(picture);
  return {};
}

Error JpegReader::header_error() const {
  if (truncated_) return ends_in_header(input_.bytes);
  return library_error();
}

Error JpegReader::library_error() const {
  const std::string text = std::string("JPEG: ") + message_.data();
  switch (errors_.msg_code) {
    case JERR_BAD_PRECISION:
      return {ErrorCode::unsupported, std::to_string(jpeg_.data_precision) + "-bit JPEG is not supported", ""};
    case JERR_SOF_UNSUPPORTED:
      return {ErrorCode::unsupported, "lossless or hierarchical JPEG is not supported", ""};
    case JERR_EMPTY_IMAGE:
      if (jpeg_.image_width == 0) return {ErrorCode::data, "width is 0", ""};
      if (jpeg_.image_height == 0) return {ErrorCode::data, "height is 0", ""};
      return {ErrorCode::data, text, ""};
    case JERR_IMAGE_TOO_BIG:
      return {ErrorCode::limit, text, ""};
    case JERR_NO_BACKING_STORE:
      return {ErrorCode::limit, "decoding needs more than " + std::to_string(kDecoderMemory >> 20) + " MiB", ""};
    case JERR_OUT_OF_MEMORY:
      return {ErrorCode::memory, "out of memory decoding the picture", ""};
    default:
      return {ErrorCode::data, text, ""};
  }
}

Status JpegReader::stopped(Picture& picture) const {
  switch (stop_) {
    case Stop::truncated:
      return ends_early(picture, input_.options, input_.bytes.size(), whole_rows_);
    case Stop::scans:
      return Error{ErrorCode::limit, "more than " + std::to_string(kMaxScans) + " scans", ""};
    case Stop::time:
      return input_.budget.check();
    case Stop::damaged:
      return Error{ErrorCode::data, std::string("JPEG: ") + message_.data(), ""};
    case Stop::library:
      break;
  }
  return library_error();
}

Result<Picture> JpegReader::read() {
  jpeg_.err = jpeg_std_error(&errors_);
  jpeg_.client_data = this;
  errors_.error_exit = on_error;
  errors_.emit_message = on_message;
  progress_.progress_monitor = on_progress;
  Picture picture;
  FL_TRY(read_header(picture));
  FL_TRY(read_rows(picture));
  if (truncated_) FL_TRY(ends_early(picture, input_.options, input_.bytes.size(), whole_rows_));
  if (note_[0] != '\0') picture.warnings.push_back(std::string("JPEG: ") + note_.data());
  return picture;
}

/// Where the last segment begins.
std::size_t last_marker(Bytes bytes) {
  const auto is_marker = [](std::uint8_t first, std::uint8_t second) {
    return first == 0xFF && second != 0 && second != 0xFF && (second & 0xF8) != 0xD0;
  };
  std::size_t at = bytes.size() - 2;
  while (at > 0 && !is_marker(bytes[at], bytes[at + 1])) --at;
  return at;
}

}  // namespace

Result<Picture> decode_jpeg(const EncodedPicture& input) {
  JpegReader reader(input);
  auto picture = reader.read();
  if (picture || !reader.cut_inside_segment()) return picture;
  const std::size_t end = last_marker(input.bytes);
  return JpegReader({input.bytes.first(end), input.options, input.budget}).read();
}

}  // namespace florence2
