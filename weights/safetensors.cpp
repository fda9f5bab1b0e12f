#include "weights/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>

#include "core/json.hpp"
#include "weights/foreign_file.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kPrefixBytes = 8;  // the header's length, little-endian
constexpr std::int64_t kMaxHeaderBytes = std::int64_t{16} << 20;
constexpr std::size_t kMaxTensors = 65'536;
constexpr std::size_t kMaxNameBytes = 512;
constexpr std::size_t kMaxRank = 8;
constexpr std::int64_t kMaxNumber = std::int64_t{1} << 53;

struct StoredType {
  std::string_view name;
  int bits;
};
constexpr StoredType kStoredTypes[] = {
    {"BOOL", 8},    {"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8},     {"F8_E8M0", 8},     {"I16", 16},    {"U16", 16}, {"F16", 16},
    {"BF16", 16},   {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I32", 32},    {"U32", 32}, {"F32", 32},
    {"C64", 64},    {"F64", 64},        {"I64", 64},        {"U64", 64}};

Error damaged(std::string message, std::string where = {}) {
  return {ErrorCode::model, std::move(message), std::move(where)};
}

std::string text_of(std::int64_t number) { return std::to_string(number); }

/// Reads the header's length and text.
Result<std::string> read_header(const File& file) {
  const auto fail = [&file](std::string message) { return damaged(std::move(message), file.path()); };
  const std::int64_t size = file.size();
  if (size == 0) return fail("file is empty; the download did not finish?");
  if (size < kPrefixBytes) {
    return fail("too short for a safetensors header (" + text_of(size) + " bytes, need 8)");
  }
  std::string head(static_cast<std::size_t>(std::min<std::int64_t>(size, 64)), '\0');
  FL_TRY(file.read(0, std::as_writable_bytes(std::span(head))));
  std::uint64_t length = 0;
  for (int i = 0; i < kPrefixBytes; ++i) length |= std::uint64_t{static_cast<unsigned char>(head[i])} << (8 * i);
  if (length > static_cast<std::uint64_t>(kMaxHeaderBytes)) {
    // A head that is no safetensors file's: as a length, its first bytes are over the limit.
    if (const std::string_view message = foreign_file(head); !message.empty()) return fail(std::string(message));
    if (head.starts_with("PK\x03\x04") || head.starts_with('\x80')) {
      return fail("this is a torch or pickle file under the name of another; name it pytorch_model.bin");
    }
    return fail("header says " + std::to_string(length) + " bytes, limit 16 MiB");
  }
  if (static_cast<std::int64_t>(length) > size - kPrefixBytes) {
    return fail("header says " + std::to_string(length) + " bytes but the file has " + text_of(size) + "; truncated?");
  }
  std::string header(length, '\0');
  FL_TRY(file.read(kPrefixBytes, std::as_writable_bytes(std::span(header))));
  return header;
}

Status check_ends(std::string_view header) {
  const auto not_json = [header](std::size_t at, std::string_view expected) {
    constexpr char kHex[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(header[at]);
    return damaged(std::string("header is not JSON text (byte 0x") + kHex[byte >> 4] + kHex[byte & 15] + " at " +
                   std::to_string(at) + ", expected " + std::string(expected) + ")");
  };
  if (header.empty()) return damaged("header is not JSON text (it is empty)");
  if (header[0] != '{') return not_json(0, "'{'");
  // npos + 1 is impossible: there is a '{'.
  const std::size_t last = header.find_last_not_of(' ');
  if (header[last] != '}') return not_json(last, "'}' and then only spaces");
  return {};
}

/// One entry of the header; the methods' errors name the tensor.
class Entry {
 public:
  Entry(const std::string& name, const json::Value& value) : value_(value) { info_.name = name; }

  Result<TensorInfo> read() {
    if (info_.name.size() > kMaxNameBytes) {
      info_.name.resize(32);
      return fail("… has a name of more than " + std::to_string(kMaxNameBytes) + " bytes");
    }
    FL_TRY(read_type());
    FL_TRY(read_shape());
    FL_TRY(read_offsets());
    return std::move(info_);
  }

 private:
  Error fail(const std::string& message) const { return damaged("tensor \"" + info_.name + "\"" + message); }

  Result<const json::Array*> list(std::string_view key) const {
    const json::Value* member = value_.find(key);
    if (member == nullptr) return fail(": \"" + std::string(key) + "\" is missing");
    if (member->array() == nullptr) {
      return fail(": \"" + std::string(key) + "\" is " + std::string(member->kind()) + ", expected an array");
    }
    return member->array();
  }

  Result<std::int64_t> number(const json::Array& list, std::string_view key, std::size_t index) const {
    const std::int64_t* number = list[index].integer();
    if (number == nullptr || *number < 0 || *number > kMaxNumber) {
      return fail(": " + std::string(key) + "[" + std::to_string(index) + "] is not a whole number in range (" +
                  json::dump(list[index]) + ")");
    }
    return *number;
  }

  Status read_type() {
    const json::Value* member = value_.find("dtype");
    if (member == nullptr || member->string() == nullptr) return fail(": \"dtype\" is missing or not a string");
    info_.dtype = *member->string();
    const auto* type = std::find_if(std::begin(kStoredTypes), std::end(kStoredTypes),
                                    [this](const StoredType& candidate) { return candidate.name == info_.dtype; });
    if (type == std::end(kStoredTypes)) {
      return fail(" has dtype " + json::dump(info_.dtype) + "; supported: F32, F16, BF16");
    }
    bits_ = type->bits;
    return {};
  }

  Status read_shape() {
    FL_ASSIGN(const json::Array* shape, list("shape"));
    if (shape->size() > kMaxRank) {
      return fail(": shape has " + std::to_string(shape->size()) + " axes, limit " + std::to_string(kMaxRank));
    }
    for (std::size_t axis = 0; axis < shape->size(); ++axis) {
      FL_ASSIGN(const std::int64_t extent, number(*shape, "shape", axis));
      info_.shape.push_back(extent);
      if (__builtin_mul_overflow(bits_, extent, &bits_)) return fail(": size overflows 64 bits");
    }
    if (bits_ % 8 != 0) return fail(": its " + text_of(bits_) + " bits do not fill whole bytes");
    info_.bytes = bits_ / 8;
    return {};
  }

  Status read_offsets() {
    FL_ASSIGN(const json::Array* offsets, list("data_offsets"));
    if (offsets->size() != 2) {
      return fail(": data_offsets has " + std::to_string(offsets->size()) + " entries, expected 2");
    }
    FL_ASSIGN(const std::int64_t begin, number(*offsets, "data_offsets", 0));
    FL_ASSIGN(const std::int64_t end, number(*offsets, "data_offsets", 1));
    if (end - begin != info_.bytes) {
      return fail(": shape needs " + text_of(info_.bytes) + " bytes, offsets cover " + text_of(end - begin));
    }
    info_.offset = begin;
    return {};
  }

  const json::Value& value_;
  TensorInfo info_;
  std::int64_t bits_ = 0;
};

using Metadata = std::map<std::string, std::string>;

Result<Metadata> read_metadata(const json::Value& metadata) {
  if (metadata.object() == nullptr) {
    return damaged("__metadata__ is " + std::string(metadata.kind()) + ", expected an object");
  }
  Metadata entries;
  for (const auto& [name, value] : *metadata.object()) {
    if (value.string() == nullptr) {
      return damaged("__metadata__: \"" + name + "\" is " + std::string(value.kind()) + ", expected a string");
    }
    entries.emplace(name, *value.string());
  }
  return entries;
}

/// The header's tensors in file order; offsets count from the start of the data.
Result<std::vector<TensorInfo>> parse_header(std::string_view header, Metadata& metadata) {
  FL_TRY(check_ends(header));
  auto parsed = json::parse(header);
  if (!parsed) return damaged("header JSON: " + parsed.error().message);
  const json::Object& members = *parsed->object();  // it begins with '{'
  const std::size_t count = members.size() - (parsed->find("__metadata__") != nullptr ? 1 : 0);
  if (count > kMaxTensors) {
    return damaged(std::to_string(count) + " tensors, limit " + std::to_string(kMaxTensors));
  }
  std::vector<TensorInfo> tensors;
  tensors.reserve(count);
  for (const auto& [name, value] : members) {
    if (name == "__metadata__") {
      FL_ASSIGN(metadata, read_metadata(value));
    } else {
      FL_ASSIGN(TensorInfo info, Entry(name, value).read());
      tensors.push_back(std::move(info));
    }
  }
  // An empty tensor comes before the one whose offset it shares.
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
  });
  return tensors;
}

/// Tensors follow one another without hole or overlap and fill the file's data exactly.
Status check_coverage(const std::vector<TensorInfo>& tensors, std::int64_t data_begin, std::int64_t file_size) {
  std::int64_t expected = 0;
  for (const TensorInfo& info : tensors) {
    if (info.offset != expected) {
      return damaged("tensor \"" + info.name + "\" begins at " + text_of(info.offset) + ", expected " +
                     text_of(expected) + " (bytes of the data)");
    }
    expected += info.bytes;
    if (data_begin + expected > file_size) {
      return damaged("file ends at " + text_of(file_size) + ", tensor \"" + info.name + "\" needs up to " +
                     text_of(data_begin + expected) + "; download again");
    }
  }
  const std::int64_t rest = file_size - data_begin - expected;
  if (rest > 0) return damaged(text_of(rest) + " bytes after the last tensor, expected none");
  return {};
}

}  // namespace

Result<TensorFile> open_safetensors(const std::string& path) {
  FL_ASSIGN(File file, File::open(path));
  FL_ASSIGN(const std::string header, read_header(file));
  const std::int64_t data_begin = kPrefixBytes + static_cast<std::int64_t>(header.size());

  Metadata metadata;
  auto tensors = parse_header(header, metadata);
  if (!tensors) return Error{tensors.error().code, std::move(tensors.error().message), path};
  if (Status covered = check_coverage(*tensors, data_begin, file.size()); !covered) {
    return Error{covered.error().code, covered.error().message, path};
  }
  for (TensorInfo& info : *tensors) info.offset += data_begin;
  return TensorFile{std::move(file), std::move(*tensors), std::move(metadata)};
}

}  // namespace florence2
