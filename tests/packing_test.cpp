// Packed matrices against the definition of their layout: element (k, n) lies in panel n / nr at [k][n % nr].
#include "kernels/packing.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "tests/kernel_support.hpp"
#include "tests/support.hpp"

namespace florence2 {
namespace {

KernelTable table_of(int nr) {
  KernelTable table{};
  table.nr = nr;
  return table;
}

/// Counts the elements of `packed` that differ from src[n][k], padding included.
template <typename T>
int count_wrong(const PackedMatrix& packed, const std::vector<T>& src) {
  int wrong = 0;
  for (std::int64_t p = 0; p < packed.panels(); ++p) {
    for (std::int64_t k = 0; k < packed.k(); ++k) {
      std::vector<T> row(static_cast<std::size_t>(packed.nr()));
      std::memcpy(row.data(), packed.panel(p, k), row.size() * sizeof(T));
      for (int c = 0; c < packed.nr(); ++c) {
        const std::int64_t n = p * packed.nr() + c;
        const T expected = n < packed.n() ? src[static_cast<std::size_t>(n * packed.k() + k)] : T{0};
        if (row[static_cast<std::size_t>(c)] != expected) ++wrong;
      }
    }
  }
  return wrong;
}

const std::vector<std::int64_t> kSizes = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 97, 147};

TEST_CASE("pack_rows puts every element of every shape in its place", "[kernels]") {
  const int nr = GENERATE(8, 16, 32);
  const KernelTable table = table_of(nr);
  test::Random random(2);
  for (const std::int64_t n : kSizes) {
    for (const std::int64_t k : kSizes) {
      INFO("nr " << nr << " n " << n << " k " << k);
      const std::vector<float> wide = random.floats(n * k);
      PackedMatrix packed(table, DType::f32, n, k);
      std::memset(const_cast<std::byte*>(packed.panel(0)), 0xFF, static_cast<std::size_t>(packed.bytes()));
      packed.pack_rows(0, n, wide.data());
      CHECK(count_wrong(packed, wide) == 0);

      std::vector<std::uint16_t> half(wide.size());
      for (std::uint16_t& value : half) value = static_cast<std::uint16_t>(random.bits());
      PackedMatrix narrow(table, DType::bf16, n, k);
      std::memset(const_cast<std::byte*>(narrow.panel(0)), 0xFF, static_cast<std::size_t>(narrow.bytes()));
      narrow.pack_rows(0, n, half.data());
      CHECK(count_wrong(narrow, half) == 0);
    }
  }
}

TEST_CASE("pack_rows in pieces gives the same as at once", "[kernels]") {
  const int nr = GENERATE(8, 16, 32);
  const std::int64_t n = 5 * nr + 3, k = 70;
  test::Random random(3);
  const std::vector<float> src = random.floats(n * k);
  PackedMatrix packed(table_of(nr), DType::f32, n, k);
  for (std::int64_t first = 0; first < n; first += 2 * nr) {
    packed.pack_rows(first, std::min<std::int64_t>(2 * nr, n - first), src.data() + first * k);
  }
  CHECK(count_wrong(packed, src) == 0);
}

TEST_CASE("unpack_column gives back a row of the weight, widened", "[kernels]") {
  const int nr = GENERATE(8, 16, 32);
  const std::int64_t n = 2 * nr + 5, k = 33;
  test::Random random(5);
  std::vector<float> column(static_cast<std::size_t>(k));

  const std::vector<float> wide = random.floats(n * k);
  PackedMatrix packed(table_of(nr), DType::f32, n, k);
  packed.pack_rows(0, n, wide.data());
  std::vector<std::uint16_t> half(wide.size());
  for (std::uint16_t& value : half) value = static_cast<std::uint16_t>(random.bits() & 0xBFFF);  // no NaN
  PackedMatrix f16(table_of(nr), DType::f16, n, k), bf16(table_of(nr), DType::bf16, n, k);
  f16.pack_rows(0, n, half.data());
  bf16.pack_rows(0, n, half.data());

  int wrong = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = [&](const auto& values, std::int64_t j) { return values[static_cast<std::size_t>(i * k + j)]; };
    packed.unpack_column(i, column.data());
    for (std::int64_t j = 0; j < k; ++j) wrong += column[static_cast<std::size_t>(j)] != at(wide, j);
    f16.unpack_column(i, column.data());
    for (std::int64_t j = 0; j < k; ++j) wrong += column[static_cast<std::size_t>(j)] != f16_to_f32(at(half, j));
    bf16.unpack_column(i, column.data());
    for (std::int64_t j = 0; j < k; ++j) wrong += column[static_cast<std::size_t>(j)] != bf16_to_f32(at(half, j));
  }
  CHECK(wrong == 0);
}

