// The yardstick: Eigen's matrix product on one thread.
#pragma once

#include <cstdint>

/// c[m, n] = a[m, k] * b[k, n], all row-major and dense.
void eigen_product(float* c, const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k);
