// Panels of activations, and that packing reads no element beyond its source (packing_test.cpp checks the layout
// itself).
#include "kernels/panels.hpp"

#include <catch2/catch.hpp>

#include "kernels/packing.hpp"
#include "tests/guarded_buffer.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

/// A different number for each place.
float mark(std::int64_t n, std::int64_t k) { return static_cast<float>(n * 251 + k * 7 + 1); }

/// Whether element (k, n) of B = mark(n, k) lies at [n / nr][k][n % nr], and zeros in the columns beyond n.
bool holds_marks(const float* panels, int nr, std::int64_t n, std::int64_t k) {
  const std::int64_t padded = (n + nr - 1) / nr * nr;
  for (std::int64_t i = 0; i < padded * k; ++i) {
    const std::int64_t column = i / (nr * k) * nr + i % nr, row = i / nr % k;
    if (panels[i] != (column < n ? mark(column, row) : 0.0f)) return false;
  }
  return true;
}

TEST_CASE("pack_panels and pack_panels_transposed read strided views", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  for (std::int64_t n = 1; n <= 2 * table.nr + 1; ++n) {
    for (const std::int64_t k : {1, 5, 8, 17}) {
      GuardedMatrix rows(n, k, k + 3), columns(k, n, n + 5);
      for (std::int64_t i = 0; i < n * k; ++i) {
        rows.view().row(i / k)[i % k] = columns.view().row(i % k)[i / k] = mark(i / k, i % k);
      }
      GuardedBuffer<float> plain(panel_floats(table.nr, n, k)), transposed(panel_floats(table.nr, n, k));
      pack_panels(plain.data(), rows, table.nr);
      pack_panels_transposed(transposed.data(), columns, table.nr);
      CAPTURE(n, k);
      CHECK(holds_marks(plain.data(), table.nr, n, k));
      CHECK(holds_marks(transposed.data(), table.nr, n, k));
      CHECK((plain.intact() && transposed.intact()));
    }
  }
}

TEST_CASE("multiply_panels is exact on integers", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  Random random(1);
  for (std::int64_t n = 1; n <= 2 * table.nr + 1; ++n) {
    const std::int64_t m = 1 + n % (2 * table.mr), k = 1 + n % 11;
    GuardedMatrix a(m, k, k + 1), b(k, n), dst(m, n, n + 2);
    a.fill([&] { return small_integer(random); });
    b.fill([&] { return small_integer(random); });
    GuardedBuffer<float> panels(panel_floats(table.nr, n, k));
    pack_panels_transposed(panels.data(), b, table.nr);
    multiply_panels(table, dst, a, panels.data());
    CAPTURE(m, n, k);
    check_equal(dst, reference::matrix(a) * reference::matrix(b));
    CHECK(dst.intact());
  }
}

template <typename T>
void pack_from_guarded(const KernelTable& table, DType dtype, std::int64_t n, std::int64_t k) {
  GuardedBuffer<T> source(n * k);
  std::fill_n(source.data(), n * k, T{1});
  PackedMatrix packed(table, dtype, n, k);
  packed.pack_rows(0, n, source.data());
  const auto* panels = reinterpret_cast<const T*>(packed.panel(0));
  CHECK(std::count(panels, panels + packed.panels() * table.nr * k, T{1}) == n * k);
}

TEST_CASE("pack_rows reads no element beyond its source", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(tested_tables()));
  CAPTURE(table.name);
  for (std::int64_t n = 1; n <= 2 * table.nr + 1; ++n) {
    for (const std::int64_t k : {1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 65}) {
      CAPTURE(n, k);
      pack_from_guarded<float>(table, DType::f32, n, k);
      pack_from_guarded<std::uint16_t>(table, DType::f16, n, k);
    }
  }
}

}  // namespace
}  // namespace florence2::test
