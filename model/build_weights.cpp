#include "model/build_weights.hpp"

namespace florence2 {
namespace {

class Scale {
 public:
  WeightSize size() const { return size_; }

  void add(const Buffer<float>& buffer) {
    size_.bytes += buffer.size() * static_cast<std::int64_t>(sizeof(float));
    size_.parameters += buffer.size();
  }
  void add(const PackedMatrix& matrix) {
    size_.bytes += matrix.bytes();
    size_.parameters += matrix.n() * matrix.k();
  }
  void add(const Linear& linear) {
    add(linear.weight);
    add(linear.bias);
  }
  void add(const Norm& norm) {
    add(norm.gamma);
    add(norm.beta);
  }
  void add(const Depthwise& depthwise) {
    add(depthwise.weight);
    add(depthwise.bias);
  }
  void add(const AttentionWeights& attention) { add_all(attention.norm, attention.qkv, attention.proj); }
  void add(const SelfAttention& attention) { add_all(attention.qkv, attention.out, attention.norm); }
  void add(const CrossAttentionWeights& cross) { add_all(cross.q, cross.out, cross.kv, cross.norm); }
  void add(const DavitBlock& block) {
    add_all(block.conv1, block.attention, block.conv2, block.norm2, block.fc1, block.fc2);
  }
  void add(const DavitStage& stage) {
    add_all(stage.embedding.proj, stage.norm);
    for (const DavitBlock& block : stage.spatial) add(block);
    for (const DavitBlock& block : stage.channel) add(block);
  }
  void add(const EncoderLayer& layer) { add_all(layer.attention, layer.fc1, layer.fc2, layer.norm); }
  void add(const DecoderLayer& layer) { add_all(layer.attention, layer.cross, layer.fc1, layer.fc2, layer.norm); }

  template <typename... Parts>
  void add_all(const Parts&... parts) {
    (add(parts), ...);
  }

 private:
  WeightSize size_;
};

}  // namespace

WeightSize measure(const Weights& weights) {
  Scale scale;
  for (const DavitStage& stage : weights.vision.stages) scale.add(stage);
  const ProjectorWeights& projector = weights.projector;
  scale.add_all(projector.column_embeddings, projector.row_embeddings, projector.projection, projector.norm);
  const DecoderWeights& decoder = weights.decoder;
  scale.add(*decoder.head);
  const PackedMatrix *encoder_tokens = weights.encoder.embedding.tokens.get(), *tokens = decoder.embedding.tokens.get();
  if (tokens != &decoder.head->weight) scale.add(*tokens);
  if (encoder_tokens != &decoder.head->weight && encoder_tokens != tokens) scale.add(*encoder_tokens);
  for (const Embedding* embedding : {&weights.encoder.embedding, &decoder.embedding}) {
    scale.add_all(embedding->positions, embedding->norm);
  }
  for (const EncoderLayer& layer : weights.encoder.layers) scale.add(layer);
  for (const DecoderLayer& layer : decoder.layers) scale.add(layer);
  return scale.size();
}

}  // namespace florence2
