#include "tokenizer/bpe.hpp"

#include <algorithm>
#include <functional>

namespace florence2 {
namespace {

std::uint64_t hash_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

void MergeTable::add(std::int32_t left, std::int32_t right, std::int32_t merged) {
  const std::int32_t rank = next_rank_++;
  if (const std::int32_t entry = find_entry(left, right); entry != HashIndex::kNone) {
    merges_[entry].rank = rank;
    return;
  }
  index_.insert(hash_of(left, right), static_cast<std::int32_t>(merges_.size()));
  merges_.push_back({left, right, merged, rank});
}

const MergeTable::Merge* MergeTable::find(std::int32_t left, std::int32_t right) const {
  const std::int32_t entry = find_entry(left, right);
  return entry == HashIndex::kNone ? nullptr : &merges_[entry];
}

std::int32_t MergeTable::find_entry(std::int32_t left, std::int32_t right) const {
  return index_.find(hash_of(left, right),
                     [&](std::int32_t entry) { return merges_[entry].left == left && merges_[entry].right == right; });
}

void BpeEncoder::encode(std::string_view piece, std::vector<std::int32_t>& ids) {
  start(piece);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    const Candidate best = heap_.back();
    heap_.pop_back();
    apply(best);
  }
  for (std::size_t i = symbols_[0].next; i != 0; i = symbols_[i].next) ids.push_back(symbols_[i].id);
}

void BpeEncoder::start(std::string_view piece) {
  const std::size_t count = piece.size();
  symbols_.clear();
  symbols_.push_back({kMergedAway, count, count > 0 ? std::size_t{1} : 0});
  for (std::size_t i = 1; i <= count; ++i) {
    symbols_.push_back({byte_ids_[static_cast<unsigned char>(piece[i - 1])], i - 1, i < count ? i + 1 : 0});
  }
  for (std::size_t i = 1; i < count; ++i) examine_pair(i);
}

/// Makes a candidate of symbol `left` and its right neighbour where they merge.
void BpeEncoder::examine_pair(std::size_t left) {
  const std::size_t right = symbols_[left].next;
  if (left == 0 || right == 0) return;
  ++pairs_examined_;
  const MergeTable::Merge* merge = merges_.find(symbols_[left].id, symbols_[right].id);
  if (merge == nullptr) return;
  heap_.push_back({merge->rank, merge->merged, left});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
}

/// Merges, unless either side has changed since the candidate was made.
void BpeEncoder::apply(const Candidate& candidate) {
  Symbol& left = symbols_[candidate.left];
  if (left.id == kMergedAway || left.next == 0) return;
  Symbol& right = symbols_[left.next];
  const MergeTable::Merge* merge = merges_.find(left.id, right.id);
  if (merge == nullptr || merge->rank != candidate.rank) return;
  left.id = candidate.merged;
  right.id = kMergedAway;
  left.next = right.next;
  symbols_[left.next].previous = candidate.left;
  examine_pair(left.previous);
  examine_pair(candidate.left);
}

}  // namespace florence2
