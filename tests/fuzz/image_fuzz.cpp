// Any bytes as a picture of at most 1 megapixel, then the resize.
#include <cstdlib>

#include "model/florence2.hpp"
#include "model/image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace florence2;
  if (size == 0) return 0;
  PictureOptions options;
  options.max_pixels = 1 << 20;
  options.allow_truncated = (data[size - 1] & 1) != 0;
  options.exif_rotate = (data[size - 1] & 2) != 0;
  const auto picture = Picture::decode({reinterpret_cast<const std::byte*>(data), size}, "input", options);
  if (!picture) return 0;
  if (picture->rgb.size() != std::size_t{3} * picture->width * picture->height) std::abort();
  (void)resize_bicubic(picture->view(), 32, 32);
  return 0;
}
