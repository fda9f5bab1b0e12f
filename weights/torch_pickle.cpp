#include "weights/torch_pickle.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "weights/pickle.hpp"

namespace florence2 {
namespace {

using pickle::Kind;
using pickle::Node;
using pickle::Program;
using pickle::Ref;

constexpr std::size_t kMaxTensors = 65'536;
constexpr std::size_t kMaxNameBytes = 512;
constexpr std::size_t kMaxRank = 8;

enum class Role { dict, size, tensor, parameter, storage };

/// All that a file may refer to; nothing of it is more than a name here.
struct Allowed {
  std::string_view module, name;
  Role role;
  std::string_view dtype = {};
};
constexpr Allowed kAllowed[] = {
    {"collections", "OrderedDict", Role::dict},
    {"torch", "Size", Role::size},
    {"torch._utils", "_rebuild_tensor_v2", Role::tensor},
    {"torch._utils", "_rebuild_parameter", Role::parameter},
    {"torch._utils", "_rebuild_parameter_with_state", Role::parameter},
    {"torch", "FloatStorage", Role::storage, "F32"},
    {"torch", "HalfStorage", Role::storage, "F16"},
    {"torch", "BFloat16Storage", Role::storage, "BF16"},
    {"torch", "DoubleStorage", Role::storage, "F64"},
    {"torch", "LongStorage", Role::storage, "I64"},
    {"torch", "IntStorage", Role::storage, "I32"},
    {"torch", "ShortStorage", Role::storage, "I16"},
    {"torch", "CharStorage", Role::storage, "I8"},
    {"torch", "ByteStorage", Role::storage, "U8"},
    {"torch", "BoolStorage", Role::storage, "BOOL"},
};

Error damaged(std::string message) { return {ErrorCode::model, std::move(message), {}}; }

std::string shortened(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  return text.size() <= kLongest ? std::string(text) : std::string(text.substr(0, kLongest)) + "…";
}

class TorchHost : public pickle::Host {
 public:
  Result<std::int64_t> global(std::string_view module, std::string_view name) override {
    for (std::size_t i = 0; i < std::size(kAllowed); ++i) {
      if (kAllowed[i].module == module && kAllowed[i].name == name) return static_cast<std::int64_t>(i);
    }
    return damaged("pickle files can run code: only plain tensors are rebuilt, nothing is executed (found a call to " +
                   shortened(module) + "." + shortened(name) + "); save the weights as safetensors instead");
  }

  Result<Node> call(const Program& program, std::int64_t callable, const Node& args) override {
    const Allowed& allowed = kAllowed[callable];
    switch (allowed.role) {
      case Role::dict:
        if (args.items.empty()) return Node{.kind = Kind::dict};
        break;
      case Role::size:
        if (args.items.size() == 1 && is_shape(program.node(args.items[0]))) return program.node(args.items[0]);
        break;
      case Role::tensor:
        return rebuild(program, args);
      case Role::parameter:  // its tensor, and whether it was trained
        if (!args.items.empty() && tensor_of(program.node(args.items[0])) != nullptr) {
          return program.node(args.items[0]);
        }
        break;
      case Role::storage:
        break;
    }
    return damaged("pickle: unexpected arguments of " + std::string(allowed.module) + "." + std::string(allowed.name));
  }

  /// ("storage", type, key, device, elements)
  Result<Node> external(const Program& program, const Node& id) override {
    const auto item = [&](std::size_t i) -> const Node& { return program.node(id.items[i]); };
    const bool fits = id.kind == Kind::tuple && id.items.size() == 5 && item(0).kind == Kind::text &&
                      item(0).text == "storage" && item(1).kind == Kind::global && item(2).kind == Kind::text &&
                      item(4).kind == Kind::integer && item(4).number >= 0;
    if (!fits || kAllowed[item(1).number].role != Role::storage) {
      return damaged("pickle: an external reference that is no storage");
    }
    TorchTensor storage;
    storage.dtype = kAllowed[item(1).number].dtype;
    storage.storage = shortened(item(2).text);
    storage.storage_size = item(4).number;
    return keep(std::move(storage), kIsStorage);
  }

  const TorchTensor* tensor_of(const Node& node) const { return object_of(node, kIsTensor); }

 private:
  // An object's number: its position among objects_, and what it is.
  static constexpr std::int64_t kIsStorage = 0, kIsTensor = 1;

  const TorchTensor* object_of(const Node& node, std::int64_t what) const {
    if (node.kind != Kind::object || node.number % 2 != what) return nullptr;
    return &objects_[static_cast<std::size_t>(node.number / 2)];
  }

  static bool is_shape(const Node& node) { return node.kind == Kind::tuple && node.items.size() <= kMaxRank; }

