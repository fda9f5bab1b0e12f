#include "kernels/isa.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#ifdef FLORENCE2_X86
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace florence2 {

namespace scalar {
extern const KernelTable table;
}
#ifdef FLORENCE2_X86
namespace avx2 {
extern const KernelTable table;
}
namespace avx2_vnni {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
namespace avx512_vnni {
extern const KernelTable table;
}
namespace avx512_bf16 {
extern const KernelTable table;
}
namespace amx {
extern const KernelTable table;
}
#endif

namespace {

#ifdef FLORENCE2_X86
struct CpuidLeaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidLeaf cpuid(unsigned leaf, unsigned subleaf) {
  CpuidLeaf r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

/// Register state the operating system saves (XCR0).
std::uint64_t enabled_state() {
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

bool has(unsigned word, unsigned bit) { return ((word >> bit) & 1u) != 0; }

/// Asks the system for the tiles' state, which a process gets on request only: 8 KiB a thread to save, from the first
/// use on.
bool tiles_permitted() {
#ifdef __linux__
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool has_amx(const CpuidLeaf& extended, std::uint64_t state) {
  const bool enabled = (state & 0x60000) == 0x60000;
  const bool tiles = has(extended.edx, 24) && has(extended.edx, 22) && has(extended.edx, 25);
  return enabled && tiles && tiles_permitted();
}

std::uint32_t detect() {
  const CpuidLeaf base = cpuid(1, 0);
  if (!has(base.ecx, 27)) return 0;  // no OSXSAVE: xgetbv is not allowed
  const std::uint64_t state = enabled_state();
  const bool ymm = (state & 0x06) == 0x06;
  const bool zmm = (state & 0xE6) == 0xE6;
  const CpuidLeaf extended = cpuid(7, 0);
  std::uint32_t features = 0;
  const bool fma = has(base.ecx, 12), f16c = has(base.ecx, 29), avx2 = has(extended.ebx, 5);
  if (ymm && fma && f16c && avx2) features |= cpu_feature::kAvx2;
  const bool avx512 = has(extended.ebx, 16) && has(extended.ebx, 17) && has(extended.ebx, 30) && has(extended.ebx, 31);
  if (zmm && avx512) features |= cpu_feature::kAvx512;
  if (zmm && avx512 && has(extended.ecx, 11)) features |= cpu_feature::kAvx512Vnni;
  const CpuidLeaf more = extended.eax >= 1 ? cpuid(7, 1) : CpuidLeaf{};
  if ((features & cpu_feature::kAvx2) != 0 && has(more.eax, 4)) features |= cpu_feature::kAvxVnni;
  if ((features & cpu_feature::kAvx512) != 0 && has(more.eax, 5)) features |= cpu_feature::kAvx512Bf16;
  const std::uint32_t below_amx = cpu_feature::kAvx512Vnni | cpu_feature::kAvx512Bf16;
  if ((features & below_amx) == below_amx && has_amx(extended, state)) features |= cpu_feature::kAmx;
  return features;
}

/// Intel's cores with AVX512-FP16 take a dot product of bf16 in the time of four multiply-adds of f32, which do the
/// work of two (measured on family 6 model 207): what they are meant to multiply bf16 with is tiles.
bool slow_bf16_dots() {
  constexpr unsigned kGenu = 0x756E6547;  // of "GenuineIntel"
  return cpuid(0, 0).ebx == kGenu && has(cpuid(7, 0).edx, 23);
}

/// Whether `table` is as fast on this CPU as those below it.
bool pays(const KernelTable* table) { return table != &avx512_bf16::table || !slow_bf16_dots(); }

constexpr std::array kBuilt = {&scalar::table,      &avx2::table,        &avx2_vnni::table, &avx512::table,
                               &avx512_vnni::table, &avx512_bf16::table, &amx::table};
#else
std::uint32_t detect() { return 0; }
bool pays(const KernelTable*) { return true; }
constexpr std::array kBuilt = {&scalar::table};
#endif

std::string join(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

}  // namespace

std::uint32_t cpu_features() {
  static const std::uint32_t features = detect();
  return features;
}

std::span<const KernelTable* const> available_tables() {
  static const std::vector<const KernelTable*> tables = [] {
    std::vector<const KernelTable*> usable;
    for (const KernelTable* table : kBuilt) {
      if ((table->features & ~cpu_features()) == 0) usable.push_back(table);
    }
    return usable;
  }();
  return tables;
}

std::span<const std::string_view> built_tables() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const KernelTable* table : kBuilt) all.emplace_back(table->name);
    return all;
  }();
  return names;
}

Result<const KernelTable*> table_named(std::string_view name) {
  std::vector<std::string_view> usable;
  for (const KernelTable* table : available_tables()) {
    if (name == table->name) return table;
    usable.emplace_back(table->name);
  }
  bool known = false;
  for (const std::string_view built : built_tables()) known = known || built == name;
  const std::string what = known ? "this CPU lacks instruction set \"" : "unknown instruction set \"";
  return Error{ErrorCode::argument, what + std::string(name) + "\"; available: " + join(usable), "FLORENCE2_ISA"};
}

Result<const KernelTable*> active_table() {
  const char* forced = std::getenv("FLORENCE2_ISA");
  if (forced != nullptr && *forced != '\0') return table_named(forced);
  const auto tables = available_tables();
  return *std::find_if(tables.rbegin(), tables.rend(), pays);  // the first one always does
}

}  // namespace florence2
