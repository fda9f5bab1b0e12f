// WebP through libwebp: the first frame on its canvas, alpha dropped as Pillow's convert("RGB") does it.
#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <memory>

#include "model/image_decode.hpp"

namespace florence2 {
namespace {

/// Bytes handed to libwebp before the clock is looked at again.
constexpr std::size_t kStep = std::size_t{64} << 10;

struct Delete {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
  void operator()(WebPIDecoder* decoder) const { WebPIDelete(decoder); }
};

Error decode_error(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return {ErrorCode::memory, "out of memory decoding the picture", ""};
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return {ErrorCode::unsupported, "WebP: uses a feature that is not supported", ""};
    default:
      return {ErrorCode::data, "WebP: damaged picture data", ""};
  }
}

/// Decodes `frame` into the canvas, piece by piece. Returns how many of its rows are there.
Result<int> decode_frame(Picture& picture, const WebPIterator& frame, const CpuBudget& budget) {
  WebPDecBuffer target;
  if (WebPInitDecBuffer(&target) == 0) return Error{ErrorCode::internal, "libwebp has another version", ""};
  const std::size_t stride = std::size_t{3} * picture.width;
  const std::size_t offset = stride * frame.y_offset + std::size_t{3} * frame.x_offset;
  target.colorspace = MODE_RGB;
  target.is_external_memory = 1;
  target.u.RGBA = {picture.rgb.data() + offset, static_cast<int>(stride), picture.rgb.size() - offset};
  const std::unique_ptr<WebPIDecoder, Delete> decoder(WebPINewDecoder(&target));
  if (!decoder) return decode_error(VP8_STATUS_OUT_OF_MEMORY);

  VP8StatusCode status = VP8_STATUS_SUSPENDED;
  for (std::size_t size = 0; status == VP8_STATUS_SUSPENDED && size < frame.fragment.size;) {
    size = std::min(size + kStep, frame.fragment.size);
    status = WebPIUpdate(decoder.get(), frame.fragment.bytes, size);
    FL_TRY(budget.check());
  }
  if (status == VP8_STATUS_OK) return frame.height;
  if (status != VP8_STATUS_SUSPENDED && status != VP8_STATUS_NOT_ENOUGH_DATA) return decode_error(status);
  int rows = 0;
  WebPIDecGetRGB(decoder.get(), &rows, nullptr, nullptr, nullptr);
  return rows;
}

bool inside_canvas(const WebPIterator& frame, const Picture& picture) {
  return frame.x_offset >= 0 && frame.y_offset >= 0 && frame.width <= picture.width - frame.x_offset &&
         frame.height <= picture.height - frame.y_offset;
}

}  // namespace

Result<Picture> decode_webp(const EncodedPicture& input) {
  const WebPData data{input.bytes.data(), input.bytes.size()};
  WebPDemuxState state = WEBP_DEMUX_PARSING_HEADER;
  const std::unique_ptr<WebPDemuxer, Delete> demuxer(WebPDemuxPartial(&data, &state));
  if (state == WEBP_DEMUX_PARSE_ERROR) return Error{ErrorCode::data, "WebP: damaged container", ""};
  if (!demuxer || state == WEBP_DEMUX_PARSING_HEADER) return ends_in_header(input.bytes);

  Picture picture;
  FL_TRY(allocate_pixels(picture, WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH),
                         WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT), input.options));
  WebPIterator frame{};
  int rows = 0;
  if (WebPDemuxGetFrame(demuxer.get(), 1, &frame) != 0) {  // the iterator owns nothing
    if (!inside_canvas(frame, picture)) return Error{ErrorCode::data, "WebP: frame leaves the canvas", ""};
    FL_ASSIGN(rows, decode_frame(picture, frame, input.budget));
  }
  const bool whole = state == WEBP_DEMUX_DONE && rows == frame.height;
  if (!whole) FL_TRY(ends_early(picture, input.options, input.bytes.size(), rows));
  set_frames(picture, WebPDemuxGetI(demuxer.get(), WEBP_FF_FRAME_COUNT));
  return picture;
}

}  // namespace florence2