TEST_CASE("8-bit strips that are there already are used as they are", "[kernels]") {
  const int nr = GENERATE(8, 16, 32);
  KernelTable table = table_of(nr);
  table.depth_unit = 8;
  const std::int64_t n = nr + 3, k = 601;  // more groups than a sum's 16-bit lanes hold
  test::Random random(7);
  std::vector<std::int8_t> rows(static_cast<std::size_t>(n * k));
  for (std::int8_t& value : rows) value = static_cast<std::int8_t>(random.bits());
  std::fill_n(rows.begin(), k, std::int8_t{127});
  std::fill_n(rows.begin() + k, k, std::int8_t{-128});
  const std::vector<float> scales = random.floats(n);

  // The layout of a file: strips of 16 columns, groups of 4 k, both padded with zeros.
  const std::int64_t groups = 640 / 4, strips = (n + 31) / 32 * 2;
  auto stored = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(strips * groups * 64));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < k; ++j) {
      const std::int64_t at = ((i / 16 * groups + j / 4) * 16 + i % 16) * 4 + j % 4;
      (*stored)[static_cast<std::size_t>(at)] = static_cast<std::byte>(rows[static_cast<std::size_t>(i * k + j)]);
    }
  }
  REQUIRE(stored_strips(n) == strips);
  REQUIRE(stored_depth(k) == groups * 4);

  const bool copied = GENERATE(false, true);
  const std::shared_ptr<const std::byte> shared(stored, stored->data());
  PackedMatrix packed(table, DType::s8, n, k, copied ? nullptr : shared);
  if (copied) {
    REQUIRE(packed.strips().size() == stored->size());
    std::copy(stored->begin(), stored->end(), packed.strips().begin());
  } else {
    CHECK(packed.panel(0) == shared.get());
  }
  const std::int64_t unit = packed.pack_unit();
  packed.adopt_strips(0, std::min(unit, n), scales.data());
  if (n > unit) packed.adopt_strips(unit, n - unit, scales.data() + unit);
  std::vector<float> column(static_cast<std::size_t>(k));
  int wrong = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    packed.unpack_column(i, column.data());
    std::int32_t sum = 0;
    for (std::int64_t j = 0; j < k; ++j) {
      const std::int8_t q = rows[static_cast<std::size_t>(i * k + j)];
      sum += q;
      wrong += column[static_cast<std::size_t>(j)] != scales[static_cast<std::size_t>(i)] * static_cast<float>(q);
    }
    CHECK(*packed.sums(i) == sum);
  }
  CHECK(wrong == 0);
  for (std::int64_t i = n; i < 2 * nr; ++i) CHECK(*packed.scales(i) == 0);  // the last panel's missing columns
}