  Result<Node> keep(TorchTensor object, std::int64_t what) {
    if (objects_.size() == 2 * kMaxTensors) return damaged("pickle: more than 65,536 tensors with their storages");
    objects_.push_back(std::move(object));
    return Node{.kind = Kind::object, .number = static_cast<std::int64_t>(objects_.size() - 1) * 2 + what};
  }

  /// (storage, first element, shape, strides, …)
  Result<Node> rebuild(const Program& program, const Node& args) {
    if (args.items.size() < 4)
      return damaged("pickle: a tensor of " + std::to_string(args.items.size()) + " arguments");
    const TorchTensor* storage = object_of(program.node(args.items[0]), kIsStorage);
    const Node& first = program.node(args.items[1]);
    if (storage == nullptr || first.kind != Kind::integer) return damaged("pickle: a tensor without a storage");
    TorchTensor tensor = *storage;
    tensor.first = first.number;
    FL_ASSIGN(tensor.shape, sizes(program, args.items[2]));
    FL_ASSIGN(tensor.strides, sizes(program, args.items[3]));
    FL_TRY(check_bounds(tensor));
    return keep(std::move(tensor), kIsTensor);
  }

  static Result<std::vector<std::int64_t>> sizes(const Program& program, Ref ref) {
    const Node& tuple = program.node(ref);
    if (!is_shape(tuple)) {
      return damaged("pickle: a shape must be a tuple of at most " + std::to_string(kMaxRank) + " numbers");
    }
    std::vector<std::int64_t> sizes;
    for (const Ref item : tuple.items) {
      const Node& size = program.node(item);
      if (size.kind != Kind::integer || size.number < 0) return damaged("pickle: a shape or stride is no whole number");
      sizes.push_back(size.number);
    }
    return sizes;
  }

  static Status check_bounds(TorchTensor& tensor) {
    if (tensor.shape.size() != tensor.strides.size()) return damaged("pickle: shape and strides differ in length");
    std::int64_t elements = 1, last = tensor.first;
    bool overflow = false;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      std::int64_t reach = 0;
      overflow |= __builtin_mul_overflow(elements, tensor.shape[i], &elements);
      overflow |= __builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &reach);
      overflow |= __builtin_add_overflow(last, reach, &last);
    }
    if (overflow) return damaged("pickle: the size of a tensor overflows 64 bits");
    tensor.elements = elements;
    const bool inside = tensor.first >= 0 && last < tensor.storage_size && elements <= tensor.storage_size;
    if (inside || elements == 0) return {};
    return damaged("pickle: a tensor of " + std::to_string(elements) + " elements up to number " +
                   std::to_string(last) + " does not fit its storage of " + std::to_string(tensor.storage_size));
  }

  std::vector<TorchTensor> objects_;
};

Result<std::string> name_of_entry(const Node& key, std::unordered_set<std::string_view>& seen) {
  if (key.kind != Kind::text)
    return damaged("pickle: a key is " + std::string(name_of(key.kind)) + ", expected a text");
  if (key.text.size() > kMaxNameBytes) {
    return damaged("tensor \"" + shortened(key.text) + "\" has a name of more than 512 bytes");
  }
  if (!seen.insert(key.text).second) return damaged("tensor \"" + std::string(key.text) + "\" is listed twice");
  return std::string(key.text);
}

}  // namespace

Result<std::vector<TorchTensor>> read_torch_pickle(std::span<const std::byte> bytes) {
  TorchHost host;
  Program program(bytes, host);
  FL_ASSIGN(const Ref top, program.run());
  const Node& dict = program.node(top);
  if (dict.kind != Kind::dict) {
    return damaged("the file holds " + std::string(name_of(dict.kind)) + ", expected a dictionary of tensors");
  }
  if (dict.items.size() / 2 > kMaxTensors) {
    return damaged(std::to_string(dict.items.size() / 2) + " tensors, limit " + std::to_string(kMaxTensors));
  }
  std::vector<TorchTensor> tensors;
  std::unordered_set<std::string_view> seen;
  for (std::size_t i = 0; i < dict.items.size(); i += 2) {
    FL_ASSIGN(std::string name, name_of_entry(program.node(dict.items[i]), seen));
    const Node& value = program.node(dict.items[i + 1]);
    const TorchTensor* tensor = host.tensor_of(value);
    if (tensor == nullptr) {
      return damaged("entry \"" + name + "\" is " + std::string(name_of(value.kind)) + ", expected a tensor");
    }
    tensors.push_back(*tensor);
    tensors.back().name = std::move(name);
  }
  return tensors;
}

}  // namespace florence2
