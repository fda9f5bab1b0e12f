#include "model/convert.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/atomic_file.hpp"
#include "core/file.hpp"
#include "kernels/isa.hpp"
#include "model/checkpoint_files.hpp"
#include "model/engine.hpp"
#include "model/generate.hpp"
#include "model/guarded.hpp"
#include "model/matrix_list.hpp"
#include "weights/safetensors_writer.hpp"
#include "weights/weight_reader.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

/// Stands in for WeightReader in the walk over all weights (WeightBuilder), and is walked twice: first every tensor is
/// announced to the writer, then read, converted and written. The weights it returns are empty.
class Converter {
 public:
  Converter(WeightReader& reader, SafetensorsWriter& writer, const PrecisionPlan& plan, const KernelTable& table,
            const std::function<bool(double)>& on_progress)
      : reader_(reader), writer_(writer), plan_(plan), table_(table), on_progress_(on_progress) {}

  void start_writing() { writing_ = true; }

  Result<Linear> linear(const KernelTable&, std::string_view name, std::int64_t out, std::int64_t in,
                        bool bias = true) {
    const std::string stem(name);
    FL_TRY(matrix(stem, out, in, [&] { return reader_.tensor(stem + ".weight", {out, in}); }));
    FL_TRY(write_scales());
    if (bias) FL_TRY(plain(stem + ".bias", {out}));
    return Linear();
  }

  /// The weights follow each other, so that their strips are those of one matrix.
  Result<Linear> linears(const KernelTable&, std::span<const std::string> names, std::int64_t out, std::int64_t in) {
    for (const std::string& name : names) {
      FL_TRY(matrix(name, out, in, [&] { return reader_.tensor(name + ".weight", {out, in}); }));
    }
    FL_TRY(write_scales());
    for (const std::string& name : names) FL_TRY(plain(name + ".bias", {out}));
    return Linear();
  }

  Result<Linear> projection(const KernelTable& table, std::int64_t d, std::int64_t cv) {
    const std::string stem = "model.multi_modal_projector.image_projection";
    if (!reader_.ms_layout()) return linear(table, stem, d, cv, false);
    FL_TRY(matrix(stem, d, cv, [&] { return transposed(stem + ".weight", cv, d); }));
    FL_TRY(write_scales());
    return Linear();
  }

  /// Quantised, a convolution is stored as the linear layer over patches (ky, kx, in) that it is computed as.
  Result<Linear> patch_linear(const KernelTable&, std::string_view name, std::int64_t out, std::int64_t in,
                              int kernel) {
    const std::string stem(name);
    FL_ASSIGN(const DType dtype, target(stem));
    if (dtype != DType::s8) {
      FL_TRY(plain(stem + ".weight", {out, in, kernel, kernel}));
    } else {
      const std::int64_t taps = std::int64_t{kernel} * kernel;
      FL_TRY(matrix(stem, out, in * taps, [&] { return patches(stem + ".weight", out, in, kernel); }));
      FL_TRY(write_scales());
    }
    FL_TRY(plain(stem + ".bias", {out}));
    return Linear();
  }

  Result<Depthwise> depthwise(std::string_view name, std::int64_t c) {
    FL_TRY(plain(std::string(name) + ".weight", {c, 1, 3, 3}));
    FL_TRY(plain(std::string(name) + ".bias", {c}));
    return Depthwise();
  }

  Result<Norm> norm(std::string_view name, std::int64_t n) {
    FL_TRY(plain(std::string(name) + ".weight", {n}));
    FL_TRY(plain(std::string(name) + ".bias", {n}));
    return Norm();
  }

  Result<Buffer<float>> tensor(std::string_view name, std::initializer_list<std::int64_t> shape) {
    FL_TRY(plain(std::string(name), shape));
    return Buffer<float>();
  }

 private:
  Result<DType> target(const std::string& stem) const {
    FL_ASSIGN(const DType stored, reader_.stored_dtype(stem + ".weight"));
    return plan_.weight_type(stem, stored, *available_tables().front()).dtype;  // the same file on every machine
  }

