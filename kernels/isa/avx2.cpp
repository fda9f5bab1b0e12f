// Kernel table "avx2": 8 floats a register. See docs/kernels.md for the rules of this folder.
#include <immintrin.h>

#include <cstdint>

#include "kernels/table.hpp"

#define FL_SIMD_AVX2

namespace florence2::avx2 {
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
const KernelTable table = make_table<6>("avx2", cpu_feature::kAvx2);
}  // namespace florence2::avx2
