// Stands before the compiler's <immintrin.h> on the include path of tests/emulated/avx512.cpp: AVX-512 by SIMDe on
// AVX2. SIMDe 0.7 covers most of what the kernels use; the rest is written here from the operation's definition in
// Intel's Intrinsics Guide, lane by lane.
#pragma once

#include_next <immintrin.h>

#include <cmath>
#include <cstdint>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include "tiles.hpp"

namespace florence2::emulated {

constexpr int kLanes512 = 16;

constexpr int kBytes512 = 64;

union Lanes512 {
  __m512 ps;
  __m512i epi;
  __m256 half_ps[2];
  __m256i half_epi[2];
  float f32[kLanes512];
  std::int32_t i32[kLanes512];
  std::int16_t i16[2 * kLanes512];
  std::uint8_t u8[kBytes512];
  std::int8_t i8[kBytes512];
};

/// Lanes whose mask bit is clear are zero, and their memory is not touched.
[[gnu::noinline]] static __m512 maskz_loadu_ps(__mmask16 mask, const void* memory) {
  Lanes512 r = {};
  for (int i = 0; i < kLanes512; ++i) {
    if ((mask >> i & 1) != 0) r.f32[i] = static_cast<const float*>(memory)[i];
  }
  return r.ps;
}

[[gnu::noinline]] static void mask_storeu_ps(void* memory, __mmask16 mask, __m512 a) {
  const Lanes512 lanes = {a};
  for (int i = 0; i < kLanes512; ++i) {
    if ((mask >> i & 1) != 0) static_cast<float*>(memory)[i] = lanes.f32[i];
  }
}

inline __m512 cvtph_ps(__m256i a) {
  Lanes512 r;
  r.half_ps[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(a));
  r.half_ps[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1));
  return r.ps;
}

inline __m512i cvtepu16_epi32(__m256i a) {
  Lanes512 r;
  r.half_epi[0] = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(a));
  r.half_epi[1] = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1));
  return r.epi;
}

inline __m512i cvtps_epi32(__m512 a) {
  Lanes512 r = {a};
  for (int i = 0; i < 2; ++i) r.half_epi[i] = _mm256_cvtps_epi32(r.half_ps[i]);
  return r.epi;
}

inline __m512i madd_epi16(__m512i a, __m512i b) {
  Lanes512 r, x, y;
  x.epi = a, y.epi = b;
  for (int i = 0; i < 2; ++i) r.half_epi[i] = _mm256_madd_epi16(x.half_epi[i], y.half_epi[i]);
  return r.epi;
}

inline __m512 cvtepi32_ps(__m512i a) {
  Lanes512 r, x;
  x.epi = a;
  for (int i = 0; i < 2; ++i) r.half_ps[i] = _mm256_cvtepi32_ps(x.half_epi[i]);
  return r.ps;
}

/// The low 8 bits of each lane.
inline __m128i cvtepi32_epi8(__m512i a) {
  Lanes512 x;
  x.epi = a;
  alignas(16) std::int8_t r[kLanes512];
  for (int i = 0; i < kLanes512; ++i) r[i] = static_cast<std::int8_t>(x.i32[i]);
  return _mm_load_si128(reinterpret_cast<const __m128i*>(r));
}

/// The low 16 bits of each lane.
inline __m256i cvtepi32_epi16(__m512i a) {
  Lanes512 x;
  x.epi = a;
  alignas(32) std::int16_t r[kLanes512];
  for (int i = 0; i < kLanes512; ++i) r[i] = static_cast<std::int16_t>(x.i32[i]);
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(r));
}

inline __m512i maddubs_epi16(__m512i a, __m512i b) {
  Lanes512 r, x, y;
  x.epi = a, y.epi = b;
  for (int i = 0; i < 2; ++i) r.half_epi[i] = _mm256_maddubs_epi16(x.half_epi[i], y.half_epi[i]);
  return r.epi;
}

/// Within each four lanes, lane i of the result is lane control[2 i + 1 : 2 i].
inline __m512 permute_ps(__m512 a, int control) {
  Lanes512 r, x = {a};
  for (int i = 0; i < kLanes512; ++i) r.f32[i] = x.f32[i / 4 * 4 + (control >> (i % 4 * 2) & 3)];
  return r.ps;
}

