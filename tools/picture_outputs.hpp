// Pictures made from answers: annotated ones (--draw), masks (--masks), parts (--crops).
#pragma once

#include "tools/answer_writer.hpp"
#include "tools/formats.hpp"

namespace florence2 {

/// Annotated pictures. `path` ends in .png, .jpg, .jpeg or .svg, or is a folder. A file is written itself when there is
/// one picture and one job; else its stem gets "-PICTURE", "-TASK" and a number, as far as they are needed to tell the
/// files apart. In a folder, files are called as their pictures.
struct DrawOptions {
  std::string path;
  bool several_pictures = false, several_jobs = false;
  SharedNames names = std::make_shared<OutputNames>();
};
/// Errors as OutputFolder::open() and try_file_in().
Result<Writer> draw_writer(const DrawOptions& options);
/// Error cannot_create when the annotated picture would replace a file that the run reads.
Status check_draw_name(const DrawOptions& options, const Input& picture, const Job& job);
/// Whether --draw can write this: error argument with what is allowed.
Status check_draw_path(const std::string& path);

/// For each picture and thing a PNG file that is white on the thing; PICTURE-map.png with the number of the thing in
/// each pixel (later ones lie on top; 0: none; at most 255) and PICTURE-map.json with what the numbers are.
Writer masks_writer(OutputFolder folder);

/// For each thing the part of the picture in the box around it.
Writer crops_writer(OutputFolder folder);

}  // namespace florence2
