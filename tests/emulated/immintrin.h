// Stands before the compiler's <immintrin.h> on the include path of tests/emulated/avx512.cpp: AVX-512 by SIMDe on
// AVX2. SIMDe 0.7 covers most of what the kernels use; the rest is written here from the operation's definition in
// Intel's Intrinsics Guide, lane by lane.
#pragma once

#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

namespace florence2::emulated {

constexpr int kLanes512 = 16;

union Lanes512 {
  __m512 ps;
  __m512i epi;
  __m256 half_ps[2];
  __m256i half_epi[2];
  float f32[kLanes512];
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

[[gnu::noinline]] static float reduce_max_ps(__m512 a) {
  return reduce(a, [](float x, float y) { return x > y ? x : y; });
}

}  // namespace florence2::emulated

#define _mm512_maskz_loadu_ps(mask, memory) ::florence2::emulated::maskz_loadu_ps(mask, memory)
#define _mm512_mask_storeu_ps(memory, mask, a) ::florence2::emulated::mask_storeu_ps(memory, mask, a)
#define _mm512_cvtph_ps(a) ::florence2::emulated::cvtph_ps(a)
#define _mm512_cvtepu16_epi32(a) ::florence2::emulated::cvtepu16_epi32(a)
#define _mm512_cvtps_epi32(a) ::florence2::emulated::cvtps_epi32(a)
#define _mm512_reduce_add_ps(a) ::florence2::emulated::reduce_add_ps(a)
#define _mm512_reduce_max_ps(a) ::florence2::emulated::reduce_max_ps(a)
