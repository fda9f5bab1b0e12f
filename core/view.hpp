// View<T>: a non-owning matrix, the argument type of every operation.
#pragma once

#include <cstdint>
#include <type_traits>

namespace florence2 {

/// rows x cols elements; the last axis is contiguous, consecutive rows lie `stride` elements apart
/// (stride >= cols). Trivially copyable; it must not outlive the memory it shows.
template <typename T>
struct View {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  View() = default;
  View(T* data_, std::int64_t rows_, std::int64_t cols_) : View(data_, rows_, cols_, cols_) {}
  View(T* data_, std::int64_t rows_, std::int64_t cols_, std::int64_t stride_)
      : data(data_), rows(rows_), cols(cols_), stride(stride_) {}

  T* row(std::int64_t r) const { return data + r * stride; }
  /// Rows [first, first + count).
  View row_range(std::int64_t first, std::int64_t count) const { return {row(first), count, cols, stride}; }
  /// Columns [first, first + count) of all rows.
  View col_range(std::int64_t first, std::int64_t count) const { return {data + first, rows, count, stride}; }

  operator View<const T>() const requires(!std::is_const_v<T>) { return {data, rows, cols, stride}; }
};

}  // namespace florence2
