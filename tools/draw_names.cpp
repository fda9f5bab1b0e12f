#include "tools/draw_names.hpp"

#include <filesystem>

#include "tools/task_names.hpp"

namespace florence2 {

std::string DrawNames::next(const std::string& image, const Job& job) {
  const std::filesystem::path file(file_);
  std::string stem = (file.parent_path() / file.stem()).string();
  if (several_images_) stem += "-" + (image == "-" ? "stdin" : std::filesystem::path(image).stem().string());
  if (several_jobs_) stem += "-" + (job.task ? short_name(task_info(*job.task)) : "prompt");
  std::string name = stem;
  for (int number = 2; !used_.insert(name).second; ++number) name = stem + "-" + std::to_string(number);
  return name + file.extension().string();
}

}  // namespace florence2
