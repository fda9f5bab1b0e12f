#include "tests/tiny_model.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>

#include "model/build_weights.hpp"
#include "tests/support.hpp"

namespace florence2::test {

Config tiny_config() {
  Config config;
  config.image.side = 40;
  VisionConfig& vision = config.vision;
  vision.depths = {1, 1, 2, 1};
  vision.dims = {8, 12, 20, 24};
  vision.heads = {2, 3, 4, 3};
  vision.groups = {4, 2, 5, 6};
  vision.patch_size = {7, 3, 3, 3};
  vision.patch_stride = {4, 2, 2, 2};
  vision.patch_padding = {3, 1, 1, 1};
  vision.patch_prenorm = {false, true, true, true};
  vision.window = 4;
  vision.mlp_ratio = 4;
  vision.max_positions = 5;
  TextConfig& text = config.text;
  text.d_model = 24;
  text.encoder_layers = 2;
  text.decoder_layers = 3;
  text.encoder_heads = 3;
  text.decoder_heads = 2;
  text.encoder_ffn = 40;
  text.decoder_ffn = 36;
  text.vocabulary = 67;
  text.max_positions = 30;
  return config;
}

// --- Tensors ------------------------------------------------------------------------------------------

const Tensor& TinyTensors::get(const std::string& name, std::initializer_list<std::int64_t> shape) {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) {
    REQUIRE(std::vector<std::int64_t>(shape) == found->second.shape);
    return found->second;
  }
  std::int64_t size = 1;
  for (const std::int64_t extent : shape) size *= extent;
  Tensor tensor{shape, Random(seed_ ^ std::hash<std::string>{}(name)).floats(size)};
  // Scales that keep activations near 1: norms around 1, matrices by their fan-in, everything else small.
  const bool is_gain = name.find("norm") != std::string::npos && name.ends_with("weight");
  const std::int64_t fan_in = size / *shape.begin();
  const double scale = shape.size() == 1 ? 0.2 : std::sqrt(3.0 / static_cast<double>(fan_in));
  for (float& value : tensor.values) value = static_cast<float>(value * scale + (is_gain ? 1.0 : 0.0));
  return tensors_.emplace(name, std::move(tensor)).first->second;
}

Result<Linear> TinyTensors::linear(const KernelTable& table, const std::string& name, std::int64_t out, std::int64_t in,
                                   bool bias) {
  Linear linear{PackedMatrix(table, DType::f32, out, in), {}};
  linear.weight.pack_rows(0, out, get(name + ".weight", {out, in}).values.data());
  if (bias) {
    linear.bias = Buffer<float>(out);
    std::copy_n(get(name + ".bias", {out}).values.data(), out, linear.bias.data());
  }
  return linear;
}

Result<Linear> TinyTensors::linears(const KernelTable& table, std::span<const std::string> names, std::int64_t out,
                                    std::int64_t in) {
  const std::int64_t total = out * static_cast<std::int64_t>(names.size());
  std::vector<float> rows;
  std::vector<float> biases;
  for (const std::string& name : names) {
    const std::vector<float>& part = get(name + ".weight", {out, in}).values;
    const std::vector<float>& bias = get(name + ".bias", {out}).values;
    rows.insert(rows.end(), part.begin(), part.end());
    biases.insert(biases.end(), bias.begin(), bias.end());
  }
  Linear linear{PackedMatrix(table, DType::f32, total, in), Buffer<float>(total)};
  linear.weight.pack_rows(0, total, rows.data());
  std::copy(biases.begin(), biases.end(), linear.bias.data());
  return linear;
}

Result<Linear> TinyTensors::projection(const KernelTable& table, std::int64_t d, std::int64_t cv) {
  return linear(table, "model.multi_modal_projector.image_projection", d, cv, false);
}

Result<Linear> TinyTensors::patch_linear(const KernelTable& table, const std::string& name, std::int64_t out,
                                         std::int64_t in, int kernel) {
  const std::vector<float>& weight = get(name + ".weight", {out, in, kernel, kernel}).values;
  const std::int64_t taps = std::int64_t{kernel} * kernel;
  std::vector<float> rows(weight.size());  // (ky, kx, in) instead of (in, ky, kx)
  for (std::int64_t o = 0; o < out; ++o) {
    for (std::int64_t i = 0; i < in; ++i) {
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        rows[static_cast<std::size_t>((o * taps + tap) * in + i)] =
            weight[static_cast<std::size_t>((o * in + i) * taps + tap)];
      }
    }
  }
  Linear linear{PackedMatrix(table, DType::f32, out, in * taps), Buffer<float>(out)};
  linear.weight.pack_rows(0, out, rows.data());
  std::copy_n(get(name + ".bias", {out}).values.data(), out, linear.bias.data());
  return linear;
}