  /// A matrix [out, in] whose values `read` provides, in the plan's type. Scales wait for write_scales.
  template <typename Read>
  Status matrix(const std::string& stem, std::int64_t out, std::int64_t in, const Read& read) {
    FL_ASSIGN(const DType dtype, target(stem));
    if (!writing_) {
      if (dtype == DType::s8) {
        writer_.add(stem + ".weight", dtype, {stored_strips(out), stored_depth(in) / 4, kStripColumns, 4});
        announced_scales_.push_back({stem + kScaleSuffix, out});
      } else {
        writer_.add(stem + ".weight", dtype, {out, in});
      }
      return reader_.announce(stem + ".weight");
    }
    FL_ASSIGN(const Buffer<float> values, read());
    return dtype == DType::s8 ? write_quantized(values, out, in) : write_floats(values, dtype);
  }

  /// A tensor that keeps its type.
  Status plain(const std::string& name, std::initializer_list<std::int64_t> shape) {
    FL_ASSIGN(const DType dtype, reader_.stored_dtype(name));
    if (!writing_) {
      writer_.add(name, dtype, shape);
      return reader_.announce(name);
    }
    FL_ASSIGN(const Buffer<float> values, reader_.tensor(name, shape));
    return write_floats(values, dtype);
  }

  Result<Buffer<float>> transposed(const std::string& name, std::int64_t rows, std::int64_t cols) {
    FL_ASSIGN(const Buffer<float> stored, reader_.tensor(name, {rows, cols}));
    Buffer<float> values(stored.size());
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < cols; ++c) values[c * rows + r] = stored[r * cols + c];
    }
    return values;
  }

  Result<Buffer<float>> patches(const std::string& name, std::int64_t out, std::int64_t in, int kernel) {
    FL_ASSIGN(const Buffer<float> stored, reader_.tensor(name, {out, in, kernel, kernel}));
    const std::int64_t taps = std::int64_t{kernel} * kernel;
    Buffer<float> values(stored.size());
    for (std::int64_t o = 0; o < out; ++o) {
      for (std::int64_t i = 0; i < in; ++i) {
        for (std::int64_t tap = 0; tap < taps; ++tap) {
          values[(o * taps + tap) * in + i] = stored[(o * in + i) * taps + tap];
        }
      }
    }
    return values;
  }

  Status write_quantized(const Buffer<float>& values, std::int64_t out, std::int64_t in) {
    PackedMatrix packed(table_, DType::s8, out, in);
    packed.pack_floats(0, out, values.data());
    scales_.insert(scales_.end(), packed.scales(0), packed.scales(0) + out);
    return write(packed.strips());
  }

  /// The scales of the quantised matrices since the last call.
  Status write_scales() {
    if (writing_) {
      FL_TRY(write(std::as_bytes(std::span(scales_))));
      scales_.clear();
    } else {
      for (const auto& [name, out] : announced_scales_) writer_.add(name, DType::f32, {out});
      announced_scales_.clear();
    }
    return {};
  }

  Status write_floats(const Buffer<float>& values, DType dtype) {
    if (dtype == DType::f32) return write(std::as_bytes(values.span()));
    std::vector<std::uint16_t> halves(static_cast<std::size_t>(values.size()));
    std::transform(values.data(), values.data() + values.size(), halves.begin(),
                   dtype == DType::f16 ? f32_to_f16 : f32_to_bf16);
    return write(std::as_bytes(std::span(halves)));
  }

  Status write(std::span<const std::byte> bytes) {
    FL_TRY(writer_.write(bytes));
    written_ += static_cast<std::int64_t>(bytes.size());
    const double done = static_cast<double>(written_) / static_cast<double>(writer_.bytes());
    if (on_progress_ && !on_progress_(done)) return cancelled();
    return {};
  }

  WeightReader& reader_;
  SafetensorsWriter& writer_;
  const PrecisionPlan& plan_;
  const KernelTable& table_;
  const std::function<bool(double)>& on_progress_;
  std::vector<std::pair<std::string, std::int64_t>> announced_scales_;  // name and length
  std::vector<float> scales_;
  std::int64_t written_ = 0;
  bool writing_ = false;
};

