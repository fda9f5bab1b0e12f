// Models with random weights of the true shapes, for benchmarks without files.
#include <algorithm>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/isa.hpp"
#include "model/build_weights.hpp"
#include "model/engine.hpp"
#include "model/florence2.hpp"
#include "model/guarded.hpp"

namespace florence2 {
namespace {

/// Rounds a weight to f16 bits; magnitudes below the smallest normal f16 become zero, none is near the largest.
std::uint16_t to_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  if (std::abs(value) < 0x1p-14f) return static_cast<std::uint16_t>(sign);
  const std::uint32_t magnitude = (bits & 0x7FFFFFFFu) + 0xFFFu + ((bits >> 13) & 1u) - (112u << 23);
  return static_cast<std::uint16_t>(sign | (magnitude >> 13));
}

/// The calls of WeightReader that WeightBuilder uses, answered with numbers of one splitmix64 stream. The scales keep
/// activations near 1 through all layers.
class RandomSource {
 public:
  RandomSource(std::uint64_t seed, DType storage, const PrecisionPlan& precision, int side)
      : state_(seed), storage_(storage), precision_(precision), side_(side) {}

  Result<Linear> linear(const KernelTable& table, std::string_view name, std::int64_t out, std::int64_t in,
                        bool bias = true) {
    Linear linear{PackedMatrix(table, precision_.weight_type(name, storage_, table), out, in),
                  bias ? buffer(out, kBiasScale) : Buffer<float>()};
    // Channel attention sums q k over all tokens of the stage's map: with unit scores its softmax would saturate and
    // the network become chaotic, which trained weights are not.
    const bool channel_qkv = name.ends_with("channel_attn.qkv");
    const std::int64_t quiet_rows = channel_qkv ? out / 3 * 2 : 0;
    fill(linear.weight, quiet_rows, channel_qkv ? 1.0f / std::sqrt(static_cast<float>(stage_side(name))) : 1.0f);
    return linear;
  }
  Result<Linear> linears(const KernelTable& table, std::span<const std::string> names, std::int64_t out,
                         std::int64_t in) {
    return linear(table, names.front(), static_cast<std::int64_t>(names.size()) * out, in);
  }
  Result<Linear> projection(const KernelTable& table, std::int64_t d, std::int64_t cv) {
    return linear(table, "model.multi_modal_projector.image_projection", d, cv, false);
  }
  Result<Linear> patch_linear(const KernelTable& table, std::string_view name, std::int64_t out, std::int64_t in,
                              int kernel) {
    return linear(table, name, out, in * kernel * kernel);
  }
  Result<Depthwise> depthwise(std::string_view, std::int64_t c) {
    return Depthwise{buffer(9 * c, 0.1f), buffer(c, kBiasScale)};
  }
  Result<Norm> norm(std::string_view, std::int64_t n) {
    Norm norm{buffer(n, 0.1f), buffer(n, kBiasScale)};
    for (float& value : norm.gamma.span()) value += 1.0f;
    return norm;
  }
  Result<Buffer<float>> tensor(std::string_view, std::initializer_list<std::int64_t> shape) {
    std::int64_t size = 1;
    for (const std::int64_t extent : shape) size *= extent;
    return buffer(size, 0.04f);
  }

 private:
  static constexpr float kBiasScale = 0.02f;

  /// Uniform with standard deviation 1.
  float next() {
    state_ += 0x9E3779B97F4A7C15u;
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    const float uniform = static_cast<float>((x ^ (x >> 31)) >> 40) * 0x1p-23f - 1.0f;
    return uniform * 1.7320508f;
  }

  Buffer<float> buffer(std::int64_t size, float scale) {
    Buffer<float> values(size);
    for (float& value : values.span()) value = scale * next();
    return values;
  }

  /// Rows of 1 / sqrt(k), the first `quiet_rows` of them times `quiet`; panel by panel.
  void fill(PackedMatrix& matrix, std::int64_t quiet_rows, float quiet) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(matrix.k()));
    std::vector<float> rows;
    for (std::int64_t first = 0; first < matrix.n(); first += matrix.nr()) {
      const std::int64_t count = std::min<std::int64_t>(matrix.nr(), matrix.n() - first);
      rows.resize(static_cast<std::size_t>(count * matrix.k()));
      for (std::int64_t r = 0; r < count; ++r) {
        const float row_scale = first + r < quiet_rows ? scale * quiet : scale;
        for (std::int64_t i = 0; i < matrix.k(); ++i)
          rows[static_cast<std::size_t>(r * matrix.k() + i)] = row_scale * next();
      }
      pack(matrix, first, count, rows);
    }
  }

  static void pack(PackedMatrix& matrix, std::int64_t first, std::int64_t count, std::span<const float> rows) {
    if (matrix.dtype() != DType::f16) return matrix.pack_floats(first, count, rows.data());
    std::vector<std::uint16_t> halves(rows.size());
    std::transform(rows.begin(), rows.end(), halves.begin(), to_f16);
    matrix.pack_rows(first, count, halves.data());
  }

  /// Side of the map of the stage in "….blocks.<stage>.…": a quarter of the image, halved at each stage.
  int stage_side(std::string_view name) const {
    constexpr std::string_view kBlocks = "blocks.";
    const int stage = name[name.find(kBlocks) + kBlocks.size()] - '0';
    return (side_ / 4) >> stage;
  }

  std::uint64_t state_;
  DType storage_;
  PrecisionPlan precision_;
  int side_;
};

ModelInfo describe(std::string_view size, const ModelImpl& model, DType storage) {
  const WeightSize weight_size = measure(model.weights);
  ModelInfo info = info_of(model.config, *model.table);
  info.size_name = std::string(size);
  info.layout = "seeded";
  info.storage = std::string(name_of(storage));
  info.precision = model.precision.text_form();
  info.parameters = weight_size.parameters;
  info.weight_bytes = weight_size.bytes;
  return info;
}

Result<Model> make_seeded(std::string_view size, std::uint64_t seed, DType storage, const ModelOptions& options) {
  auto impl = std::make_shared<ModelImpl>();
  FL_ASSIGN(impl->table, choose_table(options));
  FL_ASSIGN(impl->config, named_config(size));
  const TextConfig& text = impl->config.text;
  FL_ASSIGN(impl->precision, parse_precision(options.precision, *impl->table));
  RandomSource source(seed, storage, impl->precision, impl->config.image.side);
  FL_ASSIGN(Linear tied, source.linear(*impl->table, "lm_head", text.vocabulary, text.d_model, false));
  auto head = std::make_shared<const Linear>(std::move(tied));
  FL_ASSIGN(impl->weights, WeightBuilder(source, impl->config, *impl->table).build(tied_tokens(head), head));
  impl->weights.vision_id = static_cast<std::uint32_t>(seed);
  impl->info = describe(size, *impl, storage);
  return Model(std::move(impl));
}

}  // namespace

Result<Model> seeded_model(std::string_view size, std::uint64_t seed, DType storage, const ModelOptions& options) {
  return guarded([&] { return make_seeded(size, seed, storage, options); });
}

}  // namespace florence2
