#include "weights/weight_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <new>
#include <optional>
#include <system_error>
#include <utility>

#include "core/fnv.hpp"
#include "weights/stored_values.hpp"

namespace florence2 {
namespace {

/// What a thread reads and packs at a time: fits L2 and is large enough for a system call.
constexpr std::int64_t kChunkBytes = std::int64_t{128} << 10;

/// Elements of a tensor that tell it from another checkpoint's: training and low-rank changes leave hardly one as it
/// was.
constexpr std::int64_t kSamples = 64;

/// Types of weights: floats, and the 8-bit integers of files of our own.
std::optional<DType> stored_type(std::string_view name) {
  return name == name_of(DType::s8) ? std::optional(DType::s8) : dtype_named(name);
}

/// The files of a folder, for people who gave the wrong one.
std::string listing(const std::string& directory) {
  constexpr std::size_t kMost = 12;
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (names.empty()) return error ? "no such folder" : "nothing";
  std::sort(names.begin(), names.end());
  std::string text = names[0];
  for (std::size_t i = 1; i < std::min(names.size(), kMost); ++i) text += ", " + names[i];
  return names.size() > kMost ? text + ", …" : text;
}

/// Calls body(first, count, thread), which may throw std::bad_alloc, for pieces of [0, total). Returns the error of the
/// lowest piece that failed.
template <typename Body>
Status parallel_pieces(ThreadPool& pool, std::int64_t total, std::int64_t piece, const Body& body) {
  struct Failure {
    std::int64_t index = 0;
    Status status;
  };
  std::vector<Failure> failures(static_cast<std::size_t>(pool.threads()));
  pool.parallel_for((total + piece - 1) / piece, [&](std::int64_t index, int thread) {
    Failure& mine = failures[static_cast<std::size_t>(thread)];
    const std::int64_t first = index * piece;
    if (!mine.status) return;  // a thread's pieces ascend: what it skips after a failure lies behind it
    try {
      mine = {index, body(first, std::min(piece, total - first), thread)};
    } catch (const std::bad_alloc&) {  // a loop's body must not throw
      mine = {index, Error{ErrorCode::memory, "out of memory", {}}};
    }
  });
  Failure* lowest = nullptr;
  for (Failure& failure : failures) {
    if (!failure.status && (lowest == nullptr || failure.index < lowest->index)) lowest = &failure;
  }
  return lowest == nullptr ? Status() : std::move(lowest->status);
}

/// Rows of so many bytes that make a piece of about kChunkBytes, which begins where packing can begin.
std::int64_t piece_rows(const PackedMatrix& packed, std::int64_t row_bytes) {
  return std::max<std::int64_t>(1, kChunkBytes / (row_bytes * packed.pack_unit())) * packed.pack_unit();
}

/// Packs a matrix whose rows fill(first, count, dst, thread) provides in `dtype`.
template <typename Fill>
Status pack_pieces(ThreadPool& pool, PackedMatrix& packed, DType dtype, std::vector<Buffer<std::byte>>& pieces,
                   const Fill& fill) {
  const std::int64_t row_bytes = packed.k() * static_cast<std::int64_t>(size_of(dtype));
  const std::int64_t rows = piece_rows(packed, row_bytes);
  for (Buffer<std::byte>& piece : pieces) piece.ensure(rows * row_bytes);
  return parallel_pieces(pool, packed.n(), rows, [&](std::int64_t first, std::int64_t count, int thread) -> Status {
    std::byte* piece = pieces[static_cast<std::size_t>(thread)].data();
    FL_TRY(fill(first, count, piece, thread));
    packed.pack(first, count, dtype, piece);
    return {};
  });
}

/// Tensors that a complete model does not need: tables that are computed, zeros, copies of the embedding, and the
/// classifier of the vision tower's training.
bool known_extra(std::string_view name) {
  return name.ends_with("pos_idx_to_embed") || name.ends_with("final_logits_bias") ||
         name.ends_with(".embed_tokens.weight") || name.find("vision_tower.norms.") != name.npos ||
         name.find("vision_tower.head.") != name.npos;
}

/// The tensor of the file whose name agrees longest with that of a missing one: it shows where another network departs.
std::string nearest(const TensorSource& source, std::string_view name) {
  std::size_t longest = 0;
  std::string_view found;
  for (const TensorInfo& info : source.tensors()) {
    const auto difference = std::mismatch(name.begin(), name.end(), info.name.begin(), info.name.end()).first;
    const auto common = static_cast<std::size_t>(difference - name.begin());
    if (common > longest) longest = common, found = info.name;
  }
  return found.empty() ? std::string() : ", the nearest is \"" + std::string(found) + "\"";
}

}  // namespace

Result<WeightReader> WeightReader::open(const std::string& directory, const Options& options) {
  auto source = TensorSource::open(directory, "model", "pytorch_model");
  if (!source) {
    Error error = std::move(source).error();
    if (error.message == "no such file") {
      error.message +=
          "; a model folder needs model.safetensors, config.json, tokenizer.json; found: " + listing(directory);
    }
    return error;
  }
  return WeightReader(std::move(*source), options);
}

WeightReader::WeightReader(TensorSource source, const Options& options)
    : source_(std::move(source)),
      options_(options),
      used_(source_.tensors().size()),
      dtype_seen_(4),
      pool_(std::make_unique<ThreadPool>(std::max(options.threads, 1))),
      pieces_(static_cast<std::size_t>(pool_->threads())) {
  for (const char* name :
       {"image_projection", "vision_tower.convs.0.proj.weight", "language_model.model.shared.weight"}) {
    ms_layout_ |= source_.find(name) != nullptr;
  }
}

std::string WeightReader::metadata(std::string_view key) const {
  const auto entry = source_.metadata().find(std::string(key));
  return entry == source_.metadata().end() ? std::string() : entry->second;
}

std::span<const std::int64_t> WeightReader::shape_of(std::string_view hf_name) const {
  const TensorInfo* info = source_.find(file_name(hf_name));
  if (info == nullptr) return {};
  return info->shape;
}

std::int64_t WeightReader::rows_of(std::string_view name) const {
  const auto shape = shape_of(std::string(name) + (is_quantized(name) ? kScaleSuffix : ".weight"));
  return shape.empty() ? 0 : shape[0];
}

bool WeightReader::is_quantized(std::string_view name) const {
  const TensorInfo* info = source_.find(file_name(std::string(name) + ".weight"));
  return info != nullptr && info->dtype == name_of(DType::s8);
}

Result<DType> WeightReader::stored_dtype(std::string_view hf_name) const {
  const TensorInfo* info = source_.find(file_name(hf_name));
  if (info == nullptr) return missing(file_name(hf_name));
  const std::optional<DType> dtype = stored_type(info->dtype);
  if (!dtype) return damaged(*info, " has dtype " + info->dtype + "; supported: F32, F16, BF16");
  return *dtype;
}

Result<Linear> WeightReader::linear(const KernelTable& table, std::string_view name, std::int64_t out, std::int64_t in,
                                    bool bias) {
  const std::string names[] = {std::string(name)};
  return linears(table, names, out, in, bias);
}

Result<Linear> WeightReader::linears(const KernelTable& table, std::span<const std::string> names, std::int64_t out,
                                     std::int64_t in, bool bias) {
  Linear linear;
  FL_ASSIGN(linear.weight,
            is_quantized(names[0]) ? quantized(table, names, out, in) : packed_rows(table, names, out, in));
  if (bias) {
    FL_ASSIGN(linear.bias, biases(names, out));
  }
  return linear;
}

Result<PackedMatrix> WeightReader::packed_rows(const KernelTable& table, std::span<const std::string> names,
                                               std::int64_t out, std::int64_t in) {
  std::vector<Stored> parts;
  for (const std::string& name : names) {
    FL_ASSIGN(const Stored part, expect(name + ".weight", std::array{out, in}));
    parts.push_back(part);
  }
  const DType first_dtype = parts[0].dtype;
  const bool same = std::all_of(parts.begin(), parts.end(), [&](const Stored& p) { return p.dtype == first_dtype; });
  const DType dtype = same ? first_dtype : DType::f32;
  PackedMatrix packed(table, packed_type(names[0], dtype), out * static_cast<std::int64_t>(parts.size()), in);
  FL_TRY(pack_pieces(*pool_, packed, dtype, pieces_,
                     [&](std::int64_t row, std::int64_t count, std::byte* dst, int) -> Status {
                       while (count > 0) {  // a piece may reach over the end of a part
                         const std::int64_t part_row = row % out;
                         const std::int64_t rows = std::min(count, out - part_row);
                         FL_TRY(read(parts[static_cast<std::size_t>(row / out)], part_row * in, rows * in, dtype, dst));
                         dst += rows * in * static_cast<std::int64_t>(size_of(dtype));
                         row += rows;
                         count -= rows;
                       }
                       return {};
                     }));
  return packed;
}

/// The strips of a layer, or of several side by side, which are used where they lie if they follow each other in the
/// file, as convert writes them.
Result<PackedMatrix> WeightReader::quantized(const KernelTable& table, std::span<const std::string> names,
                                             std::int64_t out, std::int64_t in) {
  const std::array shape{stored_strips(out), stored_depth(in) / 4, std::int64_t{kStripColumns}, std::int64_t{4}};
  std::vector<const TensorInfo*> parts;
  for (const std::string& name : names) {
    FL_ASSIGN(const Stored part, expect(name + ".weight", shape, out * in));
    if (part.dtype != DType::s8) return damaged(*part.info, " has dtype " + part.info->dtype + ", expected I8");
    parts.push_back(part.info);
  }
  if (names.size() > 1 && out % kStripPadding != 0) {
    return damaged(*parts[0], " cannot lie beside others: it has " + std::to_string(out) +
                                  " outputs, expected a multiple of " + std::to_string(kStripPadding));
  }
  FL_ASSIGN(const Buffer<float> scales, scales_of(names, table, out));

  FL_ASSIGN(auto mapped, source_.map(parts, kStripGroupBytes));
  const bool is_mapped = mapped != nullptr;
  PackedMatrix packed(table, DType::s8, out * static_cast<std::int64_t>(parts.size()), in, std::move(mapped));
  if (!is_mapped) {
    std::int64_t first = 0;
    for (const TensorInfo* part : parts) {
      FL_TRY(source_.read(
          *part, 0, packed.strips().subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(part->bytes))));
      first += part->bytes;
    }
  }
  const std::int64_t rows = piece_rows(packed, in);
  pool_->parallel_for((packed.n() + rows - 1) / rows, [&](std::int64_t index, int) {
    const std::int64_t column = index * rows;
    packed.adopt_strips(column, std::min(rows, packed.n() - column), scales.data() + column);
  });
  return packed;
}

