#include "weights/foreign_file.hpp"

namespace florence2 {

std::string_view foreign_file(std::string_view head) {
  if (head.starts_with("version https://git-lfs")) {
    return "this is a Git LFS pointer, not the weights; run `git lfs pull`";
  }
  const std::size_t first = head.find_first_not_of(" \t\r\n");
  const char visible = first == head.npos ? ' ' : head[first];
  if (visible == '<') return "looks like HTML, not weights; the download went wrong?";
  if (visible == '{' || visible == '[') return "looks like JSON text, not weights; the download went wrong?";
  if (head.starts_with("GGUF")) return "this is GGUF; only safetensors and torch files are read";
  // Protocol buffers: field 1 (the version of the format), then field 2 (the name of the producer).
  if (head.size() > 2 && head.starts_with('\x08') && head[2] == '\x12') {
    return "this is ONNX; only safetensors and torch files are read";
  }
  return {};
}

}  // namespace florence2
