// 8-bit products: one register of int32 sums, and what adds a group of k values of A and B to it. Written over the same
// macros as vec-inl.hpp.
//
// A row of A is quantised to q in [0, 255] with a zero point z. Instruction sets without a dot product of unsigned and
// signed bytes multiply 16-bit pairs, whose sums cannot overflow: their rows hold q - z, and kGroup is 2. Those with
// one keep q itself, take groups of 4, and subtract z times the sum of B's column at the end. Both sums are exact.

#if defined(FL_SIMD_AVX512)

struct I32 {
  __m512i v;
};
inline I32 zero_i32() { return {_mm512_setzero_si512()}; }
inline F32 to_float(I32 a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline I32 to_integer(F32 a) { return {_mm512_cvtps_epi32(a.v)}; }  // to nearest even

#if defined(FL_SIMD_VNNI)
constexpr int kGroup = 4;
using Activation = std::uint8_t;
struct Weights8 {
  __m512i v;
};
inline Weights8 load_weights(const std::int8_t* p) { return {_mm512_loadu_si512(p)}; }
inline I32 add_dot(I32 acc, std::int32_t group, Weights8 b) {
  return {_mm512_dpbusd_epi32(acc.v, _mm512_set1_epi32(group), b.v)};
}
inline I32 subtract_product(I32 acc, std::int32_t zero, const std::int32_t* sums) {
  return {_mm512_sub_epi32(acc.v, _mm512_mullo_epi32(_mm512_set1_epi32(zero), _mm512_loadu_si512(sums)))};
}
inline void store_activations(Activation* dst, I32 q) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), _mm512_cvtepi32_epi8(q.v));
}
#else
constexpr int kGroup = 2;
using Activation = std::int16_t;
struct Weights8 {
  __m512i v;
};
inline Weights8 load_weights(const std::int8_t* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline I32 add_dot(I32 acc, std::int32_t group, Weights8 b) {
  return {_mm512_add_epi32(acc.v, _mm512_madd_epi16(_mm512_set1_epi32(group), b.v))};
}
inline void store_activations(Activation* dst, I32 q) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), _mm512_cvtepi32_epi16(q.v));
}
#endif

#elif defined(FL_SIMD_AVX2)

struct I32 {
  __m256i v;
};
// Opaque, so that g++ 12 does not see equal constants in all sums of a tile, which makes it spill half of them.
inline I32 zero_i32() {
  I32 zero{_mm256_setzero_si256()};
  __asm__("" : "+x"(zero.v));
  return zero;
}
inline F32 to_float(I32 a) { return {_mm256_cvtepi32_ps(a.v)}; }
inline I32 to_integer(F32 a) { return {_mm256_cvtps_epi32(a.v)}; }  // to nearest even

#if defined(FL_SIMD_VNNI)
constexpr int kGroup = 4;
using Activation = std::uint8_t;
struct Weights8 {
  __m256i v;
};
inline Weights8 load_weights(const std::int8_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
inline I32 add_dot(I32 acc, std::int32_t group, Weights8 b) {
  return {_mm256_dpbusd_avx_epi32(acc.v, _mm256_set1_epi32(group), b.v)};
}
inline I32 subtract_product(I32 acc, std::int32_t zero, const std::int32_t* sums) {
  const __m256i columns = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums));
  return {_mm256_sub_epi32(acc.v, _mm256_mullo_epi32(_mm256_set1_epi32(zero), columns))};
}
inline void store_activations(Activation* dst, I32 q) {
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(q.v), _mm256_extracti128_si256(q.v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(dst), _mm_packus_epi16(words, words));
}
#else
constexpr int kGroup = 2;
using Activation = std::int16_t;
struct Weights8 {
  __m256i v;
};
inline Weights8 load_weights(const std::int8_t* p) {
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline I32 add_dot(I32 acc, std::int32_t group, Weights8 b) {
  return {_mm256_add_epi32(acc.v, _mm256_madd_epi16(_mm256_set1_epi32(group), b.v))};
}
inline void store_activations(Activation* dst, I32 q) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q.v), _mm256_extracti128_si256(q.v, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), words);
}
#endif

#elif defined(FL_SIMD_SCALAR)

struct I32 {
  std::int32_t v[4];
};
inline I32 zero_i32() { return {}; }
inline F32 to_float(I32 a) {
  return lanewise([&](int i) { return static_cast<float>(a.v[i]); });
}
inline I32 to_integer(F32 a) {  // to nearest even
  const F32 whole = round_to_integer(a);
  I32 r;
  for (int i = 0; i < 4; ++i) r.v[i] = static_cast<std::int32_t>(whole.v[i]);
  return r;
}

constexpr int kGroup = 2;
using Activation = std::int16_t;
struct Weights8 {
  std::int32_t even[4], odd[4];
};
inline Weights8 load_weights(const std::int8_t* p) {
  Weights8 b;
  for (int i = 0; i < 4; ++i) {
    b.even[i] = p[2 * i];
    b.odd[i] = p[2 * i + 1];
  }
  return b;
}
inline I32 add_dot(I32 acc, std::int32_t group, Weights8 b) {
  const std::int32_t even = static_cast<std::int16_t>(group & 0xFFFF), odd = group >> 16;
  for (int i = 0; i < 4; ++i) acc.v[i] += even * b.even[i] + odd * b.odd[i];
  return acc;
}
inline void store_activations(Activation* dst, I32 q) {
  for (int i = 0; i < 4; ++i) dst[i] = static_cast<Activation>(q.v[i]);
}

#endif

/// Rows of A are quantised to a multiple of it.
#if defined(FL_SIMD_AMX)
constexpr int kDepthUnit = 64;
#else
constexpr int kDepthUnit = kGroup;
#endif