Result<Linear> WeightReader::projection(const KernelTable& table, std::int64_t d, std::int64_t cv) {
  const std::string name = "model.multi_modal_projector.image_projection";
  if (!ms_layout_ || is_quantized(name)) return linear(table, name, d, cv, false);
  FL_ASSIGN(const Stored tensor, expect(name + ".weight", std::array{cv, d}));
  const WeightType packed = packed_type(name, tensor.dtype);
  const DType dtype = tensor.dtype;
  const auto size = static_cast<std::int64_t>(size_of(dtype));
  Buffer<std::byte> stored(tensor.elements * size);  // its rows are our columns: all are needed for each piece
  FL_TRY(read(tensor, 0, tensor.elements, dtype, stored.data()));
  Linear linear;
  linear.weight = PackedMatrix(table, packed, d, cv);
  FL_TRY(pack_pieces(*pool_, linear.weight, dtype, pieces_,
                     [&](std::int64_t row, std::int64_t count, std::byte* dst, int) -> Status {
                       transpose_values(dtype, dst, cv, stored.data() + row * size, d, cv, count);
                       return {};
                     }));
  return linear;
}

Result<Linear> WeightReader::patch_linear(const KernelTable& table, std::string_view name, std::int64_t out,
                                          std::int64_t in, int kernel) {
  const std::string names[] = {std::string(name)};
  const std::int64_t taps = std::int64_t{kernel} * kernel;
  const std::int64_t row_elements = in * taps;
  // Our own files hold quantised patches as the linear layer that they are.
  if (is_quantized(names[0])) return linears(table, names, out, row_elements, true);
  FL_ASSIGN(const Stored tensor, expect(names[0] + ".weight", std::array<std::int64_t, 4>{out, in, kernel, kernel}));
  const WeightType packed = packed_type(names[0], tensor.dtype);
  const DType dtype = tensor.dtype;
  const std::int64_t row_bytes = row_elements * static_cast<std::int64_t>(size_of(dtype));
  std::vector<Buffer<std::byte>> rows(pieces_.size());  // one stored row a thread
  for (Buffer<std::byte>& row : rows) row.ensure(row_bytes);

  Linear linear;
  linear.weight = PackedMatrix(table, packed, out, row_elements);
  FL_TRY(pack_pieces(*pool_, linear.weight, dtype, pieces_,
                     [&](std::int64_t first, std::int64_t count, std::byte* dst, int thread) -> Status {
                       std::byte* stored = rows[static_cast<std::size_t>(thread)].data();
                       for (std::int64_t row = first; row < first + count; ++row, dst += row_bytes) {
                         FL_TRY(read(tensor, row * row_elements, row_elements, dtype, stored));
                         transpose_values(dtype, dst, in, stored, taps, in, taps);
                       }
                       return {};
                     }));
  FL_ASSIGN(linear.bias, biases(names, out));
  return linear;
}

