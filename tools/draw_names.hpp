// File names of annotated pictures.
#pragma once

#include <set>
#include <string>

#include "tools/run_settings.hpp"

namespace florence2 {

/// The file named by --draw itself when there is one picture and one job; else its stem with "-IMAGE", "-TASK" and a
/// number put in, as far as they are needed to tell the files apart.
class DrawNames {
 public:
  DrawNames(std::string file, bool several_images, bool several_jobs)
      : file_(std::move(file)), several_images_(several_images), several_jobs_(several_jobs) {}

  std::string next(const std::string& image, const Job& job);

 private:
  std::string file_;
  bool several_images_, several_jobs_;
  std::set<std::string> used_;
};

}  // namespace florence2
