#include "model/parse_pieces.hpp"

#include <algorithm>
#include <optional>

namespace florence2 {
namespace {

struct Marker {
  std::string_view token;
  PieceKind kind;
};

/// All special tokens but the locations. "desciption" is how the checkpoints spell it.
constexpr Marker kMarkers[] = {
    {"<s>", PieceKind::padding},
    {"</s>", PieceKind::padding},
    {"<pad>", PieceKind::padding},
    {"<sep>", PieceKind::separator},
    {"<poly>", PieceKind::polygon_begin},
    {"</poly>", PieceKind::polygon_end},
    {"<unk>", PieceKind::other},
    {"<mask>", PieceKind::other},
    {"<image>", PieceKind::other},
    {"<od>", PieceKind::other},
    {"</od>", PieceKind::other},
    {"<ocr>", PieceKind::other},
    {"</ocr>", PieceKind::other},
    {"<cap>", PieceKind::other},
    {"</cap>", PieceKind::other},
    {"<ncap>", PieceKind::other},
    {"</ncap>", PieceKind::other},
    {"<dcap>", PieceKind::other},
    {"</dcap>", PieceKind::other},
    {"<grounding>", PieceKind::other},
    {"</grounding>", PieceKind::other},
    {"<seg>", PieceKind::other},
    {"</seg>", PieceKind::other},
    {"<region_cap>", PieceKind::other},
    {"</region_cap>", PieceKind::other},
    {"<region_to_desciption>", PieceKind::other},
    {"</region_to_desciption>", PieceKind::other},
    {"<proposal>", PieceKind::other},
    {"</proposal>", PieceKind::other},
    {"<and>", PieceKind::other},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// <loc_N> with up to three digits; anything else that begins with "<loc_" is an `other`, with its digits and '>'.
std::optional<Piece> location_at(std::string_view text, std::size_t at) {
  constexpr std::string_view kOpening = "<loc_";
  if (!text.substr(at).starts_with(kOpening)) return std::nullopt;
  const std::size_t first_digit = at + kOpening.size();
  Piece piece{PieceKind::other, at, first_digit, 0};
  while (piece.end < text.size() && is_digit(text[piece.end])) ++piece.end;
  const std::size_t digits = piece.end - first_digit;
  if (piece.end == text.size() || text[piece.end] != '>') return piece;
  ++piece.end;
  if (digits < 1 || digits > 3) return piece;
  piece.kind = PieceKind::location;
  for (const char c : text.substr(first_digit, digits)) piece.bin = piece.bin * 10 + (c - '0');
  return piece;
}

/// The token that starts at byte `at`, a '<'.
std::optional<Piece> token_at(std::string_view text, std::size_t at) {
  if (const auto location = location_at(text, at)) return location;
  for (const Marker& marker : kMarkers) {
    if (text.substr(at).starts_with(marker.token)) return Piece{marker.kind, at, at + marker.token.size(), 0};
  }
  return std::nullopt;
}

}  // namespace

std::vector<Piece> split_pieces(std::string_view text) {
  std::vector<Piece> pieces;
  std::size_t text_begin = 0;
  std::size_t at = text.find('<');
  while (at != text.npos) {
    const auto token = token_at(text, at);
    if (!token) {
      at = text.find('<', at + 1);
      continue;
    }
    if (at > text_begin) pieces.push_back({PieceKind::text, text_begin, at, 0});
    pieces.push_back(*token);
    text_begin = token->end;
    at = text.find('<', text_begin);
  }
  if (text_begin < text.size()) pieces.push_back({PieceKind::text, text_begin, text.size(), 0});
  return pieces;
}

}  // namespace florence2
