// Decoded text cut into what it means, for the repaired rules: a token is a token wherever it stands, and never a
// label.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace florence2 {

enum class PieceKind : std::uint8_t {
  text,
  location,
  separator,
  polygon_begin,
  polygon_end,
  padding,  ///< <s>, </s> or <pad>
  other,    ///< any other special token, and what looks like a location but is none (<loc_1000>, "<loc_5" at the end)
};

struct Piece {
  PieceKind kind = PieceKind::text;
  std::size_t begin = 0, end = 0;  ///< bytes of the text
  int bin = 0;                     ///< of a location, 0 to 999
};

/// The pieces cover the text. No text piece holds a special token or "<loc_".
std::vector<Piece> split_pieces(std::string_view text);

}  // namespace florence2
