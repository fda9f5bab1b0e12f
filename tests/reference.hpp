// The oracle of the kernel tests: every operation in double, straight from its formula, together with a bound on what
// f32 arithmetic may make of it. Shares no code with kernels/.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <span>

#include "core/view.hpp"

namespace florence2::reference {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Row = Eigen::Matrix<double, 1, Eigen::Dynamic>;

/// A result, and for each element the largest distance that f32 arithmetic in any order of summation can put between it
/// and the kernel's result. The bounds are worst cases, to first order in the unit roundoff u = 2^-24 apart from
/// products of errors that are carried along; reference.cpp derives each beside its formula.
struct Bounded {
  Matrix value;
  Matrix error;

  Bounded(Matrix exact) : value(std::move(exact)), error(Matrix::Zero(value.rows(), value.cols())) {}
  Bounded(Matrix value_, Matrix error_) : value(std::move(value_)), error(std::move(error_)) {}

  std::int64_t rows() const { return value.rows(); }
  std::int64_t cols() const { return value.cols(); }
  Bounded block(std::int64_t row, std::int64_t col, std::int64_t rows, std::int64_t cols) const {
    return {value.block(row, col, rows, cols), error.block(row, col, rows, cols)};
  }
  Bounded columns(std::int64_t first, std::int64_t count) const { return block(0, first, rows(), count); }
  Bounded transpose() const { return {value.transpose(), error.transpose()}; }
};

Matrix matrix(View<const float> view);
Row row(std::span<const float> values);

/// y = x * weight + bias; weight [in, out]. An empty bias is none.
struct Affine {
  Matrix weight;
  Row bias;
};

struct Norm {
  Row gamma, beta;
  double eps = 1e-5;
};

struct AttentionWeights {
  Norm norm;
  Affine qkv, proj;
  int heads = 1;
};

// --- matrix products and rows --------------------------------------------------------------------------------------
Bounded product(const Bounded& a, const Bounded& b);
Bounded sum(const Bounded& a, const Bounded& b);
Bounded affine(const Bounded& x, const Affine& layer);
double gelu(double x);
Bounded gelu(const Bounded& x);
Bounded layer_norm(const Bounded& x, const Norm& norm);
/// softmax(scale * x) of each row.
Bounded softmax(const Bounded& x, double scale);
/// x + fc2(gelu(fc1(layer_norm(x)))).
Bounded mlp_block(const Bounded& x, const Norm& norm, const Affine& fc1, const Affine& fc2);
/// layer_norm(x + fc2(gelu(fc1(x)))).
Bounded feed_forward_block(const Bounded& x, const Affine& fc1, const Affine& fc2, const Norm& norm);

// --- attention
// ---------------------------------------------------------------------------------------------------------
/// softmax(scale * q k^T) v per head; q [m, heads * d], k and v [s, heads * d].
Bounded attention(const Bounded& q, const Bounded& k, const Bounded& v, int heads, double scale);
/// x [height * width, c] + proj(attention within windows of layer_norm(x), zero-padded after the norm).
Bounded window_attention_block(const Bounded& x, std::int64_t height, std::int64_t width, int window,
                               const AttentionWeights& weights);
/// x [n, c] + proj(v mixed per group by softmax(n^-0.5 q^T k)).
Bounded channel_attention_block(const Bounded& x, const AttentionWeights& weights);
/// Row b attends to the rows rows[b, t] of keys and values.
Bounded decode_attention(const Bounded& q, const Bounded& keys, const Bounded& values, View<const std::int32_t> rows,
                         int heads, double scale);

// --- convolution
// -------------------------------------------------------------------------------------------------------
struct Convolution {
  Affine proj;  // weight [k * k * in, out], inputs ordered (ky, kx, in)
  int kernel = 1, stride = 1, padding = 0;
};
/// Zero-padded convolution of x [height * width, in]; the norm, if any, is applied to the pixels before.
Bounded convolution(const Bounded& x, std::int64_t height, std::int64_t width, const Convolution& conv,
                    const Norm* norm);
/// x + depthwise 3x3 convolution of x + bias; taps [9, c].
Bounded depthwise_residual(const Matrix& x, std::int64_t height, std::int64_t width, const Matrix& taps,
                           const Row& bias);

}  // namespace florence2::reference
