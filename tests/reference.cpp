#include "tests/reference.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace florence2::reference {
namespace {

constexpr double kUnit = 0x1p-24;  // u: largest relative error of one f32 rounding
/// Relative error of the kernels' exp, 1.25 ulp (rowwise_test measures it).
constexpr double kExpError = 2.5 * kUnit;
/// Error of the kernels' GELU relative to |x|: 0.1 u from the fit, 1.5 u from the few roundings in Phi(-|x|) <= 1/2,
/// and 1 - Phi and the product with x round once each (rowwise_test measures 1.7 u).
constexpr double kGeluError = 3 * kUnit;
/// exp stops at e^-87.3 instead of going to zero, and below 2^-126 there are only subnormal numbers.
constexpr double kTiny = 2e-38;

/// Relative error of n roundings in a row: (1 + u)^n - 1.
double rounding(double n) { return n * kUnit / (1 - n * kUnit); }

/// `x`, with one more rounding of its value.
Bounded rounded(Bounded x) {
  x.error += kUnit * (x.value.cwiseAbs() + x.error);
  return x;
}

Bounded layer_norm_row(const Row& x, const Row& error, const Norm& norm) {
  const auto n = static_cast<double>(x.size());
  const double mean = x.mean();
  const Row centred = x.array() - mean;
  const double variance = centred.squaredNorm() / n;
  const double scale = 1 / std::sqrt(variance + norm.eps);
  const Row value = (centred * scale).cwiseProduct(norm.gamma) + norm.beta;

  // The mean: n - 1 additions and one division. It shifts all centred values alike, by `shift`; `own` is what each of
  // them adds: the input's error and the subtraction's rounding.
  const double shift = error.mean() + rounding(n) * (x.cwiseAbs() + error).mean();
  const Row own = error + kUnit * (centred.cwiseAbs().array() + shift).matrix();
  // Mean of (centred + shift + own)^2 - centred^2, where the cross term with the shift vanishes because the centred
  // values add up to zero; then n + 2 roundings of a sum of positive terms.
  const double squares =
      shift * shift + 2 * centred.cwiseAbs().dot(own) / n + own.squaredNorm() / n + 2 * shift * own.mean();
  const double off = squares + rounding(n + 2) * (variance + squares);
  // 1 / sqrt halves a relative error (bounded here by the whole of it) and adds the roundings of + eps, sqrt and
  // division.
  const double relative = off / (variance + norm.eps) + rounding(3);
  const Row distance = own.array() + shift;
  const Row scaled = scale * (distance + (centred.cwiseAbs() + distance) * (relative + rounding(1)));
  return rounded({value, scaled.cwiseProduct(norm.gamma.cwiseAbs())});
}

Bounded softmax_row(const Row& x, const Row& error, double scale) {
  const Row z = (scale * (x.array() - x.maxCoeff())).matrix();
  const Row exps = z.array().exp();
  const Row value = exps / exps.sum();
  // An error e of the exponents changes ln p_i by at most e_i + sum p_j e_j: here the input's error, and the roundings
  // of the difference, of the product with the scale, and of the scale itself (two), each u |z|.
  const Row exponent = scale * error + rounding(4) * (z.cwiseAbs() + 2 * scale * error);
  // Then two exps (of i and, averaged, of the sum), the additions, 1 / sum and the product with it.
  const double common = value.dot(exponent) + 2 * kExpError + rounding(static_cast<double>(x.size()) + 2);
  const Row relative = (exponent.array() + common).unaryExpr([](double e) { return std::expm1(e); });
  return {value, (value.cwiseProduct(relative).array() + kTiny).matrix()};
}

/// Applies body(value row, error row) -> Bounded row to all rows.
template <typename Body>
Bounded by_rows(const Bounded& x, const Body& body) {
  Bounded result = x;
  for (std::int64_t r = 0; r < x.rows(); ++r) {
    const Bounded one = body(Row(x.value.row(r)), Row(x.error.row(r)));
    result.value.row(r) = one.value;
    result.error.row(r) = one.error;
  }
  return result;
}

void set_row(Bounded& dst, std::int64_t r, const Bounded& src, std::int64_t from) {
  dst.value.row(r) = src.value.row(from);
  dst.error.row(r) = src.error.row(from);
}

Bounded zeros(std::int64_t rows, std::int64_t cols) { return Matrix(Matrix::Zero(rows, cols)); }

}  // namespace