Result<Depthwise> TinyTensors::depthwise(const std::string& name, std::int64_t c) {
  const std::vector<float>& weight = get(name + ".weight", {c, 1, 3, 3}).values;
  Depthwise result{Buffer<float>(9 * c), Buffer<float>(c)};
  for (std::int64_t i = 0; i < c; ++i) {
    for (std::int64_t tap = 0; tap < 9; ++tap) {
      result.weight[tap * c + i] = weight[static_cast<std::size_t>(i * 9 + tap)];
    }
  }
  std::copy_n(get(name + ".bias", {c}).values.data(), c, result.bias.data());
  return result;
}

Result<Norm> TinyTensors::norm(const std::string& name, std::int64_t n) {
  Norm norm{Buffer<float>(n), Buffer<float>(n)};
  std::copy_n(get(name + ".weight", {n}).values.data(), n, norm.gamma.data());
  std::copy_n(get(name + ".bias", {n}).values.data(), n, norm.beta.data());
  return norm;
}

Result<Buffer<float>> TinyTensors::tensor(const std::string& name, std::initializer_list<std::int64_t> shape) {
  const std::vector<float>& values = get(name, shape).values;
  Buffer<float> result(static_cast<std::int64_t>(values.size()));
  std::copy(values.begin(), values.end(), result.data());
  return result;
}

Weights tiny_weights(TinyTensors& tensors, const Config& config, const KernelTable& table) {
  const TextConfig& text = config.text;
  auto shared = tensors.linear(table, "model.language_model.shared", text.vocabulary, text.d_model, false);
  const auto head = std::make_shared<const Linear>(std::move(shared).value());
  auto weights = WeightBuilder(tensors, config, table).build(tied_tokens(head), head);
  REQUIRE(weights);
  return std::move(weights).value();
}

std::vector<float> random_pixels(const Config& config, std::uint64_t seed) {
  return Random(seed).floats(std::int64_t{3} * config.image.side * config.image.side);
}

Matrix to_matrix(const float* values, std::int64_t rows, std::int64_t cols) {
  Matrix matrix(rows, cols);
  std::copy_n(values, rows * cols, matrix.values.begin());
  return matrix;
}

double relative_difference(View<const float> actual, const Matrix& expected) {
  REQUIRE(actual.rows == expected.rows);
  REQUIRE(actual.cols == expected.cols);
  double difference = 0, largest = 0;
  for (std::int64_t r = 0; r < expected.rows; ++r) {
    for (std::int64_t c = 0; c < expected.cols; ++c) {
      const double off = std::abs(static_cast<double>(actual.row(r)[c]) - expected.at(r, c));
      if (std::isnan(off)) return off;
      difference = std::max(difference, off);
      largest = std::max(largest, std::abs(expected.at(r, c)));
    }
  }
  return difference / largest;
}

// --- Formulas -----------------------------------------------------------------------------------------

namespace {

double gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

void add(Matrix& x, const Matrix& y) {
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += y.values[i];
}

void softmax(std::vector<double>& x) {
  const double largest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double& value : x) sum += value = std::exp(value - largest);
  for (double& value : x) value /= sum;
}

/// Columns [first, first + count) of x.
Matrix columns(const Matrix& x, std::int64_t first, std::int64_t count) {
  Matrix part(x.rows, count);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t c = 0; c < count; ++c) part.at(r, c) = x.at(r, first + c);
  }
  return part;
}

/// Per head softmax(scale q k^T) v; with `causal`, query r sees the keys up to r.
Matrix attend(const Matrix& q, const Matrix& k, const Matrix& v, std::int64_t heads, bool causal = false) {
  const std::int64_t d = q.cols / heads;
  Matrix result(q.rows, q.cols);
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::int64_t r = 0; r < q.rows; ++r) {
      std::vector<double> scores(static_cast<std::size_t>(causal ? r + 1 : k.rows));
      for (std::size_t s = 0; s < scores.size(); ++s) {
        for (std::int64_t i = h * d; i < (h + 1) * d; ++i) {
          scores[s] += q.at(r, i) * k.at(static_cast<std::int64_t>(s), i);
        }
        scores[s] /= std::sqrt(static_cast<double>(d));
      }
      softmax(scores);
      for (std::size_t s = 0; s < scores.size(); ++s) {
        for (std::int64_t i = h * d; i < (h + 1) * d; ++i) {
          result.at(r, i) += scores[s] * v.at(static_cast<std::int64_t>(s), i);
        }
      }
    }
  }
  return result;
}

}  // namespace

