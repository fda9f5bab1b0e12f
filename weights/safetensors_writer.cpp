#include "weights/safetensors_writer.hpp"

#include <array>
#include <utility>

#include "core/check.hpp"
#include "core/json.hpp"

namespace florence2 {

void SafetensorsWriter::add(std::string name, DType dtype, std::vector<std::int64_t> shape) {
  std::int64_t size = static_cast<std::int64_t>(size_of(dtype));
  for (const std::int64_t extent : shape) size *= extent;
  entries_.push_back({std::move(name), dtype, std::move(shape), bytes_, bytes_ + size});
  bytes_ += size;
}

Status SafetensorsWriter::begin(const std::string& path, const std::map<std::string, std::string>& metadata) {
  json::Object header;
  json::Object about;
  for (const auto& [key, value] : metadata) about.emplace_back(key, value);
  header.emplace_back("__metadata__", std::move(about));
  for (const Entry& entry : entries_) {
    json::Array shape(entry.shape.begin(), entry.shape.end());
    json::Object tensor = {{"dtype", std::string(name_of(entry.dtype))},
                           {"shape", std::move(shape)},
                           {"data_offsets", json::Array{entry.begin, entry.end}}};
    header.emplace_back(entry.name, std::move(tensor));
  }
  std::string text = json::dump(header);
  constexpr std::size_t kAlignment = 64;  // of the data in the file; the format pads its header with spaces
  text.append((kAlignment - (sizeof(std::uint64_t) + text.size()) % kAlignment) % kAlignment, ' ');
  std::array<std::byte, sizeof(std::uint64_t)> length;
  for (std::size_t i = 0; i < length.size(); ++i) length[i] = static_cast<std::byte>(text.size() >> (8 * i) & 0xFF);
  FL_ASSIGN(AtomicFile file, AtomicFile::create(path));
  file_.emplace(std::move(file));
  FL_TRY(file_->write(length));
  return file_->write(std::as_bytes(std::span(text)));
}

Status SafetensorsWriter::write(std::span<const std::byte> bytes) {
  written_ += static_cast<std::int64_t>(bytes.size());
  FL_DCHECK(written_ <= bytes_);
  return file_->write(bytes);
}

Status SafetensorsWriter::finish() {
  FL_DCHECK(written_ == bytes_);
  return file_->publish();
}

}  // namespace florence2
