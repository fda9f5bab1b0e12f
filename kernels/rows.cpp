#include "kernels/rows.hpp"

#include <algorithm>

#include "kernels/product.hpp"

namespace florence2 {

RowConverter::RowConverter(const KernelTable& table, const PackedMatrix& weight, std::int64_t capacity, bool two_terms,
                           Pieces& memory)
    : table_(table), k_(weight.k()), terms_(two_terms ? 2 : 1) {
  const std::int64_t depth = weight.depth();
  if (weight.dtype() == DType::s8) {
    const std::int64_t count = terms_ * capacity, stride = converted_stride(depth);
    quantized_ = {memory.take<std::uint8_t>(count * stride), count, depth, stride};
    scales_ = memory.take<float>(count);
    zeros_ = memory.take<float>(count);
  } else if (weight.paired()) {
    const std::int64_t stride = converted_stride(2 * depth) / 2;
    bf16_ = {memory.take<std::uint16_t>(capacity * stride), capacity, depth, stride};
  } else {
    floats_ = {memory.take<float>(capacity * padded_stride(k_)), capacity, k_, padded_stride(k_)};
  }
}

void RowConverter::put(std::int64_t row, const float* src, float* spare) const {
  if (quantized_.data != nullptr) {
    const std::int64_t r = terms_ * row;
    float* const rest = terms_ == 2 ? spare : nullptr;
    table_.quantize_row(quantized_.row(r), scales_ + r, zeros_ + r, rest, src, k_);
    if (terms_ == 2) table_.quantize_row(quantized_.row(r + 1), scales_ + r + 1, zeros_ + r + 1, nullptr, rest, k_);
  } else if (bf16_.data != nullptr) {
    table_.round_row(bf16_.row(row), src, k_);
  } else {
    std::copy_n(src, k_, floats_.row(row));
  }
}

void RowConverter::put(std::int64_t row, const std::uint16_t* src, float*) const {
  if (quantized_.data != nullptr) {
    table_.quantize_bf16_row(quantized_.row(row), scales_ + row, zeros_ + row, src, k_);
  } else {
    std::copy_n(src, k_, bf16_.row(row));
  }
}

void RowConverter::put_normed(std::int64_t row, const float* src, const Norm& norm, float* spare) const {
  float* const normed = floats_.data != nullptr ? floats_.row(row) : spare;
  table_.layer_norm(normed, src, norm.gamma.data(), norm.beta.data(), k_, norm.eps);
  if (normed == spare) put(row, normed, nullptr);
}

void RowConverter::put_zeros(std::int64_t row, float* spare) const {
  std::fill_n(spare, k_, 0.0f);
  put(row, spare, spare);
}

Rows RowConverter::rows(std::int64_t count) const {
  Rows r;
  r.count = count;
  r.floats = floats_.row_range(0, count);
  r.bf16 = bf16_.row_range(0, count);
  r.quantized = quantized_.row_range(0, terms_ * count);
  r.scales = scales_;
  r.zeros = zeros_;
  r.terms = terms_;
  return r;
}

}  // namespace florence2