Status copy_small_files(const std::string& directory, const std::string& output) {
  for (const std::string_view name : kSmallFiles) {
    std::error_code error;
    const fs::path source = fs::path(directory) / name;
    if (!fs::exists(source, error)) continue;
    FL_ASSIGN(const std::string text, read_file(source.string(), std::int64_t{256} << 20));
    const std::span<const std::byte> part = std::as_bytes(std::span(text));
    FL_TRY(write_file_atomically((fs::path(output) / name).string(), {&part, 1}));
  }
  return {};
}

Status make_folder(const std::string& directory, const std::string& output) {
  std::error_code error;
  fs::create_directories(output, error);
  if (error) return Error{ErrorCode::cannot_create, "cannot create the folder: " + error.message(), output};
  if (fs::equivalent(directory, output, error)) {
    return Error{ErrorCode::argument, "the converted model needs a folder of its own", output};
  }
  return {};
}

/// What all tensors take in the plan's types.
Result<std::int64_t> bytes_in(const PrecisionPlan& plan, WeightReader& reader, const Config& config,
                              const KernelTable& table) {
  SafetensorsWriter writer;
  const std::function<bool(double)> no_progress;
  Converter announcing(reader, writer, plan, table, no_progress);
  FL_TRY(walk_weights(announcing, reader, config, table));
  return writer.bytes();
}

Result<ConvertReport> convert(const std::string& directory, const std::string& output, const ConvertOptions& options) {
  FL_ASSIGN(const KernelTable* active, active_table());
  const std::string wanted = options.precision == "auto" ? "int8" : options.precision;
  FL_ASSIGN(PrecisionPlan plan, parse_precision(wanted, *active));
  const bool quantizes = plan.vision == Precision::int8 || plan.text == Precision::int8;
  const KernelTable* table = active;
  if (quantizes) {
    FL_ASSIGN(table, portable_table());
  }
  FL_ASSIGN(Config config, load_config(directory));
  const int threads = options.threads > 0 ? options.threads : default_threads();
  // Values are checked: in 8 bits one that is not finite would spoil a channel for good.
  FL_ASSIGN(WeightReader reader, WeightReader::open(directory, {threads, true, {}}));
  if (const std::string before = reader.metadata(kPrecisionKey); !before.empty()) {
    return Error{ErrorCode::argument, "these weights were converted to " + before + " before; convert the original",
                 reader.path()};
  }
  FL_TRY(adopt_sizes(reader, config.text));
  FL_ASSIGN(const auto matrices, list_matrices(reader, config, *table));
  FL_ASSIGN(const std::int64_t plain_bytes, bytes_in(plan, reader, config, *table));
  FL_ASSIGN(plan.kept, matching_tensors(matrices, options.keep));
  FL_TRY(make_folder(directory, output));

  SafetensorsWriter writer;
  Converter converter(reader, writer, plan, *table, options.on_progress);
  FL_TRY(walk_weights(converter, reader, config, *table));
  std::map<std::string, std::string> metadata = {{"format", "pt"},
                                                 {"florence2.version", "2"},
                                                 {std::string(kPrecisionKey), plan.text_form()},
                                                 {std::string(kVisionIdKey), reader.vision_id()}};
  if (quantizes) metadata.emplace(kQuadLimitKey, std::to_string(table->quad_limit));
  FL_TRY(writer.begin((fs::path(output) / "model.safetensors").string(), metadata));
  converter.start_writing();
  FL_TRY(walk_weights(converter, reader, config, *table));
  FL_TRY(writer.finish());  // first: where that fails, an older folder stays as it was
  FL_TRY(copy_small_files(directory, output));
  return ConvertReport{plan.text_form(), writer.bytes(), plain_bytes};
}

}  // namespace

Result<const KernelTable*> portable_table() {
  for (const KernelTable* table : available_tables()) {
    if (table->quad_limit > 0) return table;
  }
  return Error{ErrorCode::unsupported, "converting to int8 needs a CPU with AVX2", ""};
}

Result<ConvertReport> convert_model(const std::string& directory, const std::string& output,
                                    const ConvertOptions& options) {
  return guarded([&] { return convert(directory, output, options); });
}

}  // namespace florence2