/// Quarter i of the result is quarter control[2 i + 1 : 2 i] of a for i < 2, of b beyond.
inline __m512 shuffle_f32x4(__m512 a, __m512 b, int control) {
  Lanes512 r, x = {a}, y = {b};
  for (int i = 0; i < kLanes512; ++i) {
    const int from = (control >> (i / 4 * 2) & 3) * 4 + i % 4;
    r.f32[i] = i < kLanes512 / 2 ? x.f32[from] : y.f32[from];
  }
  return r.ps;
}

/// sum[i] + the four products of unsigned bytes of a and signed bytes of b in lane i.
[[gnu::noinline]] static __m512i dpbusd_epi32(__m512i sum, __m512i a, __m512i b) {
  Lanes512 r, x, y;
  r.epi = sum, x.epi = a, y.epi = b;
  for (int i = 0; i < kBytes512; ++i) r.i32[i / 4] += x.u8[i] * y.i8[i];
  return r.epi;
}

[[gnu::noinline]] static __m256i dpbusd_avx_epi32(__m256i sum, __m256i a, __m256i b) {
  Lanes512 r = {}, x = {}, y = {};
  r.half_epi[0] = sum, x.half_epi[0] = a, y.half_epi[0] = b;
  for (int i = 0; i < kBytes512 / 2; ++i) r.i32[i / 4] += x.u8[i] * y.i8[i];
  return r.half_epi[0];
}

/// sum[i] + the two products of 16-bit integers in lane i.
[[gnu::noinline]] static __m512i dpwssd_epi32(__m512i sum, __m512i a, __m512i b) {
  Lanes512 r, x, y;
  r.epi = sum, x.epi = a, y.epi = b;
  for (int i = 0; i < 2 * kLanes512; ++i) r.i32[i / 2] += x.i16[i] * y.i16[i];
  return r.epi;
}

[[gnu::noinline]] static __m256i dpwssd_avx_epi32(__m256i sum, __m256i a, __m256i b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

/// bf16 to the nearest even; subnormal numbers become zero, NaN stays NaN.
[[gnu::noinline]] static __m256i cvtneps_pbh(__m512 a) {
  Lanes512 x;
  x.ps = a;
  alignas(32) std::uint16_t r[kLanes512];
  for (int i = 0; i < kLanes512; ++i) {
    const auto bits = static_cast<std::uint32_t>(x.i32[i]), magnitude = bits & 0x7FFFFFFFu;
    const std::uint32_t rounded = bits + 0x7FFFu + (bits >> 16 & 1u);
    const std::uint32_t kept = magnitude > 0x7F800000u   ? bits | 0x400000u
                               : magnitude < 0x00800000u ? bits & 0x80000000u
                                                         : rounded;
    r[i] = static_cast<std::uint16_t>(kept >> 16);
  }
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(r));
}

/// The lanes of `low`, then those of `high`, as cvtneps_pbh rounds them.
[[gnu::noinline]] static __m512i cvtne2ps_pbh(__m512 high, __m512 low) {
  Lanes512 r;
  r.half_epi[0] = cvtneps_pbh(low);
  r.half_epi[1] = cvtneps_pbh(high);
  return r.epi;
}

/// a - floor(a); 0 for an infinite a.
[[gnu::noinline]] static __m512 fraction(__m512 a) {
  Lanes512 r, x = {a};
  for (int i = 0; i < kLanes512; ++i) r.f32[i] = std::isinf(x.f32[i]) ? 0 : x.f32[i] - std::floor(x.f32[i]);
  return r.ps;
}

/// a * 2^floor(b).
[[gnu::noinline]] static __m512 scalef_ps(__m512 a, __m512 b) {
  Lanes512 r, x = {a}, y = {b};
  for (int i = 0; i < kLanes512; ++i) r.f32[i] = x.f32[i] * std::exp2(std::floor(y.f32[i]));
  return r.ps;
}

/// sum[i] + the two products of bf16 in lane i, the second first. Subnormal numbers are zero, whatever the thread's
/// settings.
[[gnu::noinline]] static __m512 dpbf16_ps(__m512 sum, __m512bh a, __m512bh b) {
  Lanes512 r = {sum};
  const auto x = __builtin_bit_cast(Lanes512, a), y = __builtin_bit_cast(Lanes512, b);
  const unsigned before = _mm_getcsr();
  _mm_setcsr(kFlushAndMask);
  for (const int k : {1, 0}) {
    for (int i = 0; i < 2; ++i) {
      r.half_ps[i] = _mm256_fmadd_ps(widen_pairs(x.u8 + 32 * i, k), widen_pairs(y.u8 + 32 * i, k), r.half_ps[i]);
    }
  }
  _mm_setcsr(before);
  return r.ps;
}

