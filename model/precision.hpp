// Which arithmetic the parts of a model use, and what that means for each weight.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "core/dtype.hpp"
#include "core/result.hpp"
#include "kernels/packing.hpp"
#include "kernels/table.hpp"

namespace florence2 {

/// fp32: the numbers of the file, f32 arithmetic. bf16: half-precision weights, and products of bf16 by bf16 where the
/// CPU has them. int8: 8-bit weights with a scale a channel, activations quantised row by row; the two matrices that
/// bear it worst as in bf16.
enum class Precision : std::uint8_t { fp32, bf16, int8 };

std::string_view name_of(Precision precision);

struct PrecisionPlan {
  Precision vision = Precision::fp32;  ///< the vision tower and the projector
  Precision text = Precision::fp32;    ///< encoder, decoder and LM head
  /// Matrices that stay as the file has them, by Hugging Face's name without ".weight".
  std::set<std::string, std::less<>> kept = {};

  friend bool operator==(const PrecisionPlan&, const PrecisionPlan&) = default;

  /// "int8", or "vision=bf16,text=int8" where the parts differ.
  std::string text_form() const;

  /// How the matrix called `hf_name`, stored as `stored`, is kept in memory for the kernels of `table`.
  WeightType weight_type(std::string_view hf_name, DType stored, const KernelTable& table) const;
};

/// "auto", "fp32", "bf16", "int8", or parts: "vision=bf16,text=int8" (a part not named is `auto`).
/// Error argument, with what is allowed.
Result<PrecisionPlan> parse_precision(std::string_view text, const KernelTable& table);

}  // namespace florence2
