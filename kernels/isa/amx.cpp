// Kernel table "amx": "avx512_vnni" with products of bytes and of bf16 by tiles. See docs/kernels.md for the rules of
// this folder.
#include <immintrin.h>

#include <cstdint>

#include "kernels/table.hpp"

#define FL_SIMD_AVX512
#define FL_SIMD_VNNI
#define FL_SIMD_AMX

namespace florence2::amx {
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
//
#include "kernels/simd/round-inl.hpp"
//
#include "kernels/simd/amx-inl.hpp"
}  // namespace

extern const KernelTable table;
const KernelTable table =
    with_tiles(make_table<12>("amx", cpu_feature::kAvx2 | cpu_feature::kAvx512 | cpu_feature::kAvx512Vnni |
                                         cpu_feature::kAvx512Bf16 | cpu_feature::kAmx));
}  // namespace florence2::amx