/// The pairwise reductions of the guide: halves are combined until one lane is left.
template <typename Op>
inline float reduce(__m512 a, const Op& op) {
  Lanes512 r = {a};
  for (int width = kLanes512 / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) r.f32[i] = op(r.f32[i], r.f32[i + width]);
  }
  return r.f32[0];
}

[[gnu::noinline]] static float reduce_add_ps(__m512 a) {
  return reduce(a, [](float x, float y) { return x + y; });
}

[[gnu::noinline]] static std::int32_t reduce_add_epi32(__m512i a) {
  Lanes512 x;
  x.epi = a;
  std::int32_t sum = 0;
  for (const std::int32_t lane : x.i32) sum += lane;
  return sum;
}

[[gnu::noinline]] static float reduce_max_ps(__m512 a) {
  return reduce(a, [](float x, float y) { return x > y ? x : y; });
}

}  // namespace florence2::emulated

#undef _mm512_permute_ps
#undef _mm512_shuffle_f32x4
#define _mm512_permute_ps(a, control) ::florence2::emulated::permute_ps(a, control)
#define _mm512_shuffle_f32x4(a, b, control) ::florence2::emulated::shuffle_f32x4(a, b, control)
#undef _mm512_madd_epi16
#undef _mm512_dpbusd_epi32
#undef _mm512_cvtneps_pbh
#undef _mm512_dpbf16_ps
#define _mm512_dpbf16_ps(sum, a, b) ::florence2::emulated::dpbf16_ps(sum, a, b)
#define _mm512_cvtneps_pbh(a) ::florence2::emulated::cvtneps_pbh(a)
#undef _mm512_cvtne2ps_pbh
#define _mm512_cvtne2ps_pbh(high, low) ::florence2::emulated::cvtne2ps_pbh(high, low)
#undef _mm512_reduce_ps
#define _mm512_reduce_ps(a, toward_negative) ::florence2::emulated::fraction(a)
#undef _mm512_scalef_ps
#define _mm512_scalef_ps(a, b) ::florence2::emulated::scalef_ps(a, b)
#define _mm512_madd_epi16(a, b) ::florence2::emulated::madd_epi16(a, b)
#undef _mm512_maddubs_epi16
#define _mm512_maddubs_epi16(a, b) ::florence2::emulated::maddubs_epi16(a, b)
#define _mm512_cvtepi32_ps(a) ::florence2::emulated::cvtepi32_ps(a)
#define _mm512_cvtepi32_epi8(a) ::florence2::emulated::cvtepi32_epi8(a)
#define _mm512_cvtepi32_epi16(a) ::florence2::emulated::cvtepi32_epi16(a)
#undef _mm512_dpwssd_epi32
#define _mm512_dpwssd_epi32(sum, a, b) ::florence2::emulated::dpwssd_epi32(sum, a, b)
#define _mm256_dpwssd_avx_epi32(sum, a, b) ::florence2::emulated::dpwssd_avx_epi32(sum, a, b)
#define _mm512_dpbusd_epi32(sum, a, b) ::florence2::emulated::dpbusd_epi32(sum, a, b)
#define _mm256_dpbusd_avx_epi32(sum, a, b) ::florence2::emulated::dpbusd_avx_epi32(sum, a, b)
#define _mm512_maskz_loadu_ps(mask, memory) ::florence2::emulated::maskz_loadu_ps(mask, memory)
#define _mm512_mask_storeu_ps(memory, mask, a) ::florence2::emulated::mask_storeu_ps(memory, mask, a)
#define _mm512_cvtph_ps(a) ::florence2::emulated::cvtph_ps(a)
#define _mm512_cvtepu16_epi32(a) ::florence2::emulated::cvtepu16_epi32(a)
#define _mm512_cvtps_epi32(a) ::florence2::emulated::cvtps_epi32(a)
#define _mm512_reduce_add_epi32(a) ::florence2::emulated::reduce_add_epi32(a)
#define _mm512_reduce_add_ps(a) ::florence2::emulated::reduce_add_ps(a)
#define _mm512_reduce_max_ps(a) ::florence2::emulated::reduce_max_ps(a)
