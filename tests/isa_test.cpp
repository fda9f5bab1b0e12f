// The choice of a kernel table: by the CPU, by name, by $FLORENCE2_ISA.
#include "kernels/isa.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <string>

#include "kernels/product.hpp"
#include "tests/kernel_support.hpp"

namespace florence2::test {
namespace {

/// Sets $FLORENCE2_ISA for a scope.
class ForcedIsa {
 public:
  explicit ForcedIsa(const std::string& name) {
    if (const char* value = std::getenv(kVariable)) before_ = value;
    setenv(kVariable, name.c_str(), 1);
  }
  ~ForcedIsa() {
    if (before_.empty()) {
      unsetenv(kVariable);
    } else {
      setenv(kVariable, before_.c_str(), 1);
    }
  }

 private:
  static constexpr const char* kVariable = "FLORENCE2_ISA";
  std::string before_;
};

std::string available_names() {
  std::string names;
  for (const KernelTable* table : available_tables()) names += (names.empty() ? "" : ", ") + std::string(table->name);
  return names;
}

bool available(std::string_view name) {
  const auto tables = available_tables();
  return std::any_of(tables.begin(), tables.end(), [&](const KernelTable* table) { return name == table->name; });
}

TEST_CASE("the forced table is the one in use", "[kernels]") {
  for (const KernelTable* table : available_tables()) {
    const ForcedIsa forced(table->name);
    const auto active = active_table();
    REQUIRE(active);
    CHECK(*active == table);
  }
}

/// What Linux says of the first CPU, or nothing.
std::string cpu_description() {
  std::ifstream file("/proc/cpuinfo");
  std::string text, line;
  while (std::getline(file, line) && !line.empty()) text += line + " ";
  return text;
}

TEST_CASE("without a forced table the fastest is in use", "[kernels]") {
  const ForcedIsa forced("");
  const auto active = active_table();
  REQUIRE(active);
  const std::string cpu = cpu_description();
  const bool slow_bf16 =
      cpu.find("GenuineIntel") != std::string::npos && cpu.find(" avx512_fp16 ") != std::string::npos;
  std::string_view fastest = available_tables().back()->name;
  if (fastest == "avx512_bf16" && slow_bf16) fastest = "avx512_vnni";
  CHECK((*active)->name == fastest);
}

TEST_CASE("unknown and absent tables are errors", "[kernels]") {
  for (const std::string name : {"avx1024", "AVX2", "scalar ", "avx"}) {
    const ForcedIsa forced(name);
    const auto active = active_table();
    REQUIRE_FALSE(active);
    CHECK(active.error().code == ErrorCode::argument);
    CHECK(active.error().text() ==
          "FLORENCE2_ISA: unknown instruction set \"" + name + "\"; available: " + available_names());
  }
  for (const std::string_view name : built_tables()) {
    if (available(name)) continue;
    const auto table = table_named(name);
    REQUIRE_FALSE(table);
    CHECK(table.error().code == ErrorCode::argument);
    CHECK(table.error().text() == "FLORENCE2_ISA: this CPU lacks instruction set \"" + std::string(name) +
                                      "\"; available: " + available_names());
  }
}

TEST_CASE("the scalar table comes first and needs nothing", "[kernels]") {
  REQUIRE_FALSE(available_tables().empty());
  CHECK(std::string(available_tables().front()->name) == "scalar");
  CHECK(available_tables().front()->features == 0);
  CHECK(built_tables().front() == "scalar");
}

TEST_CASE("tables are complete and have the tile the blocking expects", "[kernels]") {
  for (const KernelTable* t : tables_8bit()) {
    CAPTURE(t->name);
    CHECK((t->quantize && t->quantize_with_rest && t->quantize_column && t->gemm_f32_u8_s8p && t->depth_unit % 8 == 0));
    CHECK((t->top_level > 0 && t->top_level <= 255));
    CHECK(t->top_level * t->quad_limit < 1 << 15);  // or sums of four products would not fit 16 bits
    CHECK((t->gemm_f32_f32_f32p && t->gemm_f32_f32_f16p && t->gemm_f32_f32_bf16p && t->widen_f16 && t->widen_bf16));
    CHECK((t->layer_norm && t->softmax && t->max && t->sum_exp && t->gelu && t->add && t->dot_rows && t->sum_rows));
    CHECK(t->depthwise3x3_row != nullptr);
    CHECK(t->nr % 8 == 0);           // packing copies 8 elements at a time
    CHECK(kBlockRows % t->mr == 0);  // a block of rows is whole tiles
    CHECK(kBlockRows % t->tile_rows == 0);
    CHECK((t->round_row == nullptr) == (t->gemm_f32_bf16_bf16p == nullptr));
    CHECK((t->round_row == nullptr) == (t->softmax_bf16 == nullptr));
    CHECK((!t->results_in_bf16 || t->gemm_f32_bf16_bf16p != nullptr));
    CHECK((t->features & ~cpu_features()) == 0);
  }
}

#if defined(__x86_64__)
TEST_CASE("detection agrees with the compiler's", "[kernels]") {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  CHECK(((cpu_features() & cpu_feature::kAvx2) != 0) == avx2);
  CHECK(((cpu_features() & cpu_feature::kAvx512) != 0) == avx512);
}
#endif

TEST_CASE("the emulated avx512 table is tested wherever it can run", "[kernels]") {
  const auto& tables = tested_tables();
  const bool emulated = std::any_of(tables.begin(), tables.end(), [](const KernelTable* table) {
    return std::string(table->name) == "avx512-emulated";
  });
  if (!emulated) WARN("avx512 is not emulated here: no SIMDe at build time, or no AVX2");
  CHECK(tables.size() == available_tables().size() + (emulated ? 1 : 0));
}

}  // namespace
}  // namespace florence2::test
