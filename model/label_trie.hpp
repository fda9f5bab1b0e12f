// Token sequences of a list of labels, as a tree.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "tokenizer/tokenizer.hpp"

namespace florence2 {

/// Errors argument: the label is empty, holds '<', a line break or white space at an end.
Status check_label(const std::string& label);

class LabelTrie {
 public:
  static constexpr std::int32_t kRoot = 0;
  static constexpr std::int32_t kNone = -1;

  LabelTrie() = default;
  /// Holds each label as it is and after a space. Errors: those of check_label(); data: a label is
  /// not UTF-8.
  static Result<LabelTrie> build(std::span<const std::string> labels, const Tokenizer& tokenizer);

  bool empty() const { return nodes_.size() <= 1; }
  /// A label may end here.
  bool is_end(std::int32_t node) const { return at(node).to_end == 0; }
  /// Tokens of the shortest way from here to the end of a label.
  int to_end(std::int32_t node) const { return at(node).to_end; }
  /// (token, node), tokens ascending.
  std::span<const std::pair<std::int32_t, std::int32_t>> children(std::int32_t node) const { return at(node).children; }
  std::int32_t child(std::int32_t node, std::int32_t token) const;

 private:
  struct Node {
    std::vector<std::pair<std::int32_t, std::int32_t>> children;
    int to_end = 1 << 20;
  };
  const Node& at(std::int32_t node) const { return nodes_[static_cast<std::size_t>(node)]; }
  void insert(std::span<const std::int32_t> tokens);

  std::vector<Node> nodes_{1};
};

}  // namespace florence2
