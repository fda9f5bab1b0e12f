// WeightReader: the tensors of a checkpoint by their Hugging Face name and expected shape, whichever layout the file
// has, read straight into the form that the kernels use.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.hpp"
#include "core/result.hpp"
#include "kernels/convolution.hpp"
#include "kernels/matmul.hpp"
#include "kernels/thread_pool.hpp"
#include "weights/adapter.hpp"
#include "weights/tensor_names.hpp"
#include "weights/tensor_source.hpp"

namespace florence2 {

/// In files of our own, an I8 tensor "<name>.weight" holds the strips of a matrix [out, in] as the kernels read them
/// (kernels/packing.hpp), its channels' scales [out] are in "<name>" + kScaleSuffix, and the metadata say which
/// quad_limit (kernels/table.hpp) its values keep.
inline constexpr const char* kScaleSuffix = ".weight_scale";
inline constexpr std::string_view kQuadLimitKey = "florence2.quad_limit";
inline constexpr std::string_view kPrecisionKey = "florence2.precision";
inline constexpr std::string_view kVisionIdKey = "florence2.vision_id";  // the original's

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

  /// Merges the adapter into what is read from now on; several follow one another. Merged tensors are f32.
  void add(Adapter adapter) { adapters_.push_back(std::move(adapter)); }
  bool is_adapted(std::string_view hf_name) const;
  /// From now on the tensor `hf_name`, which the file lacks, is its tensor `stored`; adapters tell the two apart.
  void tie(std::string_view hf_name, std::string_view stored) { ties_.emplace(hf_name, stored); }
  /// Error model when an adapter holds something that nothing asked for.
  Status check_adapters_used() const;

  const std::string& path() const { return source_.path(); }  ///< the weights, or the index of the shards
  /// What the writer of the file wrote under `key`, or nothing.
  std::string metadata(std::string_view key) const;
  bool ms_layout() const { return ms_layout_; }
  /// A name for the weights that encode pictures, as they were read so far with what adapters make of them: the same
  /// for every form of the same numbers, and of what was converted from them, and practically for no others.
  std::string vision_id() const;
  /// Counts a tensor for vision_id that is to be read later.
  Status announce(std::string_view hf_name);
  /// Shape of a tensor, or empty when the file lacks it. `hf_name` as in all calls.
  std::span<const std::int64_t> shape_of(std::string_view hf_name) const;

  /// Rows of the matrix "<name>.weight" [rows, …]; 0 when the file lacks it.
  std::int64_t rows_of(std::string_view name) const;
  /// Whether "<name>.weight" holds strips of 8 bits.
  bool is_quantized(std::string_view name) const;

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
  /// The type in which a tensor is stored; error as for one that is missing.
  Result<DType> stored_dtype(std::string_view hf_name) const;
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
    std::shared_ptr<const Buffer<float>> merged = nullptr;  // with the adapters' changes, in place of the file's
  };

  WeightReader(TensorSource source, const Options& options);
  std::string file_name(std::string_view hf_name) const;
  WeightType packed_type(std::string_view hf_name, DType stored) const;
  Error missing(const std::string& name) const;
  Error damaged(const TensorInfo& info, const std::string& what) const;
  /// The tensor, marked used; errors name it, what was found and what was expected. `parameters`: how many of its
  /// elements are some, where others are padding.
  Result<Stored> expect(std::string_view hf_name, std::span<const std::int64_t> shape,
                        std::optional<std::int64_t> parameters = {});
  /// The tensor with what the adapters make of it.
  Result<Stored> adapt(std::string_view hf_name, const Stored& stored);
  /// Notes some elements of a tensor of vision, for vision_id.
  Status sample(std::string_view hf_name, const Stored& tensor);
  /// Elements [first, first + count) into dst as `dtype`, which is the stored one or f32.
  Status read(const Stored& tensor, std::int64_t first, std::int64_t count, DType dtype, std::byte* dst) const;
  /// The whole tensor widened to dst.
  Status read_floats(const Stored& tensor, float* dst) const;
  /// The weights of linears(), from a file that holds them as rows or in strips.
  Result<PackedMatrix> packed_rows(const KernelTable& table, std::span<const std::string> names, std::int64_t out,
                                   std::int64_t in);
  Result<PackedMatrix> quantized(const KernelTable& table, std::span<const std::string> names, std::int64_t out,
                                 std::int64_t in);
  /// The scales of 8-bit layers one after the other. Error model when `table` cannot use them.
  Result<Buffer<float>> scales_of(std::span<const std::string> names, const KernelTable& table, std::int64_t out);
  /// "<name>.bias" of several layers one after the other.
  Result<Buffer<float>> biases(std::span<const std::string> names, std::int64_t out);

  TensorSource source_;
  std::vector<Adapter> adapters_;
  std::map<std::string, std::uint64_t, std::less<>> samples_;  // of tensors of vision: hashes of some elements
  bool vision_is_adapted_ = false;
  std::map<std::string, std::string, std::less<>> ties_;
  Options options_;
  bool ms_layout_ = false;
  std::int64_t parameters_ = 0;
  std::vector<bool> used_;        // by index in source_.tensors()
  std::vector<bool> dtype_seen_;  // by DType
  std::unique_ptr<ThreadPool> pool_;
  std::vector<Buffer<std::byte>> pieces_;  // one a thread: what is being read and packed
};

}  // namespace florence2
