#include "model/text_encoder.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/attention.hpp"
#include "kernels/rowwise.hpp"

namespace florence2 {
namespace {

/// x = LN(x + out(attention(qkv(x)))), x: [s, d].
void self_attention(Context& context, View<float> x, const SelfAttention& weights, int heads, EncoderBuffers& buffers) {
  const std::int64_t d = x.cols;
  const View<float> attended(buffers.attended.data(), x.rows, d);
  const float scale = 1.0f / std::sqrt(static_cast<float>(d / heads));
  const auto attend = [&](auto qkv, auto... arithmetic) {
    matmul(context, qkv, x, weights.qkv);
    attention(context, attended, qkv.col_range(0, d), qkv.col_range(d, d), qkv.col_range(2 * d, d), heads, scale,
              arithmetic...);
  };
  if (qkv_in_bf16(context.table(), weights.qkv, d / heads)) {
    attend(View<std::uint16_t>(reinterpret_cast<std::uint16_t*>(buffers.qkv.data()), x.rows, 3 * d, 3 * d + 32));
  } else {
    attend(View<float>(buffers.qkv.data(), x.rows, 3 * d), arithmetic_of(context.table(), weights.qkv));
  }
  matmul(context, x, attended, weights.out, {.residual = x});
  layer_norm(context, x, x, weights.norm);
}

}  // namespace

void add_position(float* dst, const Embedding& embedding, std::int64_t position) {
  const std::int64_t d = embedding.norm.gamma.size();
  const float* row = embedding.positions.data() + (position + kPositionOffset) * d;
  for (std::int64_t c = 0; c < d; ++c) dst[c] += row[c];
}

void embed_token(float* dst, const Embedding& embedding, std::int32_t id, std::int64_t position) {
  embedding.tokens->unpack_column(id, dst);
  add_position(dst, embedding, position);
}

View<const float> run_encoder(Context& context, const EncoderWeights& weights, View<const float> image,
                              std::span<const std::int32_t> ids, EncoderBuffers& buffers) {
  const std::int64_t s = image.rows + static_cast<std::int64_t>(ids.size());
  const std::int64_t d = image.cols;
  buffers.x.ensure(s * d);
  buffers.qkv.ensure(s * 3 * d);
  buffers.attended.ensure(s * d);
  const View<float> x(buffers.x.data(), s, d);
  for (std::int64_t p = 0; p < image.rows; ++p) {
    std::copy_n(image.row(p), d, x.row(p));
    add_position(x.row(p), weights.embedding, p);
  }
  for (std::int64_t p = image.rows; p < s; ++p) {
    embed_token(x.row(p), weights.embedding, ids[static_cast<std::size_t>(p - image.rows)], p);
  }
  layer_norm(context, x, x, weights.embedding.norm);
  for (const EncoderLayer& layer : weights.layers) {
    self_attention(context, x, layer.attention, weights.heads, buffers);
    feed_forward_block(context, x, layer.fc1, layer.fc2, layer.norm);
  }
  return x;
}

}  // namespace florence2
