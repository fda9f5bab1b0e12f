// The chunks of a PNG: checked, and handed on as far as they make pixels.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "model/image_decode.hpp"

namespace florence2 {

inline constexpr std::size_t kPngSignature = 8;
inline constexpr std::size_t kPngChunkFrame = 12;  ///< length, type and checksum of a chunk

/// The file as libspng reads it: the signature and the critical chunks, all checked beforehand. An IDAT chunk that the
/// end of the file cuts is given as a shorter one. The file must have a whole signature.
class PngChunks {
 public:
  explicit PngChunks(Bytes file) : file_(file), pending_(file.first(kPngSignature)), next_(kPngSignature) {}

  /// The next `length` bytes; false when there are not as many, or when a chunk is damaged.
  bool copy(std::uint8_t* dst, std::size_t length);
  /// Set when copy() came to a chunk that is there as a whole, but damaged.
  const std::optional<Error>& damage() const { return damage_; }

 private:
  bool next_critical();
  bool give_cut(Bytes rest);

  Bytes file_;
  Bytes pending_;                         ///< to be read next
  Bytes body_;                            ///< to be read after that
  std::size_t next_;                      ///< where the chunk after these begins
  std::array<std::uint8_t, 8> header_{};  ///< of a cut chunk
  std::optional<Error> damage_;
};

/// Pictures of an animation (APNG): the acTL chunk before the first IDAT says how many.
std::int64_t count_png_frames(Bytes file);

}  // namespace florence2