Matrix ReferenceModel::weight(const std::string& name, std::int64_t out, std::int64_t in) {
  return to_matrix(tensors_.get(name, {out, in}).values.data(), out, in);
}

Matrix ReferenceModel::linear(const Matrix& x, const std::string& name, std::int64_t out) {
  const Matrix w = weight(name + ".weight", out, x.cols);
  const std::vector<float>& bias = tensors_.get(name + ".bias", {out}).values;
  Matrix y(x.rows, out);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t o = 0; o < out; ++o) {
      y.at(r, o) = bias[static_cast<std::size_t>(o)];
      for (std::int64_t i = 0; i < x.cols; ++i) y.at(r, o) += x.at(r, i) * w.at(o, i);
    }
  }
  return y;
}

Matrix ReferenceModel::norm(const Matrix& x, const std::string& name) {
  const std::vector<float>& gamma = tensors_.get(name + ".weight", {x.cols}).values;
  const std::vector<float>& beta = tensors_.get(name + ".bias", {x.cols}).values;
  Matrix y(x.rows, x.cols);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    double mean = 0, variance = 0;
    for (std::int64_t c = 0; c < x.cols; ++c) mean += x.at(r, c) / static_cast<double>(x.cols);
    for (std::int64_t c = 0; c < x.cols; ++c) variance += std::pow(x.at(r, c) - mean, 2) / static_cast<double>(x.cols);
    for (std::int64_t c = 0; c < x.cols; ++c) {
      const auto i = static_cast<std::size_t>(c);
      y.at(r, c) = (x.at(r, c) - mean) / std::sqrt(variance + 1e-5) * gamma[i] + beta[i];
    }
  }
  return y;
}

Matrix ReferenceModel::convolution(const Matrix& x, std::int64_t side, std::size_t stage) {
  const std::int64_t k = config_.vision.patch_size[stage], stride = config_.vision.patch_stride[stage];
  const std::int64_t padding = config_.vision.patch_padding[stage], out = config_.vision.dims[stage];
  const std::string name = "model.vision_tower.convs." + std::to_string(stage) + ".conv";
  const std::vector<float>& w = tensors_.get(name + ".weight", {out, x.cols, k, k}).values;
  const std::vector<float>& bias = tensors_.get(name + ".bias", {out}).values;
  const std::int64_t result_side = (side + 2 * padding - k) / stride + 1;
  Matrix y(result_side * result_side, out);
  for (std::int64_t token = 0; token < y.rows; ++token) {
    const std::int64_t top = token / result_side * stride - padding, left = token % result_side * stride - padding;
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = bias[static_cast<std::size_t>(o)];
      for (std::int64_t tap = 0; tap < k * k; ++tap) {
        const std::int64_t row = top + tap / k, column = left + tap % k;
        if (row < 0 || row >= side || column < 0 || column >= side) continue;
        for (std::int64_t i = 0; i < x.cols; ++i) {
          sum += x.at(row * side + column, i) * w[static_cast<std::size_t>((o * x.cols + i) * k * k + tap)];
        }
      }
      y.at(token, o) = sum;
    }
  }
  return y;
}

Matrix ReferenceModel::depthwise(const Matrix& x, std::int64_t side, const std::string& name) {
  const std::vector<float>& w = tensors_.get(name + ".weight", {x.cols, 1, 3, 3}).values;
  const std::vector<float>& bias = tensors_.get(name + ".bias", {x.cols}).values;
  Matrix y = x;
  for (std::int64_t token = 0; token < x.rows; ++token) {
    for (std::int64_t c = 0; c < x.cols; ++c) {
      y.at(token, c) += bias[static_cast<std::size_t>(c)];
      for (std::int64_t tap = 0; tap < 9; ++tap) {
        const std::int64_t row = token / side + tap / 3 - 1, column = token % side + tap % 3 - 1;
        if (row < 0 || row >= side || column < 0 || column >= side) continue;
        y.at(token, c) += x.at(row * side + column, c) * w[static_cast<std::size_t>(c * 9 + tap)];
      }
    }
  }
  return y;
}

