// Kernel table "scalar": the portable kernels, built for the baseline. See docs/kernels.md for the rules of this
// folder.
#include <cstdint>

#include "kernels/table.hpp"

#define FL_SIMD_SCALAR

namespace florence2::scalar {
namespace {
#include "kernels/simd/vec-inl.hpp"
//
#include "kernels/simd/math-inl.hpp"
//
#include "kernels/simd/gemm-inl.hpp"
//
#include "kernels/simd/dot8-inl.hpp"
//
#include "kernels/simd/quantize-inl.hpp"
//
#include "kernels/simd/panel-inl.hpp"
//
#include "kernels/simd/gemm8-inl.hpp"
//
#include "kernels/simd/gemm16-inl.hpp"
//
#include "kernels/simd/rowwise-inl.hpp"
//
#include "kernels/simd/depthwise-inl.hpp"
//
#include "kernels/simd/table-inl.hpp"
}  // namespace

extern const KernelTable table;
const KernelTable table = make_table<4>("scalar", 0);
}  // namespace florence2::scalar
