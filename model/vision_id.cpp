#include "model/vision_id.hpp"

#include <span>

#include "core/fnv.hpp"

namespace florence2 {
namespace {

class Hash {
 public:
  explicit Hash(std::uint64_t start) : value_(fnv1a(kFnvStart, std::as_bytes(std::span(&start, 1)))) {}

  void add(const Buffer<float>& buffer) { value_ = fnv1a(value_, std::as_bytes(buffer.span())); }
  void add(const Norm& norm) {
    add(norm.gamma);
    add(norm.beta);
  }
  void add(const Depthwise& depthwise) {
    add(depthwise.weight);
    add(depthwise.bias);
  }
  void add(const AttentionWeights& attention) {
    add(attention.norm);
    add(attention.qkv.bias);
    add(attention.proj.bias);
  }
  void add(const DavitBlock& block) {
    add(block.conv1);
    add(block.attention);
    add(block.conv2);
    add(block.norm2);
    add(block.fc1.bias);
    add(block.fc2.bias);
  }
  std::uint32_t folded() const { return static_cast<std::uint32_t>(value_ ^ value_ >> 32); }

 private:
  std::uint64_t value_;
};

}  // namespace

std::uint32_t vision_id(const DavitWeights& vision, const ProjectorWeights& projector, std::uint64_t adapted) {
  Hash hash(adapted);
  for (const DavitStage& stage : vision.stages) {
    hash.add(stage.embedding.proj.bias);
    hash.add(stage.norm);
    for (const DavitBlock& block : stage.spatial) hash.add(block);
    for (const DavitBlock& block : stage.channel) hash.add(block);
  }
  hash.add(projector.column_embeddings);
  hash.add(projector.row_embeddings);
  hash.add(projector.norm);
  return hash.folded();
}

}  // namespace florence2
