// WeightReader: the tensors of a checkpoint by their Hugging Face name and expected shape, whichever layout the file
// has, read straight into the form that the kernels use.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.hpp"
#include "core/result.hpp"
#include "kernels/convolution.hpp"
#include "kernels/matmul.hpp"
#include "kernels/thread_pool.hpp"
#include "weights/tensor_source.hpp"

namespace florence2 {

/// Microsoft's name of a tensor with Hugging Face's name `hf_name` (specification, section 6.2).
std::string ms_name(std::string_view hf_name);

class WeightReader {
 public:
  /// How to pack a weight, given its name and the type it is stored in.
  using ChooseType = std::function<WeightType(std::string_view hf_name, DType stored)>;
  struct Options {
    int threads = 1;
    bool check_values = false;    // NaN or infinity is an error that names the tensor and the element
    ChooseType choose_type = {};  // none: weights keep the stored type
  };

  /// Opens the weights of a model folder: model.safetensors, pytorch_model.bin or shards of either. Errors as
  /// TensorSource::open.
  static Result<WeightReader> open(const std::string& directory, const Options& options);

  const std::string& path() const { return source_.path(); }  ///< the weights, or the index of the shards
  bool ms_layout() const { return ms_layout_; }
  /// Shape of a tensor, or empty when the file lacks it. `hf_name` as in all calls.
  std::span<const std::int64_t> shape_of(std::string_view hf_name) const;

  /// A linear layer "<name>.weight" [out, in] and, if `bias`, "<name>.bias" [out], packed as Options::choose_type
  /// says.
  Result<Linear> linear(const KernelTable& table, std::string_view name, std::int64_t out, std::int64_t in,
                        bool bias = true);
  /// Several layers of the same input side by side, e.g. q_proj, k_proj, v_proj: outputs in that order. Mixed dtypes
  /// widen to f32 first.
  Result<Linear> linears(const KernelTable& table, std::span<const std::string> names, std::int64_t out,
                         std::int64_t in, bool bias = true);
  /// image_projection: [d, cv] in the hf layout, its transpose in the ms layout; no bias.
  Result<Linear> projection(const KernelTable& table, std::int64_t d, std::int64_t cv);
  /// A convolution weight [out, in, k, k] as a linear layer over patches ordered (ky, kx, in), and its bias.
  Result<Linear> patch_linear(const KernelTable& table, std::string_view name, std::int64_t out, std::int64_t in,
                              int kernel);
  /// "<name>.weight" [c, 1, 3, 3] as [9][c], and its bias.
  Result<Depthwise> depthwise(std::string_view name, std::int64_t c);
  Result<Norm> norm(std::string_view name, std::int64_t n);
  /// Any tensor widened to f32, row-major.
  Result<Buffer<float>> tensor(std::string_view hf_name, std::initializer_list<std::int64_t> shape);

  /// Names in the file that no call asked for, except those that a complete model is known not to need (computed
  /// tables, copies of the embedding, the classifier of the vision tower's training).
  std::vector<std::string> unused() const;
  std::int64_t parameters() const { return parameters_; }  // elements read so far
  /// "F32", "F16", "BF16" or "mixed", of what was read so far.
  std::string storage() const;

 private:
  /// A tensor of the file in a dtype that we compute with.
  struct Stored {
    const TensorInfo* info;
    DType dtype;
    std::int64_t elements;
  };

  WeightReader(TensorSource source, const Options& options);
  std::string file_name(std::string_view hf_name) const;
  WeightType packed_type(std::string_view hf_name, DType stored) const;
  Error damaged(const TensorInfo& info, const std::string& what) const;
  /// The tensor, marked used; errors name it, what was found and what was expected.
  Result<Stored> expect(std::string_view hf_name, std::span<const std::int64_t> shape);
  /// Elements [first, first + count) into dst as `dtype`, which is the stored one or f32.
  Status read(const Stored& tensor, std::int64_t first, std::int64_t count, DType dtype, std::byte* dst) const;
  /// The whole tensor widened to dst.
  Status read_floats(const Stored& tensor, float* dst) const;
  /// "<name>.bias" of several layers one after the other.
  Result<Buffer<float>> biases(std::span<const std::string> names, std::int64_t out);

  TensorSource source_;
  Options options_;
  bool ms_layout_ = false;
  std::int64_t parameters_ = 0;
  std::vector<bool> used_;        // by index in source_.tensors()
  std::vector<bool> dtype_seen_;  // by DType
  std::unique_ptr<ThreadPool> pool_;
  std::vector<Buffer<std::byte>> pieces_;  // one a thread: what is being read and packed
};

}  // namespace florence2
