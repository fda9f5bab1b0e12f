// A folder for loaders that take paths: one a process, its file rewritten for each input.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

namespace florence2::fuzz {

/// Never destroyed: the handler that removes the folder runs after destructors of statics.
inline const std::string& input_folder() {
  static const std::string& folder = *[] {
    const auto base = std::filesystem::is_directory("/dev/shm") ? std::filesystem::path("/dev/shm")
                                                                : std::filesystem::temp_directory_path();
    const std::filesystem::path path = base / ("florence2-fuzz-" + std::to_string(getpid()));
    std::filesystem::create_directories(path);
    std::atexit([] { std::filesystem::remove_all(input_folder()); });
    return new std::string(path.string());
  }();
  return folder;
}

/// Writes the input as `name` into the folder.
inline void write_input(const std::string& name, const std::uint8_t* data, std::size_t size) {
  std::ofstream(input_folder() + "/" + name, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
}

}  // namespace florence2::fuzz
