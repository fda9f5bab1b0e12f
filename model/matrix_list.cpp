#include "model/matrix_list.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace florence2 {
namespace {

/// "model.…self_attn." and q_proj, k_proj, v_proj: "…self_attn.qkv_proj".
std::string name_for_people(std::span<const std::string> tensors) {
  std::string_view first = tensors.front();
  const std::size_t last = first.rfind('.') + 1;
  std::string name(first.substr(0, last));
  for (const std::string& tensor : tensors.subspan(1)) name += first[last], first = tensor;
  name += first.substr(last);
  for (const std::string_view prefix : {"model.", "language_model."}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  }
  return name;
}

/// Notes what WeightBuilder asks for. The weights it returns are empty.
class MatrixLister {
 public:
  std::vector<MatrixEntry> take() { return std::move(matrices_); }

  Result<Linear> linear(const KernelTable& table, std::string_view name, std::int64_t out, std::int64_t in,
                        bool = true) {
    const std::string names[] = {std::string(name)};
    return linears(table, names, out, in);
  }
  Result<Linear> linears(const KernelTable&, std::span<const std::string> names, std::int64_t, std::int64_t) {
    matrices_.push_back({name_for_people(names), {names.begin(), names.end()}});
    return Linear();
  }
  Result<Linear> projection(const KernelTable& table, std::int64_t d, std::int64_t cv) {
    return linear(table, "model.multi_modal_projector.image_projection", d, cv);
  }
  Result<Linear> patch_linear(const KernelTable& table, std::string_view name, std::int64_t out, std::int64_t in, int) {
    return linear(table, name, out, in);
  }
  Result<Depthwise> depthwise(std::string_view, std::int64_t) { return Depthwise(); }
  Result<Norm> norm(std::string_view, std::int64_t) { return Norm(); }
  Result<Buffer<float>> tensor(std::string_view, std::initializer_list<std::int64_t>) { return Buffer<float>(); }

 private:
  std::vector<MatrixEntry> matrices_;
};

bool matches(const std::string& pattern, const MatrixEntry& matrix) {
  const auto fits = [&](const std::string& name) { return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0; };
  return fits(matrix.name) || std::any_of(matrix.tensors.begin(), matrix.tensors.end(), fits);
}

}  // namespace

Result<std::vector<MatrixEntry>> list_matrices(const WeightReader& reader, const Config& config,
                                               const KernelTable& table) {
  MatrixLister lister;
  FL_TRY(walk_weights(lister, reader, config, table));
  return lister.take();
}

Result<std::set<std::string, std::less<>>> matching_tensors(std::span<const MatrixEntry> matrices,
                                                            std::span<const std::string> patterns) {
  std::set<std::string, std::less<>> tensors;
  for (const std::string& pattern : patterns) {
    bool found = false;
    for (const MatrixEntry& matrix : matrices) {
      if (!matches(pattern, matrix)) continue;
      tensors.insert(matrix.tensors.begin(), matrix.tensors.end());
      found = true;
    }
    if (!found) return Error{ErrorCode::argument, "no matrix is called \"" + pattern + "\"", ""};
  }
  return tensors;
}

}  // namespace florence2
