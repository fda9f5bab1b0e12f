// A pickle reader that runs nothing: it interprets the opcodes that files of tensors need and hands every global, call
// and external reference to a host, which decides what they may stand for. Any other opcode is an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/result.hpp"

namespace florence2::pickle {

/// Position of a node in Program::nodes. Nodes refer to one another by position, so that shared and cyclic values cost
/// nothing and are freed at once.
using Ref = std::uint32_t;

enum class Kind : std::uint8_t { none, boolean, integer, real, text, tuple, list, dict, global, object };

struct Node {
  Kind kind = Kind::none;
  std::int64_t number = 0;      ///< boolean, integer; of an object or global: what the host says it is
  std::string_view text = {};   ///< text; lies in the pickle
  std::vector<Ref> items = {};  ///< tuple, list; of a dict: key, value, key, value, …
};

std::string_view name_of(Kind kind);  ///< "a tuple", for messages

class Program;

/// What a pickle may refer to beyond plain values. Errors end the reading.
class Host {
 public:
  virtual ~Host() = default;
  /// The global `module`.`name`; the number that shall stand for it.
  virtual Result<std::int64_t> global(std::string_view module, std::string_view name) = 0;
  /// What calling the global `callable` with the tuple `args` gives.
  virtual Result<Node> call(const Program& program, std::int64_t callable, const Node& args) = 0;
  /// What the external reference `id` gives.
  virtual Result<Node> external(const Program& program, const Node& id) = 0;
};

class Program {
 public:
  /// Both must outlive the program.
  Program(std::span<const std::byte> pickle, Host& host);

  /// Runs to the end and returns the result, whose node and descendants node() then gives. Time and memory are
  /// bounded by the pickle's size and by kMaxNodes. Errors: model, with the byte.
  Result<Ref> run();
  const Node& node(Ref ref) const { return nodes_[ref]; }

  static constexpr std::size_t kMaxNodes = 1'000'000;

 private:
  Error fail(std::string message) const;
  Status step(std::uint8_t opcode);
  Status step_value(std::uint8_t opcode);
  Status step_container(std::uint8_t opcode);
  Status step_memo(std::uint8_t opcode);
  Status step_host(std::uint8_t opcode);

  // Of the pickle: an unsigned number of n bytes, little-endian; n bytes; the text up to the next line end.
  Result<std::uint64_t> number(int n);
  Result<std::string_view> bytes(std::uint64_t n);
  Result<std::string_view> line();

  Status push(Node node);
  Status push_integer(int n, bool is_signed);
  Status push_text(int length_bytes);
  Status push_tuple(std::size_t n);
  Status push_global(std::string_view module, std::string_view name);
  /// The values above the last mark, which is removed with them.
  Result<std::vector<Ref>> pop_to_mark();
  Result<std::vector<Ref>> pop(std::size_t n);
  /// The topmost value, which must be a `kind`.
  Result<Node*> top(Kind kind);
  Status put(std::uint64_t slot);
  Status get(std::uint64_t slot);
  Status reduce();

  std::string_view pickle_;
  Host& host_;
  std::size_t at_ = 0;
  std::vector<Node> nodes_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack
  std::unordered_map<std::uint64_t, Ref> memo_;
};

}  // namespace florence2::pickle
