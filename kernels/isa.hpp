// What this CPU can execute, and which kernel table is in use.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "kernels/table.hpp"

namespace florence2 {

/// Bits of KernelTable::features.
namespace cpu_feature {
inline constexpr std::uint32_t kAvx2 = 1u << 0;    ///< AVX2, FMA and F16C, with OS support
inline constexpr std::uint32_t kAvx512 = 1u << 1;  ///< AVX-512 F, BW, DQ, VL, with OS support
inline constexpr std::uint32_t kAvx512Vnni = 1u << 2;
inline constexpr std::uint32_t kAmx = 1u << 3;      ///< AMX tiles, bf16 and int8, AVX512-BF16, permission granted
inline constexpr std::uint32_t kAvxVnni = 1u << 4;  ///< VNNI on 256-bit registers, without AVX-512
}  // namespace cpu_feature

/// Features of this CPU; detected once.
std::uint32_t cpu_features();

/// The tables this CPU can run, slowest (scalar) first. Never empty.
std::span<const KernelTable* const> available_tables();

/// The names of every table in this binary, usable or not, slowest first.
std::span<const std::string_view> built_tables();

/// The table called `name`. Error argument when it is unknown or the CPU lacks it.
Result<const KernelTable*> table_named(std::string_view name);

/// The table to use: $FLORENCE2_ISA if set (error argument as table_named), else the fastest available.
Result<const KernelTable*> active_table();

}  // namespace florence2
