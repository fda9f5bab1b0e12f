// Pictures on their way through the model, several together.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "tools/run_record.hpp"

namespace florence2 {

struct PictureSlot {
  PictureFacts facts;
  std::span<const Job> jobs = {};  ///< what to ask about it; not owned
  std::optional<Picture> picture = {};
  std::optional<EncodedImage> image = {};
  std::optional<Error> error = {};               ///< why there is no image
  std::vector<Result<TaskResult>> results = {};  ///< one a job
};

/// Reads the picture that facts.input names.
void decode_picture(PictureSlot& slot, const PictureOptions& options);

/// Runs the vision tower on all that were decoded.
void encode_pictures(Runner& runner, std::span<PictureSlot> slots);

/// Asks every picture's jobs about it if it was encoded, all together. `shared`: what the jobs have in common. Error:
/// the whole batch failed.
Status ask_pictures(Runner& runner, std::span<PictureSlot> slots, const RunOptions& shared);

}  // namespace florence2
