// Kernel table "avx512_vnni": "avx512" with dot products of bytes. See docs/kernels.md for the rules of this folder.
#include <immintrin.h>

#include <cstdint>

#include "kernels/table.hpp"

#define FL_SIMD_AVX512
#define FL_SIMD_VNNI

namespace florence2::avx512_vnni {
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
const KernelTable table =
    make_table<12>("avx512_vnni", cpu_feature::kAvx2 | cpu_feature::kAvx512 | cpu_feature::kAvx512Vnni);
}  // namespace florence2::avx512_vnni