Result<Depthwise> WeightReader::depthwise(std::string_view name, std::int64_t c) {
  constexpr std::int64_t kTaps = 9;
  FL_ASSIGN(const Buffer<float> stored, tensor(std::string(name) + ".weight", {c, 1, 3, 3}));
  Depthwise result;
  result.weight = Buffer<float>(kTaps * c);
  for (std::int64_t channel = 0; channel < c; ++channel) {
    for (std::int64_t tap = 0; tap < kTaps; ++tap) result.weight[tap * c + channel] = stored[channel * kTaps + tap];
  }
  FL_ASSIGN(result.bias, tensor(std::string(name) + ".bias", {c}));
  return result;
}

Result<Norm> WeightReader::norm(std::string_view name, std::int64_t n) {
  Norm norm;
  FL_ASSIGN(norm.gamma, tensor(std::string(name) + ".weight", {n}));
  FL_ASSIGN(norm.beta, tensor(std::string(name) + ".bias", {n}));
  return norm;
}

Result<Buffer<float>> WeightReader::tensor(std::string_view hf_name, std::initializer_list<std::int64_t> shape) {
  FL_ASSIGN(const Stored stored, expect(hf_name, shape));
  Buffer<float> values(stored.elements);
  FL_TRY(read_floats(stored, values.data()));
  return values;
}