TEST_CASE("paired bf16 lies in pairs of rows, as deep as the table's unit", "[kernels]") {
  KernelTable table = table_of(16);
  table.depth_unit = 64;
  table.gemm_f32_bf16_bf16p = [](const GemmBlockBf16&) {};
  test::Random random(6);
  for (const std::int64_t n : {1, 16, 37}) {
    for (const std::int64_t k : {1, 31, 32, 33, 70}) {
      CAPTURE(n, k);
      const std::vector<float> src = random.floats(n * k);
      std::vector<std::uint16_t> bits(src.size());
      std::transform(src.begin(), src.end(), bits.begin(), f32_to_bf16);
      PackedMatrix packed(table, {DType::bf16, true}, n, k), from_floats(table, {DType::bf16, true}, n, k);
      packed.pack_rows(0, n, bits.data());
      from_floats.pack_floats(0, n, src.data());
      CHECK(packed.paired());
      CHECK(packed.depth() == (k + 31) / 32 * 32);
      REQUIRE(packed.bytes() == stored_strips(n) * 16 * packed.depth() * 2);
      CHECK(std::memcmp(packed.panel(0), from_floats.panel(0), static_cast<std::size_t>(packed.bytes())) == 0);

      const auto* const elements = reinterpret_cast<const std::uint16_t*>(packed.panel(0));
      int wrong = 0;
      for (std::int64_t i = 0; i < packed.bytes() / 2; ++i) {
        const std::int64_t in_panel = i % (16 * packed.depth());
        const std::int64_t row = in_panel / 32 * 2 + i % 2, column = i / (16 * packed.depth()) * 16 + in_panel % 32 / 2;
        const bool inside = row < k && column < n;
        wrong += elements[i] != (inside ? bits[static_cast<std::size_t>(column * k + row)] : 0);
      }
      CHECK(wrong == 0);
      std::vector<float> unpacked(static_cast<std::size_t>(k));
      packed.unpack_column(n - 1, unpacked.data());
      for (std::int64_t i = 0; i < k; ++i) {
        CHECK(unpacked[static_cast<std::size_t>(i)] == bf16_to_f32(bits[static_cast<std::size_t>((n - 1) * k + i)]));
      }
    }
  }
}

TEST_CASE("rows of another type are packed as what they are when widened", "[kernels]") {
  const KernelTable& table = *GENERATE(from_range(test::tables_8bit()));
  const DType stored = GENERATE(DType::f16, DType::bf16);
  CAPTURE(table.name, name_of(stored));
  constexpr std::int64_t n = 37, k = 70;
  test::Random random(7);
  std::vector<std::uint16_t> halves(n * k);
  std::vector<float> floats(halves.size());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const float value = random.uniform() * (i % 5 == 0 ? 1e-6f : 1.0f);  // some are subnormal in f16
    halves[i] = stored == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
    floats[i] = stored == DType::f16 ? f16_to_f32(halves[i]) : bf16_to_f32(halves[i]);
  }
  std::vector<WeightType> types{DType::f32, DType::bf16, DType::s8};
  if (table.gemm_f32_bf16_bf16p != nullptr) types.emplace_back(DType::bf16, true);
  for (const WeightType type : types) {
    CAPTURE(name_of(type.dtype), type.paired);
    PackedMatrix expected(table, type, n, k), packed(table, type, n, k);
    expected.pack_floats(0, n, floats.data());
    packed.pack(0, 32, stored, halves.data());  // in two pieces
    packed.pack(32, n - 32, stored, halves.data() + 32 * k);
    std::vector<float> expected_column(k), column(k);
    for (std::int64_t i = 0; i < n; ++i) {
      expected.unpack_column(i, expected_column.data());
      packed.unpack_column(i, column.data());
      CHECK(column == expected_column);
    }
  }
}

TEST_CASE("A packed matrix knows its shape", "[kernels]") {
  CHECK(PackedMatrix().empty());
  const PackedMatrix packed(table_of(16), DType::f16, 17, 3);
  CHECK(packed.n() == 17);
  CHECK(packed.k() == 3);
  CHECK(packed.nr() == 16);
  CHECK(packed.panels() == 2);
  CHECK(packed.bytes() == 2 * 16 * 3 * 2);
  CHECK(packed.panel(1, 2) - packed.panel(0) == (16 * 3 + 16 * 2) * 2);
  CHECK(packed.dtype() == DType::f16);
}

}  // namespace
}  // namespace florence2
