#include "model/image_png_chunks.hpp"

#include <algorithm>
#include <utility>

namespace florence2 {
namespace {

/// The checksum of PNG (polynomial 0xEDB88320, reflected), eight bytes at a time.
class Crc32 {
 public:
  constexpr Crc32() {
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xEDB88320u : 0u);
      table_[0][i] = value;
    }
    for (std::size_t zeros = 1; zeros < table_.size(); ++zeros) {
      for (std::size_t i = 0; i < 256; ++i) {
        const std::uint32_t value = table_[zeros - 1][i];
        table_[zeros][i] = (value >> 8) ^ table_[0][value & 255];
      }
    }
  }

  std::uint32_t operator()(Bytes bytes) const {
    std::uint32_t crc = 0xFFFFFFFFu;
    for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
      crc ^= little32(bytes, 0);
      std::uint32_t next = 0;
      for (std::size_t i = 0; i < 4; ++i) next ^= table_[7 - i][crc >> (8 * i) & 255] ^ table_[3 - i][bytes[4 + i]];
      crc = next;
    }
    for (const std::uint8_t byte : bytes) crc = (crc >> 8) ^ table_[0][(crc ^ byte) & 255];
    return ~crc;
  }

 private:
  std::array<std::array<std::uint32_t, 256>, 8> table_{};  ///< [zero bytes that follow][byte]
};
constexpr Crc32 kCrc32;

Error checksum_error(Bytes type, std::size_t position) {
  const bool letters = std::all_of(type.begin(), type.end(), [](int c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; });
  const std::string name = letters ? "chunk " + std::string(type.begin(), type.end()) : "chunk without a name";
  return {ErrorCode::data, name + ": checksum wrong at byte " + std::to_string(position), ""};
}

}  // namespace

bool PngChunks::copy(std::uint8_t* dst, std::size_t length) {
  while (length > 0) {
    if (pending_.empty()) pending_ = std::exchange(body_, {});
    if (pending_.empty()) {
      if (!next_critical()) return false;
      continue;
    }
    const std::size_t count = std::min(length, pending_.size());
    dst = std::copy_n(pending_.data(), count, dst);
    pending_ = pending_.subspan(count);
    length -= count;
  }
  return true;
}

/// Moves to the next critical chunk; false at the end of the file and at a damaged chunk.
bool PngChunks::next_critical() {
  while (file_.size() - next_ >= 8) {
    const Bytes rest = file_.subspan(next_);
    const std::size_t size = kPngChunkFrame + big32(rest, 0);
    if (size > rest.size()) return give_cut(rest);
    if (kCrc32(rest.subspan(4, size - 8)) != big32(rest, size - 4)) {
      damage_ = checksum_error(rest.subspan(4, 4), next_ + size - 4);
      return false;
    }
    next_ += size;
    if ((rest[4] & 0x20) == 0) {
      pending_ = rest.first(size);
      return true;
    }
  }
  return false;
}

bool PngChunks::give_cut(Bytes rest) {
  next_ = file_.size();
  if (!has_at(rest, 4, "IDAT")) return false;
  const std::size_t length = std::min<std::size_t>(rest.size() - 8, big32(rest, 0));
  std::copy_n(rest.data(), header_.size(), header_.data());
  for (std::size_t i = 0; i < 4; ++i) header_[i] = static_cast<std::uint8_t>(length >> (24 - 8 * i));
  pending_ = header_;
  body_ = rest.subspan(8, length);
  return true;
}

std::int64_t count_png_frames(Bytes file) {
  for (std::size_t chunk = kPngSignature; file.size() - chunk >= kPngChunkFrame;) {
    const std::size_t size = kPngChunkFrame + big32(file, chunk);
    if (size > file.size() - chunk || has_at(file, chunk + 4, "IDAT")) break;
    if (has_at(file, chunk + 4, "acTL") && size >= kPngChunkFrame + 8) return big32(file, chunk + 8);
    chunk += size;
  }
  return 1;
}

}  // namespace florence2
