// An answer on its picture: things outlined and labelled, text in a strip below.
#pragma once

#include <optional>
#include <string>

#include "tools/canvas.hpp"

namespace florence2 {

/// `region`, when given, is the part of the picture that was asked about; it is outlined as well. Small pictures are
/// enlarged until labels are readable.
Canvas draw_answer(const ImageView& image, const Answer& answer, const std::optional<Box>& region = {});

/// The canvas as a PNG file. Error memory.
Result<std::string> encode_png(const Canvas& canvas);

}  // namespace florence2
