// KernelTable: everything that one instruction set provides. Plain data and function pointers, so that the ISA
// files (kernels/isa) need nothing but this header. No inline function may be added here (docs/kernels.md).
#pragma once

#include <cstdint>

namespace florence2 {

/// 8-bit integers and paired bf16 lie in strips of 16 columns, 64 bytes for each group of 4 or 2 k: what a vector
/// register, two of them or a row of a tile hold. They are the same for every table, so that a file can hold them.
constexpr int kStripColumns = 16;
constexpr std::int64_t kStripGroupBytes = 64;

/// Element type of the packed right-hand side of a matrix product, as the kernels see it.
enum class PanelType : std::uint8_t { f32, f16, bf16 };

/// What happens to a finished tile of C, in this order: + bias[n], GELU, + residual[m, n].
struct GemmEpilogue {
  const float* bias;             // [n], or nullptr
  bool gelu;                     // exact (erf) GELU
  const float* residual;         // [m, n], or nullptr
  std::int64_t residual_stride;  // elements between rows of residual
};

/// One block of C[m, n] = start + A[m, k] * B[k, n] for a single packed panel of B (n <= nr).
/// All kernels add the products of one element in the order of k, one fused multiply-add each, to zero or to what
/// an earlier block left in `start`: the result does not depend on how a product is cut into blocks.
struct GemmBlock {
  float* c;
  std::int64_t c_stride;
  const float* a;
  std::int64_t a_stride;
  const void* panel;  // [k][nr], element type by entry; columns from n on are zero
  float* widened;     // [k][nr]: receives a panel of half precision in f32 where m > mr; else unused
  std::int64_t m, n, k;
  const float* start;  // [m, n] with start_stride, or nullptr: zero
  std::int64_t start_stride;
  const GemmEpilogue* epilogue;  // nullptr: store plainly
  const void* next;  // memory that the next block will read: it is fetched into L2 meanwhile; may be nullptr
  std::int64_t next_bytes;
};

/// The most k of an 8-bit product: 255 * 128 * k stays within 32 bits.
constexpr std::int64_t kMostDepth8 = 65536;

/// One block of C[m, n] = row_scale[m] * column_scale[n] * sum over k of (q[m, k] - row_zero[m]) * B[k, n] for 8-bit
/// weights, panel after panel. The sum is exact, so that every table gives the same one; k <= kMostDepth8.
/// With two terms, each row of C is the sum of those of two rows of q that lie next to each other: the row and what
/// quantising it has left.
struct GemmBlock8 {
  float* c;               // or nullptr
  std::uint16_t* c_bf16;  // instead, where results_in_bf16: C rounded; n is whole panels, there is no residual
  std::int64_t c_stride;
  const std::uint8_t* a;  // q: rows that quantize made
  std::int64_t a_stride;
  int terms;  // 1 or 2: rows of q for a row of C
  const float* row_scale;
  const float* row_zero;
  const std::int8_t* strips;  // [k / 4][16][4] each, strip_bytes apart
  std::int64_t strip_bytes;
  std::int64_t first;              // the strips' column, a multiple of nr, that is column 0 of C
  const float* column_scale;       // [n, and what is left of the last panel]
  const std::int32_t* column_sum;  // the same: sum over k of B
  std::int64_t m, n, k;            // m: rows of q; k is a multiple of depth_unit
  GemmEpilogue epilogue;
};

/// One block of C[m, n] = A[m, k] * B[k, n] for bf16 operands, panel after panel. The order in which an element's
/// products are added depends on the table alone: never on m, n, or where a block begins. Subnormal operands and sums
/// count as zero.
struct GemmBlockBf16 {
  float* c;  // c, c_bf16: as in GemmBlock8
  std::uint16_t* c_bf16;
  std::int64_t c_stride;
  const std::uint16_t* a;  // rows that round_row made
  std::int64_t a_stride;
  const std::uint16_t* panels;  // groups [16][2], of 16 columns each
  std::int64_t panel_bytes;     // between two panels
  std::int64_t group_bytes;     // between two groups of k
  std::int64_t strip_bytes;     // between the groups of a panel's first 16 columns and of the others
  std::int64_t m, n, k;         // 2 k bytes are a multiple of depth_unit
  GemmEpilogue epilogue;
};

/// One block of C[m, n] = row_scale[m] * column_scale[n] * sum over k of A[m, k] * B[k, n] for 16-bit integers and a
/// single packed panel of B. The sum is exact: the caller keeps all sums of products within 32 bits.
struct GemmBlock16 {
  float* c;
  std::int64_t c_stride;
  const std::int16_t* a;
  std::int64_t a_stride;
  const float* row_scale;
  const std::int16_t* panel;  // [k / 2][nr][2]
  const float* column_scale;  // [nr]
  std::int64_t m, n, k;       // k is even
};

/// dst = (src - mean) / sqrt(variance + eps) * gamma + beta, row by row over n elements, two passes; dst may be src.
struct NormBlock {
  float* dst;
  std::int64_t dst_stride;
  const float* src;
  std::int64_t src_stride;
  std::int64_t rows, n;
  const float *gamma, *beta;
  float eps;
};

/// Rows in 8 bits: dst[i] = round(src[i] / scale) + zero in [0, top_level], where scale = (max - min) / top_level of
/// the row and 0, and zeros from k up to a multiple of depth_unit. The scale is NaN where src is not finite, and no
/// positive one is below 2^-126.
struct QuantizeBlock {
  std::uint8_t* dst;
  std::int64_t dst_stride;
  float *scale, *zero;            // [rows]
  const float* src;               // or nullptr
  const std::uint16_t* src_bf16;  // instead, where results_in_bf16: k is whole panels
  std::int64_t src_stride;
  std::int64_t rows, k;
};

/// Rows of scores that become softmax weights in bf16, before they are divided by their sum:
/// dst[rows, n] = exp(scale * (x[rows, n] - max of the row)), and zeros as round_row writes them; inverse[rows] = 1 /
/// sum.
struct SoftmaxBlock {
  std::uint16_t* dst;
  std::int64_t dst_stride;
  float* inverse;
  const float* x;
  std::int64_t x_stride;
  std::int64_t rows, n;
  float scale;
};

/// Rows of a decoder's KV cache in the order of the steps: that of step t begins at first + row[t] * stride.
struct CachedRows {
  const float* first;
  std::int64_t stride;
  const std::int32_t* row;
  std::int64_t steps;
};

/// Bits of KernelTable::features.
namespace cpu_feature {
constexpr std::uint32_t kAvx2 = 1u << 0;    ///< AVX2, FMA and F16C, with OS support
constexpr std::uint32_t kAvx512 = 1u << 1;  ///< AVX-512 F, BW, DQ, VL, with OS support
constexpr std::uint32_t kAvx512Vnni = 1u << 2;
constexpr std::uint32_t kAmx = 1u << 3;      ///< AMX tiles, bf16 and int8, permission granted
constexpr std::uint32_t kAvxVnni = 1u << 4;  ///< VNNI on 256-bit registers, without AVX-512
constexpr std::uint32_t kAvx512Bf16 = 1u << 5;
}  // namespace cpu_feature

struct KernelTable {
  const char* name;        // "scalar", "avx2", …
  std::uint32_t features;  // CPU features it needs: cpu_feature
  int mr;                  // rows of the register tile
  int nr;                  // columns of a packed panel
  // 8-bit products. k is padded with zeros to a multiple of depth_unit. Activations are 0 to top_level. Where sums of
  // four products must fit 16 bits, quad_limit bounds the positive and the negative weights of each quad
  // (kernels/packing.hpp): top_level * quad_limit < 2^15; elsewhere it is 0.
  // tile_rows: rows that 8-bit and bf16 products take at a time; blocks are cut into whole ones.
  int depth_unit;
  int tile_rows;
  int top_level;
  int quad_limit;
  bool results_in_bf16;   // 8-bit and bf16 products can round their results to bf16
  bool bf16_beats_fixed;  // bf16 products are quicker than those of 16-bit integers, which are more exact
  // --- matrix products ---------------------------------------------------------------------------------
  void (*gemm_f32_f32_f32p)(const GemmBlock& block);
  // The same with half-precision panels, which are widened, exactly, as they are multiplied.
  void (*gemm_f32_f32_f16p)(const GemmBlock& block);
  void (*gemm_f32_f32_bf16p)(const GemmBlock& block);
  void (*quantize)(const QuantizeBlock& block);
  // One row, of which rest[i] = src[i] - scale * (dst[i] - zero) is left. The scale is rounded up to 16 bits, so that
  // the products are exact and all tables leave the same rest.
  void (*quantize_with_rest)(std::uint8_t* dst, float* scale, float* zero, float* rest, const float* src,
                             std::int64_t k);
  // dst[i] = round(src[i] / scale), |dst| <= 127, with the smallest scale that quad_limit allows, and zeros from k up
  // to a multiple of depth_unit; their sum. The scale is NaN where src is not finite, and as in quantize.
  void (*quantize_column)(std::int8_t* dst, float* scale, std::int32_t* sum, const float* src, std::int64_t k);
  void (*gemm_f32_u8_s8p)(const GemmBlock8& block);
  // 16-bit fixed point. Largest |x[i]|, NaN where any is not finite. dst[i] = round(factor * src[i]), within 16 bits,
  // and zeros from n up to a multiple of depth_unit bytes.
  float (*magnitude)(const float* x, std::int64_t n);
  void (*fix_row)(std::int16_t* dst, const float* src, std::int64_t n, float factor);
  void (*gemm_f32_s16_s16p)(const GemmBlock16& block);
  // bf16 by bf16; both are nullptr where the instruction set cannot. dst[i] = src[i] to the nearest even (subnormal
  // ones to zero), and zeros from k up to a multiple of depth_unit bytes.
  void (*round_row)(std::uint16_t* dst, const float* src, std::int64_t k);
  void (*gemm_f32_bf16_bf16p)(const GemmBlockBf16& block);
  // dst[i] = src[i] widened; exact.
  void (*widen_f16)(float* dst, const std::uint16_t* src, std::int64_t n);
  void (*widen_bf16)(float* dst, const std::uint16_t* src, std::int64_t n);
  // --- rows --------------------------------------------------------------------------------------------
  void (*layer_norm)(const NormBlock& block);
  // x = softmax(scale * x) over n elements, in place.
  void (*softmax)(float* x, std::int64_t n, float scale);
  // The same rounded to fixed point: dst[i] = round(32767 p[i]), and zeros as in fix_row; x is overwritten. Returns
  // what one unit is worth: 1 / 32767, or NaN where p is not finite.
  float (*softmax_fixed)(std::int16_t* dst, float* x, std::int64_t n, float scale);
  // What puts bf16 into pairs; nullptr where round_row is. dst[2 i] = low[i], dst[2 i + 1] = high[i] for i < n.
  void (*interleave)(std::uint16_t* dst, const std::uint16_t* low, const std::uint16_t* high, std::int64_t n);
  // dst[j][i] = src[i][j] for i < rows, j < cols.
  void (*transpose)(std::uint32_t* dst, std::int64_t dst_stride, const std::uint32_t* src, std::int64_t src_stride,
                    std::int64_t rows, std::int64_t cols);
  // Softmax in bf16. nullptr where round_row is.
  void (*softmax_bf16)(const SoftmaxBlock& block);
  // x[i] *= factor.
  void (*scale)(float* x, std::int64_t n, float factor);
  // Largest element; the sum of exp(x[i] - max).
  float (*max)(const float* x, std::int64_t n);
  float (*sum_exp)(const float* x, std::int64_t n, float max);
  void (*gelu)(float* dst, const float* src, std::int64_t n);
  // dst[i] += src[i].
  void (*add)(float* dst, const float* src, std::int64_t n);
  // dst[t] = sum over i < n of x[i] * element i of step t's row.
  void (*dot_rows)(float* dst, const float* x, const CachedRows& rows, std::int64_t n);
  // dst[i] = sum over t of weights[t] * element i of step t's row, for i < n.
  void (*sum_rows)(float* dst, const float* weights, const CachedRows& rows, std::int64_t n);
  // --- convolution -------------------------------------------------------------------------------------
  // One output pixel row of a depthwise 3x3 convolution, stride 1, zero padding 1, channels last:
  // dst[x, c] = residual + bias[c] + sum over taps; residual is the centre pixel itself.
  // rows: the image rows above, at and below (nullptr outside the image), each [width, channels].
  // weight: [9][channels].
  void (*depthwise3x3_row)(float* dst, const float* const rows[3], const float* weight, const float* bias,
                           std::int64_t width, std::int64_t channels);
};

}  // namespace florence2
