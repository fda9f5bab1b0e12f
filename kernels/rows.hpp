// The left-hand side of a product in the form its kernels read: what matmul and the fused blocks convert rows to.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/view.hpp"
#include "kernels/matmul.hpp"
#include "kernels/pieces.hpp"

namespace florence2 {

/// Whether rows of A are quantised or rounded before they are multiplied with `weight`.
inline bool converts_rows(const PackedMatrix& weight) { return weight.dtype() == DType::s8 || weight.paired(); }

/// Whether `linear` can give its results in bf16: they are read once more, to be rounded or quantised, and take half
/// the memory. Only without a residual.
inline bool gives_bf16(const KernelTable& table, const Linear& linear) {
  return table.results_in_bf16 && converts_rows(linear.weight) && linear.out() % table.nr == 0;
}

/// Results of a product, in one of two types.
struct Results {
  View<float> floats;
  View<std::uint16_t> bf16;

  Results(View<float> dst) : floats(dst) {}
  Results(View<std::uint16_t> dst) : bf16(dst) {}
  std::int64_t rows() const { return floats.data != nullptr ? floats.rows : bf16.rows; }
  std::int64_t cols() const { return floats.data != nullptr ? floats.cols : bf16.cols; }
};

/// A[m, k] as products with one kind of weight read it.
struct Rows {
  std::int64_t count = 0;
  View<const float> floats;            ///< with weights in f32, f16 or bf16
  View<const std::uint16_t> bf16;      ///< with paired bf16
  View<const std::uint8_t> quantized;  ///< with 8-bit weights, [terms * m, depth]
  const float* scales = nullptr;       ///< of the quantised rows, [terms * m]
  const float* zeros = nullptr;        ///< the same: what stands for 0
  int terms = 1;

  static Rows of(View<const float> a) {
    Rows rows;
    rows.count = a.rows;
    rows.floats = a;
    return rows;
  }
  static Rows of(View<const std::uint16_t> a) {
    Rows rows;
    rows.count = a.rows;
    rows.bf16 = a;
    return rows;
  }
};

/// Whether rows of `Element`, float or bf16, are what products with `weight` read.
template <typename Element>
bool reads_directly(const PackedMatrix& weight) {
  return std::is_same_v<std::remove_const_t<Element>, float> ? !converts_rows(weight) : weight.paired();
}

/// Converts rows of A for products with `weight` and all others of its type and depth. Rows may be put in any order and
/// by several threads.
class RowConverter {
 public:
  /// Takes memory for `capacity` rows. Two terms: MatmulOptions.
  RowConverter(const KernelTable& table, const PackedMatrix& weight, std::int64_t capacity, bool two_terms,
               Pieces& memory);

  /// Floats of `spare` below: a thread's own.
  static std::int64_t spare_floats(const PackedMatrix& weight) { return kTogether * padded_stride(weight.k()); }

  /// Row `row` and those after it from src.
  void put(std::int64_t row, View<const float> src, float* spare) const;
  /// From bf16, with weights whose rows are converted, one term and k whole panels.
  void put(std::int64_t row, View<const std::uint16_t> src, float* spare) const;
  /// layer_norm(src), with one term.
  void put_normed(std::int64_t row, View<const float> src, const Norm& norm, float* spare) const;
  void put_zeros(std::int64_t row, float* spare) const;

  /// The first `count` rows.
  Rows rows(std::int64_t count) const;

 private:
  static constexpr std::int64_t kTogether = 8;  // normed rows in L1

  const KernelTable& table_;
  std::int64_t k_;
  int terms_;
  View<float> floats_;
  View<std::uint16_t> bf16_;
  View<std::uint8_t> quantized_;
  float *scales_ = nullptr, *zeros_ = nullptr;
};

/// A converter for rows_of of `Element`: without memory where such rows are read directly.
template <typename Element>
RowConverter converter_of(const KernelTable& table, const PackedMatrix& weight, std::int64_t capacity, Pieces& memory) {
  return RowConverter(table, weight, reads_directly<Element>(weight) ? 0 : capacity, false, memory);
}

/// `a` as products with `weight` read it: itself, or converted.
template <typename Element>
Rows rows_of(View<Element> a, const PackedMatrix& weight, const RowConverter& converter, float* spare) {
  if (reads_directly<Element>(weight)) return Rows::of(View<const Element>(a));
  converter.put(0, View<const Element>(a), spare);
  return converter.rows(a.rows);
}

/// dst = a * linear with everything that `options` asks for, on the calling thread. `scratch` holds
/// multiply_rows_scratch floats.
void multiply_rows(const KernelTable& table, float* scratch, const Results& dst, const Rows& a, const Linear& linear,
                   const MatmulOptions& options = {});
std::int64_t multiply_rows_scratch(const KernelTable& table);

}  // namespace florence2