Matrix matrix(View<const float> view) {
  Matrix m(view.rows, view.cols);
  for (std::int64_t r = 0; r < view.rows; ++r) {
    for (std::int64_t c = 0; c < view.cols; ++c) m(r, c) = view.row(r)[c];
  }
  return m;
}

Row row(std::span<const float> values) {
  return Eigen::Map<const Eigen::RowVectorXf>(values.data(), static_cast<Eigen::Index>(values.size())).cast<double>();
}

Bounded product(const Bounded& a, const Bounded& b) {
  // Each of the K products passes at most K + 1 roundings: its own and one for every addition, whatever their order.
  const Matrix magnitude = (a.value.cwiseAbs() + a.error) * (b.value.cwiseAbs() + b.error);
  const Matrix inputs = magnitude - a.value.cwiseAbs() * b.value.cwiseAbs();
  return {a.value * b.value, inputs.cwiseAbs() + rounding(static_cast<double>(a.cols()) + 1) * magnitude};
}

Bounded sum(const Bounded& a, const Bounded& b) { return rounded({a.value + b.value, a.error + b.error}); }

Bounded affine(const Bounded& x, const Affine& layer) {
  Bounded y = product(x, layer.weight);
  return layer.bias.size() == 0 ? y : sum(y, Matrix(layer.bias.replicate(x.rows(), 1)));
}

double gelu(double x) { return x * std::erfc(-x / std::numbers::sqrt2) / 2; }

Bounded gelu(const Bounded& x) {
  // |gelu'| <= 1.13 passes the input's error on.
  return {x.value.unaryExpr([](double v) { return gelu(v); }),
          1.13 * x.error + kGeluError * (x.value.cwiseAbs() + x.error)};
}

Bounded layer_norm(const Bounded& x, const Norm& norm) {
  return by_rows(x, [&](const Row& value, const Row& error) { return layer_norm_row(value, error, norm); });
}

Bounded softmax(const Bounded& x, double scale) {
  return by_rows(x, [&](const Row& value, const Row& error) { return softmax_row(value, error, scale); });
}

Bounded mlp_block(const Bounded& x, const Norm& norm, const Affine& fc1, const Affine& fc2) {
  return sum(x, affine(gelu(affine(layer_norm(x, norm), fc1)), fc2));
}

Bounded feed_forward_block(const Bounded& x, const Affine& fc1, const Affine& fc2, const Norm& norm) {
  return layer_norm(sum(x, affine(gelu(affine(x, fc1)), fc2)), norm);
}

Bounded attention(const Bounded& q, const Bounded& k, const Bounded& v, int heads, double scale) {
  Bounded result = q;
  const std::int64_t d = q.cols() / heads;
  for (std::int64_t first = 0; first < q.cols(); first += d) {
    const Bounded scores = product(q.columns(first, d), k.columns(first, d).transpose());
    const Bounded head = product(softmax(scores, scale), v.columns(first, d));
    result.value.middleCols(first, d) = head.value;
    result.error.middleCols(first, d) = head.error;
  }
  return result;
}

Bounded window_attention_block(const Bounded& x, std::int64_t height, std::int64_t width, int window,
                               const AttentionWeights& weights) {
  const std::int64_t c = x.cols();
  const Bounded normed = layer_norm(x, weights.norm);
  Bounded result = x;
  for (std::int64_t y0 = 0; y0 < height; y0 += window) {
    for (std::int64_t x0 = 0; x0 < width; x0 += window) {
      const std::int64_t h = std::min<std::int64_t>(window, height - y0),
                         w = std::min<std::int64_t>(window, width - x0);
      Bounded tokens = zeros(std::int64_t{window} * window, c);
      for (std::int64_t i = 0; i < h * w; ++i) {
        set_row(tokens, i / w * window + i % w, normed, (y0 + i / w) * width + x0 + i % w);
      }
      const Bounded qkv = affine(tokens, weights.qkv);
      const Bounded mixed = attention(qkv.columns(0, c), qkv.columns(c, c), qkv.columns(2 * c, c), weights.heads,
                                      1 / std::sqrt(static_cast<double>(c) / weights.heads));
      const Bounded out = affine(mixed, weights.proj);
      for (std::int64_t i = 0; i < h * w; ++i) {
        const std::int64_t token = (y0 + i / w) * width + x0 + i % w;
        set_row(result, token, sum(x.block(token, 0, 1, c), out.block(i / w * window + i % w, 0, 1, c)), 0);
      }
    }
  }
  return result;
}