Matrix ReferenceModel::window_attention(const Matrix& x, std::int64_t side, const std::string& name,
                                        std::int64_t heads) {
  const std::int64_t window = config_.vision.window, windows = (side + window - 1) / window;
  Matrix y(x.rows, x.cols);
  for (std::int64_t w = 0; w < windows * windows; ++w) {
    Matrix tokens(window * window, x.cols);  // zero where the window leaves the map
    std::vector<std::int64_t> source(static_cast<std::size_t>(tokens.rows), -1);
    for (std::int64_t t = 0; t < tokens.rows; ++t) {
      const std::int64_t row = w / windows * window + t / window, column = w % windows * window + t % window;
      if (row >= side || column >= side) continue;
      source[static_cast<std::size_t>(t)] = row * side + column;
      for (std::int64_t c = 0; c < x.cols; ++c) tokens.at(t, c) = x.at(row * side + column, c);
    }
    const Matrix qkv = linear(tokens, name + ".qkv", 3 * x.cols);
    const Matrix mixed =
        linear(attend(columns(qkv, 0, x.cols), columns(qkv, x.cols, x.cols), columns(qkv, 2 * x.cols, x.cols), heads),
               name + ".proj", x.cols);
    for (std::int64_t t = 0; t < tokens.rows; ++t) {
      const std::int64_t token = source[static_cast<std::size_t>(t)];
      for (std::int64_t c = 0; c < x.cols && token >= 0; ++c) y.at(token, c) = mixed.at(t, c);
    }
  }
  return y;
}

Matrix ReferenceModel::channel_attention(const Matrix& x, const std::string& name, std::int64_t groups) {
  const Matrix qkv = linear(x, name + ".qkv", 3 * x.cols);
  const std::int64_t width = x.cols / groups;
  Matrix mixed(x.rows, x.cols);
  for (std::int64_t i = 0; i < x.cols; ++i) {
    const std::int64_t first = i / width * width;
    std::vector<double> scores(static_cast<std::size_t>(width));
    for (std::int64_t j = 0; j < width; ++j) {
      double& score = scores[static_cast<std::size_t>(j)];
      for (std::int64_t n = 0; n < x.rows; ++n) score += qkv.at(n, i) * qkv.at(n, x.cols + first + j);
      score /= std::sqrt(static_cast<double>(x.rows));
    }
    softmax(scores);
    for (std::int64_t n = 0; n < x.rows; ++n) {
      for (std::int64_t j = 0; j < width; ++j) {
        mixed.at(n, i) += scores[static_cast<std::size_t>(j)] * qkv.at(n, 2 * x.cols + first + j);
      }
    }
  }
  return linear(mixed, name + ".proj", x.cols);
}

Matrix ReferenceModel::mlp(const Matrix& x, const std::string& name, std::int64_t hidden) {
  Matrix h = linear(x, name + "fc1", hidden);
  for (double& value : h.values) value = gelu(value);
  return linear(h, name + "fc2", x.cols);
}

Matrix ReferenceModel::davit_block(Matrix x, std::int64_t side, const std::string& name, std::size_t stage,
                                   bool spatial) {
  x = depthwise(x, side, name + "conv1");
  const Matrix normed = norm(x, name + "norm1");
  add(x, spatial ? window_attention(normed, side, name + "window_attn", config_.vision.heads[stage])
                 : channel_attention(normed, name + "channel_attn", config_.vision.groups[stage]));
  x = depthwise(x, side, name + "conv2");
  add(x, mlp(norm(x, name + "norm2"), name + "ffn.", x.cols * config_.vision.mlp_ratio));
  return x;
}

std::vector<Matrix> ReferenceModel::stages(const Matrix& pixels) {
  std::vector<Matrix> outputs;
  Matrix x = pixels;
  std::int64_t side = config_.image.side;
  for (std::size_t s = 0; s < kVisionStages; ++s) {
    const std::string conv_norm = "model.vision_tower.convs." + std::to_string(s) + ".norm";
    const bool prenorm = config_.vision.patch_prenorm[s];
    if (prenorm) x = norm(x, conv_norm);
    x = convolution(x, side, s);
    if (!prenorm) x = norm(x, conv_norm);
    side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(x.rows))));
    for (int b = 0; b < config_.vision.depths[s]; ++b) {
      const std::string pair = "model.vision_tower.blocks." + std::to_string(s) + "." + std::to_string(b);
      x = davit_block(std::move(x), side, pair + ".spatial_block.", s, true);
      x = davit_block(std::move(x), side, pair + ".channel_block.", s, false);
    }
    outputs.push_back(x);
  }
  return outputs;
}

