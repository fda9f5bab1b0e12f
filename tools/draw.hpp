// An answer painted on its picture: things outlined and labelled, text in a strip below.
#pragma once

#include <optional>

#include "tools/canvas.hpp"

namespace florence2 {

/// `region`, when given, is the part of the picture that was asked about; it is outlined as well. Small pictures are
/// enlarged until labels are readable.
Canvas draw_answer(const ImageView& image, const Answer& answer, const std::optional<Box>& region = {});

/// How many times draw_answer() enlarges a picture of this size.
int enlargement(int width, int height);

}  // namespace florence2
