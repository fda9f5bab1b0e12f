// Byte-pair encoding: the bytes of a piece become tokens, and neighbours are merged in the order of the merge ranks.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/hash_index.hpp"

namespace florence2 {

/// Token ids of the 256 bytes.
using ByteIds = std::array<std::int32_t, 256>;

/// Which neighbours merge, into what, and which first.
class MergeTable {
 public:
  struct Merge {
    std::int32_t left = 0, right = 0;
    std::int32_t merged = 0;
    std::int32_t rank = 0;  ///< lower goes first
  };

  /// Room for `capacity` calls of add().
  explicit MergeTable(std::size_t capacity) : index_(capacity) { merges_.reserve(capacity); }

  /// Ranks follow the order of adding; a pair that is added again gets its new rank, as in the reference.
  void add(std::int32_t left, std::int32_t right, std::int32_t merged);
  /// nullptr when the two do not merge.
  const Merge* find(std::int32_t left, std::int32_t right) const;

 private:
  std::int32_t find_entry(std::int32_t left, std::int32_t right) const;

  std::vector<Merge> merges_;
  HashIndex index_;
  std::int32_t next_rank_ = 0;
};

/// Encodes pieces one after the other, keeping its working memory. O(n log n) for a piece of n bytes.
class BpeEncoder {
 public:
  /// Both arguments must outlive the encoder.
  BpeEncoder(const ByteIds& byte_ids, const MergeTable& merges) : byte_ids_(byte_ids), merges_(merges) {}

  /// Appends the ids of `piece` to `ids`.
  void encode(std::string_view piece, std::vector<std::int32_t>& ids);

  /// Pairs examined so far, the unit of work: at most 3 n for n bytes in all.
  std::int64_t pairs_examined() const { return pairs_examined_; }

 private:
  /// A link of the chain of symbols; index 0 is a sentinel at both ends, symbols start at 1.
  struct Symbol {
    std::int32_t id;  // kMergedAway after it became part of its left neighbour
    std::size_t previous, next;
  };
  struct Candidate {
    std::int32_t rank;
    std::int32_t merged;
    std::size_t left;  // index of the left symbol

    bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };
  static constexpr std::int32_t kMergedAway = -1;

  void start(std::string_view piece);
  void examine_pair(std::size_t left);
  void apply(const Candidate& candidate);

  const ByteIds& byte_ids_;
  const MergeTable& merges_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;  // the best candidate first; stale ones are skipped
  std::int64_t pairs_examined_ = 0;
};

}  // namespace florence2
