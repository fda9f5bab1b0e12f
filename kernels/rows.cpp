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

void RowConverter::put(std::int64_t row, View<const float> src, float* spare) const {
  if (quantized_.data != nullptr && terms_ == 1) {
    table_.quantize({quantized_.row(row), quantized_.stride, scales_ + row, zeros_ + row, src.data, nullptr, src.stride,
                     src.rows, k_});
    return;
  }
  for (std::int64_t i = 0; i < src.rows; ++i) {
    if (quantized_.data != nullptr) {
      const std::int64_t r = 2 * (row + i);
      table_.quantize_with_rest(quantized_.row(r), scales_ + r, zeros_ + r, spare, src.row(i), k_);
      table_.quantize({quantized_.row(r + 1), 0, scales_ + r + 1, zeros_ + r + 1, spare, nullptr, 0, 1, k_});
    } else if (bf16_.data != nullptr) {
      table_.round_row(bf16_.row(row + i), src.row(i), k_);
    } else {
      std::copy_n(src.row(i), k_, floats_.row(row + i));
    }
  }
}

void RowConverter::put(std::int64_t row, View<const std::uint16_t> src, float*) const {
  if (quantized_.data != nullptr) {
    table_.quantize({quantized_.row(row), quantized_.stride, scales_ + row, zeros_ + row, nullptr, src.data, src.stride,
                     src.rows, k_});
    return;
  }
  for (std::int64_t i = 0; i < src.rows; ++i) std::copy_n(src.row(i), k_, bf16_.row(row + i));
}

void RowConverter::put_normed(std::int64_t row, View<const float> src, const Norm& norm, float* spare) const {
  for (std::int64_t i = 0; i < src.rows; i += kTogether) {
    const View<const float> some = src.row_range(i, std::min(kTogether, src.rows - i));
    const View<float> normed = floats_.data != nullptr ? floats_.row_range(row + i, some.rows)
                                                       : View<float>(spare, some.rows, k_, padded_stride(k_));
    table_.layer_norm({normed.data, normed.stride, some.data, some.stride, some.rows, k_, norm.gamma.data(),
                       norm.beta.data(), norm.eps});
    if (floats_.data == nullptr) put(row + i, normed, nullptr);
  }
}

void RowConverter::put_zeros(std::int64_t row, float* spare) const {
  std::fill_n(spare, k_, 0.0f);
  put(row, View<const float>(spare, 1, k_), spare + k_);
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