std::vector<std::string> WeightReader::unused() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < used_.size(); ++i) {
    const std::string& name = source_.tensors()[i].name;
    if (!used_[i] && !known_extra(name)) names.push_back(name);
  }
  return names;
}

std::string WeightReader::storage() const {
  std::string_view storage;
  if (dtype_seen_[static_cast<std::size_t>(DType::s8)]) return std::string(name_of(DType::s8));
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    if (!dtype_seen_[static_cast<std::size_t>(dtype)]) continue;
    if (!storage.empty()) return "mixed";
    storage = name_of(dtype);
  }
  return std::string(storage);
}

bool WeightReader::is_adapted(std::string_view hf_name) const {
  return std::any_of(adapters_.begin(), adapters_.end(), [&](const Adapter& one) { return one.touches(hf_name); });
}

Status WeightReader::check_adapters_used() const {
  for (const Adapter& adapter : adapters_) FL_TRY(adapter.check_all_used());
  return {};
}

std::string WeightReader::file_name(std::string_view hf_name) const {
  if (const auto tie = ties_.find(hf_name); tie != ties_.end()) hf_name = tie->second;
  return ms_layout_ ? ms_name(hf_name) : std::string(hf_name);
}

WeightType WeightReader::packed_type(std::string_view hf_name, DType stored) const {
  return options_.choose_type ? options_.choose_type(hf_name, stored) : stored;
}

