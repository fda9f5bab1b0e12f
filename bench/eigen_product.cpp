#include "bench/eigen_product.hpp"

#include <Eigen/Core>

void eigen_product(float* c, const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::Map<Matrix>(c, m, n).noalias() = Eigen::Map<const Matrix>(a, m, k) * Eigen::Map<const Matrix>(b, k, n);
}