Bounded channel_attention_block(const Bounded& x, const AttentionWeights& weights) {
  const std::int64_t c = x.cols(), d = c / weights.heads;
  const Bounded qkv = affine(layer_norm(x, weights.norm), weights.qkv);
  Bounded mixed = x;
  for (std::int64_t first = 0; first < c; first += d) {
    const Bounded scores = product(qkv.columns(first, d).transpose(), qkv.columns(c + first, d));
    const Bounded mix = softmax(scores, 1 / std::sqrt(static_cast<double>(x.rows())));
    const Bounded group = product(qkv.columns(2 * c + first, d), mix.transpose());
    mixed.value.middleCols(first, d) = group.value;
    mixed.error.middleCols(first, d) = group.error;
  }
  return sum(x, affine(mixed, weights.proj));
}

Bounded decode_attention(const Bounded& q, const Bounded& keys, const Bounded& values, View<const std::int32_t> rows,
                         int heads, double scale) {
  Bounded result = q;
  for (std::int64_t beam = 0; beam < q.rows(); ++beam) {
    Bounded k = zeros(rows.cols, q.cols()), v = k;
    for (std::int64_t t = 0; t < rows.cols; ++t) {
      set_row(k, t, keys, rows.row(beam)[t]);
      set_row(v, t, values, rows.row(beam)[t]);
    }
    set_row(result, beam, attention(q.block(beam, 0, 1, q.cols()), k, v, heads, scale), 0);
  }
  return result;
}

Bounded convolution(const Bounded& x, std::int64_t height, std::int64_t width, const Convolution& conv,
                    const Norm* norm) {
  const Bounded input = norm != nullptr ? layer_norm(x, *norm) : x;
  const std::int64_t k = conv.kernel, in = x.cols();
  const std::int64_t out_h = (height + 2 * conv.padding - k) / conv.stride + 1;
  const std::int64_t out_w = (width + 2 * conv.padding - k) / conv.stride + 1;
  Bounded patches = zeros(out_h * out_w, k * k * in);
  for (std::int64_t out = 0; out < out_h * out_w; ++out) {
    for (std::int64_t tap = 0; tap < k * k; ++tap) {
      const std::int64_t sy = out / out_w * conv.stride - conv.padding + tap / k;
      const std::int64_t sx = out % out_w * conv.stride - conv.padding + tap % k;
      if (sy < 0 || sy >= height || sx < 0 || sx >= width) continue;
      patches.value.block(out, tap * in, 1, in) = input.value.row(sy * width + sx);
      patches.error.block(out, tap * in, 1, in) = input.error.row(sy * width + sx);
    }
  }
  return affine(patches, conv.proj);
}

Bounded depthwise_residual(const Matrix& x, std::int64_t height, std::int64_t width, const Matrix& taps,
                           const Row& bias) {
  Matrix value = x, magnitude = x.cwiseAbs();
  for (std::int64_t token = 0; token < x.rows(); ++token) {
    value.row(token) += bias;
    magnitude.row(token) += bias.cwiseAbs();
    for (std::int64_t tap = 0; tap < 9; ++tap) {
      const std::int64_t sy = token / width + tap / 3 - 1, sx = token % width + tap % 3 - 1;
      if (sy < 0 || sy >= height || sx < 0 || sx >= width) continue;
      const Row term = x.row(sy * width + sx).cwiseProduct(taps.row(tap));
      value.row(token) += term;
      magnitude.row(token) += term.cwiseAbs();
    }
  }
  return {value, rounding(11) * magnitude};  // ten additions, and the product's own rounding
}

}  // namespace florence2::reference