Result<Buffer<float>> WeightReader::scales_of(std::span<const std::string> names, const KernelTable& table,
                                              std::int64_t out) {
  const std::string needed = std::to_string(table.quad_limit);
  if (table.quad_limit > 0 && metadata(kQuadLimitKey) != needed) {
    return Error{ErrorCode::model,
                 "8-bit weights for another kind of CPU: their " + std::string(kQuadLimitKey) + " is not " + needed,
                 source_.path()};
  }
  Buffer<float> scales(out * static_cast<std::int64_t>(names.size()));
  float* dst = scales.data();
  for (const std::string& name : names) {
    FL_ASSIGN(const Stored scale, expect(name + kScaleSuffix, std::array{out}));
    FL_TRY(read_floats(scale, dst));
    dst += out;
  }
  return scales;
}

Error WeightReader::missing(const std::string& name) const {
  return {ErrorCode::model,
          "tensor \"" + name + "\" is missing (the file holds " + std::to_string(used_.size()) + " others" +
              nearest(source_, name) + "); is this Florence-2?",
          source_.path()};
}

Error WeightReader::damaged(const TensorInfo& info, const std::string& what) const {
  return {ErrorCode::model, "tensor \"" + info.name + "\"" + what, source_.path_of(info)};
}

Result<WeightReader::Stored> WeightReader::expect(std::string_view hf_name, std::span<const std::int64_t> shape,
                                                  std::optional<std::int64_t> parameters) {
  const std::string name = file_name(hf_name);
  const TensorInfo* info = source_.find(name);
  if (info == nullptr) return missing(name);
  const std::optional<DType> dtype = stored_type(info->dtype);
  if (!dtype) return damaged(*info, " has dtype " + info->dtype + "; supported: F32, F16, BF16");
  if (!std::ranges::equal(info->shape, shape)) {
    return damaged(*info, " is " + shape_text(info->shape) + ", config.json implies " + shape_text(shape));
  }
  const std::int64_t elements = info->bytes / static_cast<std::int64_t>(size_of(*dtype));
  const auto index = source_.index_of(*info);
  if (!used_[index]) parameters_ += parameters.value_or(elements);
  used_[index] = true;
  dtype_seen_[static_cast<std::size_t>(*dtype)] = true;
  FL_ASSIGN(const Stored tensor, adapt(hf_name, {info, *dtype, elements}));
  FL_TRY(sample(hf_name, tensor));
  return tensor;
}

Status WeightReader::sample(std::string_view hf_name, const Stored& tensor) {
  if (!is_of_vision(hf_name) || tensor.dtype == DType::s8 || tensor.elements == 0) return {};
  vision_is_adapted_ = vision_is_adapted_ || tensor.merged != nullptr;
  // The diagonal of the matrix that the two layouts hold transposed; elsewhere the first elements.
  const std::vector<std::int64_t>& shape = tensor.info->shape;
  const bool diagonal = hf_name.ends_with("image_projection.weight") && shape.size() == 2;
  const std::int64_t step = diagonal ? shape[1] + 1 : 1;
  const std::int64_t count = std::min(kSamples, (tensor.elements + step - 1) / step);
  std::array<float, kSamples> values;
  auto* const bytes = reinterpret_cast<std::byte*>(values.data());
  if (diagonal) {
    for (std::int64_t i = 0; i < count; ++i) {
      FL_TRY(read(tensor, i * step, 1, DType::f32, bytes + i * std::int64_t{sizeof(float)}));
    }
  } else {
    FL_TRY(read(tensor, 0, count, DType::f32, bytes));
  }
  const std::uint64_t named = fnv1a(kFnvStart, std::as_bytes(std::span(hf_name)));
  const auto sampled = std::span(values).first(static_cast<std::size_t>(count));
  samples_.insert_or_assign(std::string(hf_name), fnv1a(named, std::as_bytes(sampled)));
  return {};
}

Status WeightReader::announce(std::string_view hf_name) {
  const TensorInfo* info = source_.find(file_name(hf_name));
  FL_ASSIGN(const DType dtype, stored_dtype(hf_name));
  return sample(hf_name, {info, dtype, info->bytes / static_cast<std::int64_t>(size_of(dtype))});
}

