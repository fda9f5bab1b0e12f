// What this CPU can execute, and which kernel table is in use.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "kernels/table.hpp"

namespace florence2 {

/// Features of this CPU (cpu_feature); detected once.
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