Matrix ReferenceModel::image_tokens(const Matrix& map) {
  const std::string name = "model.multi_modal_projector.";
  const std::int64_t half = map.cols / 2, positions = config_.vision.max_positions, d = config_.text.d_model;
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(map.rows))));
  const Matrix column = weight(name + "image_position_embed.column_embeddings.weight", positions, half);
  const Matrix row = weight(name + "image_position_embed.row_embeddings.weight", positions, half);
  Matrix features(1 + map.rows, map.cols);
  for (std::int64_t n = 0; n < map.rows; ++n) {
    for (std::int64_t c = 0; c < map.cols; ++c) {
      const double position = c < half ? column.at(n % side, c) : row.at(n / side, c - half);
      const double temporal = c % 2 == 0 ? std::sin(0.0) : std::cos(0.0);
      features.at(1 + n, c) = map.at(n, c) + position + temporal;
      features.at(0, c) += features.at(1 + n, c) / static_cast<double>(map.rows);
    }
  }
  const Matrix w = weight(name + "image_projection.weight", d, map.cols);
  Matrix tokens(features.rows, d);
  for (std::int64_t r = 0; r < features.rows; ++r) {
    for (std::int64_t o = 0; o < d; ++o) {
      for (std::int64_t c = 0; c < map.cols; ++c) tokens.at(r, o) += features.at(r, c) * w.at(o, c);
    }
  }
  return norm(tokens, name + "image_proj_norm");
}

Matrix ReferenceModel::token_rows(const std::vector<std::int32_t>& ids) {
  const std::int64_t d = config_.text.d_model;
  const Matrix table = weight("model.language_model.shared.weight", config_.text.vocabulary, d);
  Matrix rows(static_cast<std::int64_t>(ids.size()), d);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (std::int64_t c = 0; c < d; ++c) rows.at(r, c) = table.at(ids[static_cast<std::size_t>(r)], c);
  }
  return rows;
}

Matrix ReferenceModel::embed(const std::string& side, const Matrix& tokens) {
  const std::string name = "model.language_model." + side;
  const Matrix positions =
      weight(name + ".embed_positions.weight", config_.text.max_positions + 2, config_.text.d_model);
  Matrix x = tokens;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t c = 0; c < x.cols; ++c) x.at(r, c) += positions.at(r + 2, c);
  }
  return norm(x, name + ".layernorm_embedding");
}

Matrix ReferenceModel::text_attention(const Matrix& x, const Matrix& memory, const std::string& name,
                                      std::int64_t heads, bool causal) {
  const Matrix attended = attend(linear(x, name + "q_proj", x.cols), linear(memory, name + "k_proj", x.cols),
                                 linear(memory, name + "v_proj", x.cols), heads, causal);
  return linear(attended, name + "out_proj", x.cols);
}

Matrix ReferenceModel::memory(const Matrix& image, const std::vector<std::int32_t>& ids) {
  Matrix tokens = image;
  const Matrix text = token_rows(ids);
  tokens.rows += text.rows;
  tokens.values.insert(tokens.values.end(), text.values.begin(), text.values.end());
  Matrix x = embed("encoder", tokens);
  for (int l = 0; l < config_.text.encoder_layers; ++l) {
    const std::string name = "model.language_model.encoder.layers." + std::to_string(l) + ".";
    add(x, text_attention(x, x, name + "self_attn.", config_.text.encoder_heads, false));
    x = norm(x, name + "self_attn_layer_norm");
    add(x, mlp(x, name, config_.text.encoder_ffn));
    x = norm(x, name + "final_layer_norm");
  }
  return x;
}

Matrix ReferenceModel::logits(const Matrix& memory, const std::vector<std::int32_t>& ids) {
  Matrix x = embed("decoder", token_rows(ids));
  for (int l = 0; l < config_.text.decoder_layers; ++l) {
    const std::string name = "model.language_model.decoder.layers." + std::to_string(l) + ".";
    add(x, text_attention(x, x, name + "self_attn.", config_.text.decoder_heads, true));
    x = norm(x, name + "self_attn_layer_norm");
    add(x, text_attention(x, memory, name + "encoder_attn.", config_.text.decoder_heads, false));
    x = norm(x, name + "encoder_attn_layer_norm");
    add(x, mlp(x, name, config_.text.decoder_ffn));
    x = norm(x, name + "final_layer_norm");
  }
  const Matrix table = weight("model.language_model.shared.weight", config_.text.vocabulary, x.cols);
  Matrix result(x.rows, table.rows);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t v = 0; v < table.rows; ++v) {
      for (std::int64_t c = 0; c < x.cols; ++c) result.at(r, v) += x.at(r, c) * table.at(v, c);
    }
  }
  return result;
}

}  // namespace florence2::test