std::string WeightReader::vision_id() const {
  const std::string original = metadata(kVisionIdKey);
  if (!original.empty() && !vision_is_adapted_) return original;
  std::uint64_t hash = fnv1a(kFnvStart, std::as_bytes(std::span(original)));
  for (const auto& [name, sampled] : samples_) hash = fnv1a(hash, std::as_bytes(std::span(&sampled, 1)));
  return std::to_string(hash);
}

Result<WeightReader::Stored> WeightReader::adapt(std::string_view hf_name, const Stored& stored) {
  if (!is_adapted(hf_name)) return stored;
  if (stored.dtype == DType::s8) {
    return damaged(*stored.info,
                   " is quantised, which no adapter can be merged into; use the checkpoint it was made from");
  }
  // The one tensor that the two layouts hold transposed; adapters have it as a layer, outputs first.
  std::vector<std::int64_t> shape = stored.info->shape;
  const bool is_transposed = ms_layout_ && stored.info->name == "image_projection";
  if (is_transposed) std::swap(shape[0], shape[1]);
  Buffer<float> values(stored.elements);
  FL_TRY(read_floats(stored, values.data()));
  std::vector<LowRank> changes;
  for (Adapter& adapter : adapters_) {
    FL_ASSIGN(auto whole, adapter.replacement(hf_name, stored.info->shape));
    if (whole) {
      values = std::move(whole->values);
      if (!whole->is_base) changes.clear();
    }
    FL_ASSIGN(auto change, adapter.change(hf_name, shape));
    if (change) changes.push_back(is_transposed ? transposed(*change) : std::move(*change));
  }
  merge(changes, values.data(), *pool_);
  return Stored{stored.info, DType::f32, stored.elements, std::make_shared<const Buffer<float>>(std::move(values))};
}

Status WeightReader::read(const Stored& tensor, std::int64_t first, std::int64_t count, DType dtype,
                          std::byte* dst) const {
  const auto stored_size = static_cast<std::int64_t>(size_of(tensor.dtype));
  const bool widen = dtype != tensor.dtype;
  if (tensor.dtype == DType::s8) return damaged(*tensor.info, " has dtype I8, expected F32, F16 or BF16");
  // A value to be widened is read into the second half of the memory that it will fill.
  std::byte* stored = widen ? dst + count * stored_size : dst;
  const auto bytes = static_cast<std::size_t>(count * stored_size);
  if (tensor.merged != nullptr) {  // f32, so that dst is
    std::memcpy(stored, tensor.merged->data() + first, bytes);
  } else {
    FL_TRY(source_.read(*tensor.info, first * stored_size, {stored, bytes}));
  }
  if (options_.check_values) {
    if (const auto bad = find_not_finite(tensor.dtype, stored, count)) {
      const std::string of = tensor.merged != nullptr ? " changed by adapters: " : ": ";
      return damaged(*tensor.info,
                     of + (bad->nan ? "NaN" : "infinity") + " at element " + std::to_string(first + bad->index));
    }
  }
  if (widen) widen_in_place(reinterpret_cast<float*>(dst), tensor.dtype, count);
  return {};
}

Status WeightReader::read_floats(const Stored& tensor, float* dst) const {
  constexpr std::int64_t kPiece = kChunkBytes / static_cast<std::int64_t>(sizeof(float));
  return parallel_pieces(*pool_, tensor.elements, kPiece, [&](std::int64_t first, std::int64_t count, int) -> Status {
    return read(tensor, first, count, DType::f32, reinterpret_cast<std::byte*>(dst + first));
  });
}

Result<Buffer<float>> WeightReader::biases(std::span<const std::string> names, std::int64_t out) {
  Buffer<float> values(out * static_cast<std::int64_t>(names.size()));
  float* dst = values.data();
  for (const std::string& name : names) {
    FL_ASSIGN(const Stored bias, expect(name + ".bias", std::array{out}));
    FL_TRY(read_floats(bias, dst));
    dst += out;
  }
  return values;
}

}  // namespace florence2
