#include "weights/pickle.hpp"

#include <string>
#include <utility>

namespace florence2::pickle {
namespace {

/// The opcodes that are understood (Python's Lib/pickletools.py lists all).
enum Opcode : std::uint8_t {
  kMark = '(',
  kStop = '.',
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8A,
  kBinFloat = 'G',
  kBinUnicode = 'X',
  kShortBinUnicode = 0x8C,
  kBinUnicode8 = 0x8D,
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kMemoize = 0x94,
  kBinGet = 'h',
  kLongBinGet = 'j',
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kReduce = 'R',
  kBuild = 'b',
  kBinPersId = 'Q',
  kProto = 0x80,
  kFrame = 0x95,
};

constexpr std::uint64_t kNewestProtocol = 5;

std::string hex(std::uint8_t byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  return {'0', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
}

}  // namespace

std::string_view name_of(Kind kind) {
  constexpr std::string_view kNames[] = {"none",    "a boolean", "a whole number", "a number", "a text",
                                         "a tuple", "a list",    "a dictionary",   "a global", "an object"};
  return kNames[static_cast<std::size_t>(kind)];
}

Program::Program(std::span<const std::byte> pickle, Host& host)
    : pickle_(reinterpret_cast<const char*>(pickle.data()), pickle.size()), host_(host) {}

Error Program::fail(std::string message) const {
  return {ErrorCode::model, "pickle: " + std::move(message) + " at byte " + std::to_string(at_), {}};
}

Result<Ref> Program::run() {
  while (true) {
    FL_ASSIGN(const std::uint64_t opcode, number(1));
    if (opcode == kStop) break;
    FL_TRY(step(static_cast<std::uint8_t>(opcode)));
  }
  if (stack_.size() != 1 || !marks_.empty()) {
    return fail("ends with " + std::to_string(stack_.size()) + " values, expected one");
  }
  return stack_[0];
}

Status Program::step(std::uint8_t opcode) {
  switch (opcode) {
    case kProto: {
      FL_ASSIGN(const std::uint64_t protocol, number(1));
      if (protocol <= kNewestProtocol) return {};
      return fail("protocol " + std::to_string(protocol) + ", newest known 5");
    }
    case kFrame:
      FL_TRY(number(8));  // a hint for streams
      return {};
    case kMark:
      marks_.push_back(stack_.size());
      return {};
    default:
      return step_value(opcode);
  }
}

Status Program::step_value(std::uint8_t opcode) {
  switch (opcode) {
    case kNone:
      return push({.kind = Kind::none});
    case kNewTrue:
    case kNewFalse:
      return push({.kind = Kind::boolean, .number = opcode == kNewTrue});
    case kBinInt:
      return push_integer(4, true);
    case kBinInt1:
      return push_integer(1, false);
    case kBinInt2:
      return push_integer(2, false);
    case kLong1: {
      FL_ASSIGN(const std::uint64_t size, number(1));
      if (size > 8) return fail("a number of " + std::to_string(size) + " bytes");
      return push_integer(static_cast<int>(size), true);
    }
    case kBinFloat:
      FL_TRY(bytes(8));  // nothing that is read here depends on it
      return push({.kind = Kind::real});
    case kShortBinUnicode:
      return push_text(1);
    case kBinUnicode:
      return push_text(4);
    case kBinUnicode8:
      return push_text(8);
    default:
      return step_container(opcode);
  }
}

Status Program::step_container(std::uint8_t opcode) {
  switch (opcode) {
    case kEmptyTuple:
      return push({.kind = Kind::tuple});
    case kEmptyList:
      return push({.kind = Kind::list});
    case kEmptyDict:
      return push({.kind = Kind::dict});
    case kTuple1:
    case kTuple2:
    case kTuple3:
      return push_tuple(1 + opcode - kTuple1);
    case kTuple: {
      FL_ASSIGN(std::vector<Ref> items, pop_to_mark());
      return push({.kind = Kind::tuple, .items = std::move(items)});
    }
    case kAppend:
    case kAppends:
    case kSetItem:
    case kSetItems: {
      const bool is_list = opcode == kAppend || opcode == kAppends;
      const bool is_single = opcode == kAppend || opcode == kSetItem;
      FL_ASSIGN(const std::vector<Ref> items, is_single ? pop(is_list ? 1 : 2) : pop_to_mark());
      FL_ASSIGN(Node * container, top(is_list ? Kind::list : Kind::dict));
      if (!is_list && items.size() % 2 != 0) return fail("a key without a value");
      container->items.insert(container->items.end(), items.begin(), items.end());
      return {};
    }
    default:
      return step_memo(opcode);
  }
}

Status Program::step_memo(std::uint8_t opcode) {
  switch (opcode) {
    case kBinPut:
    case kLongBinPut: {
      FL_ASSIGN(const std::uint64_t slot, number(opcode == kBinPut ? 1 : 4));
      return put(slot);
    }
    case kMemoize:
      return put(memo_.size());
    case kBinGet:
    case kLongBinGet: {
      FL_ASSIGN(const std::uint64_t slot, number(opcode == kBinGet ? 1 : 4));
      return get(slot);
    }
    default:
      return step_host(opcode);
  }
}

Status Program::step_host(std::uint8_t opcode) {
  switch (opcode) {
    case kGlobal: {
      FL_ASSIGN(const std::string_view module, line());
      FL_ASSIGN(const std::string_view name, line());
      return push_global(module, name);
    }
    case kStackGlobal: {
      FL_ASSIGN(const std::vector<Ref> names, pop(2));
      const Node &module = nodes_[names[0]], &name = nodes_[names[1]];
      if (module.kind != Kind::text || name.kind != Kind::text) return fail("a global without a name");
      return push_global(module.text, name.text);
    }
    case kReduce:
      return reduce();
    case kBuild:  // what objects hold beside their items: versions of modules
      FL_TRY(pop(1));
      FL_TRY(top(Kind::dict));
      return {};
    case kBinPersId: {
      FL_ASSIGN(const std::vector<Ref> id, pop(1));
      FL_ASSIGN(Node node, host_.external(*this, nodes_[id[0]]));
      return push(std::move(node));
    }
    default:
      --at_;
      return fail("opcode " + hex(opcode) + ", which tensors do not need,");
  }
}

Status Program::reduce() {
  FL_ASSIGN(const std::vector<Ref> call, pop(2));
  const Node &callable = nodes_[call[0]], &args = nodes_[call[1]];
  if (callable.kind != Kind::global || args.kind != Kind::tuple) {
    return fail("a call of " + std::string(name_of(callable.kind)) + " with " + std::string(name_of(args.kind)));
  }
  FL_ASSIGN(Node node, host_.call(*this, callable.number, args));
  return push(std::move(node));
}

Result<std::uint64_t> Program::number(int n) {
  FL_ASSIGN(const std::string_view text, bytes(static_cast<std::uint64_t>(n)));
  std::uint64_t value = 0;
  for (int i = 0; i < n; ++i) value |= std::uint64_t{static_cast<std::uint8_t>(text[i])} << (8 * i);
  return value;
}

Result<std::string_view> Program::bytes(std::uint64_t n) {
  if (n > pickle_.size() - at_) return fail("ends early");
  const std::string_view text = pickle_.substr(at_, n);
  at_ += n;
  return text;
}

Result<std::string_view> Program::line() {
  const std::size_t end = pickle_.find('\n', at_);
  if (end == pickle_.npos) return fail("ends early");
  const std::string_view text = pickle_.substr(at_, end - at_);
  at_ = end + 1;
  return text;
}

Status Program::push(Node node) {
  if (nodes_.size() == kMaxNodes) return fail("more than " + std::to_string(kMaxNodes) + " values");
  stack_.push_back(static_cast<Ref>(nodes_.size()));
  nodes_.push_back(std::move(node));
  return {};
}

Status Program::push_integer(int n, bool is_signed) {
  FL_ASSIGN(std::uint64_t value, number(n));
  const int bits = 8 * n;
  const bool negative = is_signed && n > 0 && (value >> (bits - 1) & 1) != 0;
  if (negative && n < 8) value |= ~std::uint64_t{0} << bits;
  return push({.kind = Kind::integer, .number = static_cast<std::int64_t>(value)});
}

Status Program::push_text(int length_bytes) {
  FL_ASSIGN(const std::uint64_t length, number(length_bytes));
  FL_ASSIGN(const std::string_view text, bytes(length));
  return push({.kind = Kind::text, .text = text});
}

Status Program::push_tuple(std::size_t n) {
  FL_ASSIGN(std::vector<Ref> items, pop(n));
  return push({.kind = Kind::tuple, .items = std::move(items)});
}

Status Program::push_global(std::string_view module, std::string_view name) {
  FL_ASSIGN(const std::int64_t known, host_.global(module, name));
  return push({.kind = Kind::global, .number = known});
}

Result<std::vector<Ref>> Program::pop_to_mark() {
  if (marks_.empty()) return fail("no mark");
  const std::size_t n = stack_.size() - marks_.back();
  marks_.pop_back();
  return pop(n);
}

Result<std::vector<Ref>> Program::pop(std::size_t n) {
  const std::size_t floor = marks_.empty() ? 0 : marks_.back();  // what lies under a mark is not to be reached
  if (stack_.size() - floor < n) return fail("too few values");
  const auto first = stack_.end() - static_cast<std::ptrdiff_t>(n);
  std::vector<Ref> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  return items;
}

Result<Node*> Program::top(Kind kind) {
  const std::size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() == floor) return fail("too few values");
  Node& node = nodes_[stack_.back()];
  if (node.kind != kind) {
    return fail("found " + std::string(name_of(node.kind)) + ", expected " + std::string(name_of(kind)) + ",");
  }
  return &node;
}

Status Program::put(std::uint64_t slot) {
  if (stack_.empty()) return fail("too few values");
  if (memo_.size() == kMaxNodes) return fail("more than " + std::to_string(kMaxNodes) + " values kept");
  memo_[slot] = stack_.back();
  return {};
}

Status Program::get(std::uint64_t slot) {
  const auto found = memo_.find(slot);
  if (found == memo_.end()) return fail("nothing was kept as " + std::to_string(slot) + ",");
  stack_.push_back(found->second);
  return {};
}

}  // namespace florence2::pickle
