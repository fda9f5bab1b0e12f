// A Florence-2 of a few thousand seeded weights, in two forms: packed for the engine, and by tensor name for an
// independent implementation of the formulas in double (specification, sections 3 to 5), straight and unblocked.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "kernels/convolution.hpp"
#include "kernels/matmul.hpp"
#include "model/config.hpp"
#include "model/engine.hpp"

namespace florence2::test {

/// Input 40x40, so that the maps are 10, 5, 3 and 2 wide and the 4x4 windows need padding; odd head counts and widths.
Config tiny_config();

struct Tensor {
  std::vector<std::int64_t> shape;  // as in the checkpoint
  std::vector<float> values;
};

/// All tensors of one seeded model under their Hugging Face names; each is drawn when it is first asked for, from its
/// own stream. Has the calls of WeightReader that WeightBuilder uses.
class TinyTensors {
 public:
  explicit TinyTensors(std::uint64_t seed) : seed_(seed) {}

  const Tensor& get(const std::string& name, std::initializer_list<std::int64_t> shape);
  /// Every tensor drawn so far.
  const std::map<std::string, Tensor>& drawn() const { return tensors_; }

  Result<Linear> linear(const KernelTable& table, const std::string& name, std::int64_t out, std::int64_t in,
                        bool bias = true);
  Result<Linear> linears(const KernelTable& table, std::span<const std::string> names, std::int64_t out,
                         std::int64_t in);
  Result<Linear> projection(const KernelTable& table, std::int64_t d, std::int64_t cv);
  Result<Linear> patch_linear(const KernelTable& table, const std::string& name, std::int64_t out, std::int64_t in,
                              int kernel);
  Result<Depthwise> depthwise(const std::string& name, std::int64_t c);
  Result<Norm> norm(const std::string& name, std::int64_t n);
  Result<Buffer<float>> tensor(const std::string& name, std::initializer_list<std::int64_t> shape);

 private:
  std::uint64_t seed_;
  std::map<std::string, Tensor> tensors_;
};

/// The packed weights of `tensors` for `config`.
Weights tiny_weights(TinyTensors& tensors, const Config& config, const KernelTable& table);

/// A matrix of doubles.
struct Matrix {
  std::int64_t rows = 0, cols = 0;
  std::vector<double> values;

  Matrix() = default;
  Matrix(std::int64_t rows_, std::int64_t cols_)
      : rows(rows_), cols(cols_), values(static_cast<std::size_t>(rows_ * cols_)) {}
  double& at(std::int64_t r, std::int64_t c) { return values[static_cast<std::size_t>(r * cols + c)]; }
  double at(std::int64_t r, std::int64_t c) const { return values[static_cast<std::size_t>(r * cols + c)]; }
};

/// The formulas, in double.
class ReferenceModel {
 public:
  ReferenceModel(TinyTensors& tensors, const Config& config) : tensors_(tensors), config_(config) {}

  /// Output of every stage, [tokens, c]. pixels: [side * side, 3].
  std::vector<Matrix> stages(const Matrix& pixels);
  Matrix image_tokens(const Matrix& map);
  Matrix memory(const Matrix& image, const std::vector<std::int32_t>& ids);
  /// Logits after each of `ids`, all of them decoded at once under a causal mask: [ids, vocabulary].
  Matrix logits(const Matrix& memory, const std::vector<std::int32_t>& ids);

 private:
  Matrix weight(const std::string& name, std::int64_t out, std::int64_t in);
  Matrix linear(const Matrix& x, const std::string& name, std::int64_t out);
  Matrix norm(const Matrix& x, const std::string& name);
  Matrix convolution(const Matrix& x, std::int64_t side, std::size_t stage);
  Matrix depthwise(const Matrix& x, std::int64_t side, const std::string& name);
  Matrix window_attention(const Matrix& x, std::int64_t side, const std::string& name, std::int64_t heads);
  Matrix channel_attention(const Matrix& x, const std::string& name, std::int64_t groups);
  Matrix mlp(const Matrix& x, const std::string& name, std::int64_t hidden);
  Matrix davit_block(Matrix x, std::int64_t side, const std::string& name, std::size_t stage, bool spatial);
  Matrix embed(const std::string& side, const Matrix& tokens);
  Matrix token_rows(const std::vector<std::int32_t>& ids);
  Matrix text_attention(const Matrix& x, const Matrix& memory, const std::string& name, std::int64_t heads,
                        bool causal);

  TinyTensors& tensors_;
  const Config& config_;
};

/// Values in [-1, 1) from `seed`, as f32 and as double.
std::vector<float> random_pixels(const Config& config, std::uint64_t seed);
Matrix to_matrix(const float* values, std::int64_t rows, std::int64_t cols);

/// Largest absolute difference of an f32 result from the reference, over the reference's largest magnitude.
double relative_difference(View<const float> actual, const Matrix& expected);

}  // namespace florence2::test
