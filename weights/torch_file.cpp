#include "weights/torch_file.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "weights/foreign_file.hpp"
#include "weights/torch_pickle.hpp"
#include "weights/zip_directory.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kMaxPickleBytes = std::int64_t{4} << 20;  // large has 140 kB
constexpr std::int64_t kMostRearranged = 4;                      // files: a tied embedding has four names
constexpr std::string_view kZipSignature = "PK\3\4";

std::int64_t size_of_element(std::string_view dtype) {
  if (dtype == "F64" || dtype == "I64") return 8;
  if (dtype == "F32" || dtype == "I32") return 4;
  return dtype == "I8" || dtype == "U8" || dtype == "BOOL" ? 1 : 2;
}

class Reader {
 public:
  explicit Reader(const File& file) : file_(file), room_(kMostRearranged * file.size()) {}

  Result<std::vector<TensorInfo>> read() {
    FL_TRY(check_kind());
    FL_ASSIGN(const std::vector<ZipMember> members, read_zip_directory(file_));
    for (const ZipMember& member : members) members_.emplace(member.name, member);
    FL_TRY(find_folder(members));
    FL_ASSIGN(const std::string pickle, small_member("data.pkl"));
    auto tensors = read_torch_pickle(std::as_bytes(std::span(pickle)));
    if (!tensors) return fail(std::move(tensors.error().message));
    std::vector<TensorInfo> infos;
    for (TorchTensor& tensor : *tensors) {
      FL_ASSIGN(TensorInfo info, place(tensor));
      infos.push_back(std::move(info));
    }
    return infos;
  }

 private:
  Error fail(std::string message) const { return {ErrorCode::model, std::move(message), file_.path()}; }

  Status check_kind() const {
    std::string head(static_cast<std::size_t>(std::min<std::int64_t>(file_.size(), 64)), '\0');
    if (head.empty()) return fail("file is empty; the download did not finish?");
    FL_TRY(file_.read(0, std::as_writable_bytes(std::span(head))));
    if (head.starts_with(kZipSignature)) return {};
    if (const std::string_view kind = foreign_file(head); !kind.empty()) return fail(std::string(kind));
    if (head.starts_with('\x80')) {
      return fail("this is the torch format from before version 1.6, which is not read; save it as safetensors");
    }
    return fail("this is no file of torch.save (a zip file)");
  }

  /// All members lie in one folder, whose name torch takes from the file's.
  Status find_folder(const std::vector<ZipMember>& members) {
    for (const ZipMember& member : members) {
      const std::size_t slash = member.name.find('/');
      if (slash == member.name.npos || member.name.substr(slash) != "/data.pkl") continue;
      folder_ = member.name.substr(0, slash + 1);
    }
    if (folder_.empty()) return fail("this zip file is no file of torch.save: it has no data.pkl");
    if (members_.contains(folder_ + "constants.pkl")) {
      return fail("this is a TorchScript program, not weights alone; save its state_dict as safetensors");
    }
    if (!members_.contains(folder_ + "byteorder")) return {};
    FL_ASSIGN(const std::string order, small_member("byteorder"));
    return order == "little" ? Status() : fail("byte order \"" + order + "\", expected \"little\"");
  }

  Result<std::string> small_member(const char* name) const {
    const ZipMember& member = members_.at(folder_ + name);
    if (member.bytes > kMaxPickleBytes) {
      return fail(std::string(name) + " has " + std::to_string(member.bytes) + " bytes, limit 4 MiB");
    }
    std::string text(static_cast<std::size_t>(member.bytes), '\0');
    FL_TRY(file_.read(member.offset, std::as_writable_bytes(std::span(text))));
    return text;
  }

  Result<TensorInfo> place(TorchTensor& tensor) {
    const std::int64_t size = size_of_element(tensor.dtype);
    const auto member = members_.find(folder_ + "data/" + tensor.storage);
    if (member == members_.end()) {
      return fail("tensor \"" + tensor.name + "\": its storage \"" + tensor.storage + "\" is missing");
    }
    const ZipMember& storage = member->second;
    if (storage.bytes % size != 0 || storage.bytes / size != tensor.storage_size) {
      return fail("tensor \"" + tensor.name + "\": its storage has " + std::to_string(storage.bytes) +
                  " bytes, expected " + std::to_string(tensor.storage_size) + " elements of " + std::to_string(size));
    }
    TensorInfo info{tensor.name, std::string(tensor.dtype), tensor.shape, storage.offset, tensor.elements * size};
    if (tensor.elements == 0) return info;
    info.offset += tensor.first * size;
    if (!is_row_major(tensor)) {
      FL_TRY(rearrange(tensor, storage, info));
    }
    return info;
  }

  static bool is_row_major(const TorchTensor& tensor) {
    std::int64_t stride = 1;
    for (std::size_t axis = tensor.shape.size(); axis-- > 0;) {
      if (tensor.shape[axis] != 1 && tensor.strides[axis] != stride) return false;
      stride *= tensor.shape[axis];
    }
    return true;
  }

  /// Reads the storage and lays the tensor's elements out in row-major order.
  Status rearrange(const TorchTensor& tensor, const ZipMember& storage, TensorInfo& info) {
    room_ -= storage.bytes;
    if (room_ < 0) return fail("tensor \"" + tensor.name + "\": too many tensors are not stored row by row");
    Buffer<std::byte> stored(storage.bytes);
    FL_TRY(file_.read(storage.offset, stored.span()));
    auto values = std::make_shared<Buffer<std::byte>>(info.bytes);
    const std::int64_t size = info.bytes / tensor.elements;
    std::vector<std::int64_t> index(tensor.shape.size(), 0);
    std::int64_t from = tensor.first;
    for (std::int64_t to = 0; to < tensor.elements; ++to) {
      std::memcpy(values->data() + to * size, stored.data() + from * size, static_cast<std::size_t>(size));
      for (std::size_t axis = index.size(); axis-- > 0;) {  // on to the next element
        from += tensor.strides[axis];
        if (++index[axis] < tensor.shape[axis]) break;
        from -= tensor.strides[axis] * index[axis];
        index[axis] = 0;
      }
    }
    info.values = std::move(values);
    return {};
  }

  const File& file_;
  std::int64_t room_;  // bytes that rearranged tensors may still take
  std::unordered_map<std::string, ZipMember> members_;
  std::string folder_;
};

}  // namespace

Result<TensorFile> open_torch(const std::string& path) {
  FL_ASSIGN(File file, File::open(path));
  FL_ASSIGN(std::vector<TensorInfo> tensors, Reader(file).read());
  return TensorFile{std::move(file), std::move(tensors)};
}

}  // namespace florence2
