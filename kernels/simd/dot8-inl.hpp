// Integer products: one register of int32 sums, and what adds a step of k values to it. Written over the same macros as
// vec-inl.hpp.
//
// 8-bit: a row of A is quantised to q in [0, kTopLevel] with a zero point z; the sum of q * B is formed first, and z
// times the sum of B's column is subtracted at the end. Both are exact.
//
// Without a dot product of bytes, four products are added in 16 bits before they are widened: two of a pair by maddubs,
// and the pair of the next group. Hence a quad's weights of one sign may add up to kQuadLimit at most, with
// kTopLevel * kQuadLimit < 2^15. The two share what this costs in accuracy about equally.

constexpr int kGroup = 4;  // values of k side by side in a panel
// k is padded to a multiple of it.
#if defined(FL_SIMD_AMX)
constexpr int kDepthUnit = 64;
#else
constexpr int kDepthUnit = 8;
#endif
#if defined(FL_SIMD_VNNI) || defined(FL_SIMD_SCALAR)
constexpr int kTopLevel = 255;
constexpr int kQuadLimit = 0;  // none
#else
constexpr int kTopLevel = 190;
constexpr int kQuadLimit = 172;
#endif

// Rows of the tile: with two registers of B, or four where two groups are added at once, they fill the registers.
#if defined(FL_SIMD_AVX512)
#if defined(FL_SIMD_VNNI)
constexpr int kTileRows8 = 12;
#else
constexpr int kTileRows8 = 10;
#endif
#elif defined(FL_SIMD_VNNI)
constexpr int kTileRows8 = 6;
#else
constexpr int kTileRows8 = 4;
#endif

#if defined(FL_SIMD_AVX512)

struct I32 {
  __m512i v;
};
inline I32 zero_i32() { return {_mm512_setzero_si512()}; }
inline I32 set1_i32(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
inline I32 min(I32 a, I32 b) { return {_mm512_min_epi32(a.v, b.v)}; }
inline F32 to_float(I32 a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline I32 to_integer(F32 a) { return {_mm512_cvtps_epi32(a.v)}; }  // to nearest even
inline I32 load_i32(const std::int32_t* p) { return {_mm512_loadu_si512(p)}; }
inline I32 add(I32 a, I32 b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline std::int32_t sum_of(I32 a) { return _mm512_reduce_add_epi32(a.v); }
/// The low byte of each lane; its low two bytes, of lanes that fit them.
inline void store_bytes(void* dst, I32 q) { _mm_storeu_si128(static_cast<__m128i*>(dst), _mm512_cvtepi32_epi8(q.v)); }
inline void store_words(void* dst, I32 q) {
  _mm256_storeu_si256(static_cast<__m256i*>(dst), _mm512_cvtepi32_epi16(q.v));
}

struct Bytes {
  __m512i v;
};
inline Bytes load_bytes(const std::int8_t* p) { return {_mm512_loadu_si512(p)}; }
inline Bytes broadcast_group(std::int32_t group) { return {_mm512_set1_epi32(group)}; }
#if defined(FL_SIMD_VNNI)
inline I32 add_dot(I32 acc, Bytes a, Bytes b) { return {_mm512_dpbusd_epi32(acc.v, a.v, b.v)}; }
inline I32 add_dot16(I32 acc, Bytes a, Bytes b) { return {_mm512_dpwssd_epi32(acc.v, a.v, b.v)}; }
#else
inline I32 add_dot16(I32 acc, Bytes a, Bytes b) { return {_mm512_add_epi32(acc.v, _mm512_madd_epi16(a.v, b.v))}; }
inline I32 add_dots(I32 acc, Bytes a0, Bytes b0, Bytes a1, Bytes b1) {
  const __m512i pairs = _mm512_add_epi16(_mm512_maddubs_epi16(a0.v, b0.v), _mm512_maddubs_epi16(a1.v, b1.v));
  return {_mm512_add_epi32(acc.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
}
#endif

#elif defined(FL_SIMD_AVX2)

struct I32 {
  __m256i v;
};
inline I32 zero_i32() { return {_mm256_setzero_si256()}; }
inline I32 set1_i32(std::int32_t x) { return {_mm256_set1_epi32(x)}; }
inline I32 min(I32 a, I32 b) { return {_mm256_min_epi32(a.v, b.v)}; }
inline F32 to_float(I32 a) { return {_mm256_cvtepi32_ps(a.v)}; }
inline I32 to_integer(F32 a) { return {_mm256_cvtps_epi32(a.v)}; }  // to nearest even
inline I32 load_i32(const std::int32_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
inline I32 add(I32 a, I32 b) { return {_mm256_add_epi32(a.v, b.v)}; }
inline std::int32_t sum_of(I32 a) {
  __m128i x = _mm_add_epi32(_mm256_castsi256_si128(a.v), _mm256_extracti128_si256(a.v, 1));
  x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0xB1)));
}
/// The low byte of each lane; its low two bytes, of lanes that fit them.
inline void store_bytes(void* dst, I32 q) {
  const __m256i low = _mm256_and_si256(q.v, _mm256_set1_epi32(0xFF));
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  _mm_storel_epi64(static_cast<__m128i*>(dst), _mm_packus_epi16(words, words));
}
inline void store_words(void* dst, I32 q) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q.v), _mm256_extracti128_si256(q.v, 1));
  _mm_storeu_si128(static_cast<__m128i*>(dst), words);
}

struct Bytes {
  __m256i v;
};
inline Bytes load_bytes(const std::int8_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
inline Bytes broadcast_group(std::int32_t group) { return {_mm256_set1_epi32(group)}; }
#if defined(FL_SIMD_VNNI)
inline I32 add_dot(I32 acc, Bytes a, Bytes b) { return {_mm256_dpbusd_avx_epi32(acc.v, a.v, b.v)}; }
inline I32 add_dot16(I32 acc, Bytes a, Bytes b) { return {_mm256_dpwssd_avx_epi32(acc.v, a.v, b.v)}; }
#else
inline I32 add_dot16(I32 acc, Bytes a, Bytes b) { return {_mm256_add_epi32(acc.v, _mm256_madd_epi16(a.v, b.v))}; }
inline I32 add_dots(I32 acc, Bytes a0, Bytes b0, Bytes a1, Bytes b1) {
  const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(a0.v, b0.v), _mm256_maddubs_epi16(a1.v, b1.v));
  return {_mm256_add_epi32(acc.v, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}
#endif

#elif defined(FL_SIMD_SCALAR)

struct I32 {
  std::int32_t v[4];
};
inline I32 zero_i32() { return {}; }
inline I32 set1_i32(std::int32_t x) { return {{x, x, x, x}}; }
inline I32 min(I32 a, I32 b) {
  for (int i = 0; i < 4; ++i) a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return a;
}
inline F32 to_float(I32 a) {
  return lanewise([&](int i) { return static_cast<float>(a.v[i]); });
}
inline I32 to_integer(F32 a) {  // to nearest even
  const F32 whole = round_to_integer(a);
  I32 r;
  for (int i = 0; i < 4; ++i) r.v[i] = integer_of(whole.v[i]);
  return r;
}
inline I32 load_i32(const std::int32_t* p) { return {{p[0], p[1], p[2], p[3]}}; }
inline I32 add(I32 a, I32 b) {
  for (int i = 0; i < 4; ++i) a.v[i] += b.v[i];
  return a;
}
inline std::int32_t sum_of(I32 a) { return a.v[0] + a.v[1] + a.v[2] + a.v[3]; }
/// The low byte of each lane; its low two bytes.
inline void store_bytes(void* dst, I32 q) {
  for (int i = 0; i < 4; ++i) static_cast<std::uint8_t*>(dst)[i] = static_cast<std::uint8_t>(q.v[i]);
}
inline void store_words(void* dst, I32 q) {
  for (int i = 0; i < 4; ++i) static_cast<std::int16_t*>(dst)[i] = static_cast<std::int16_t>(q.v[i]);
}

struct Bytes {
  std::int8_t v[16];
};
inline Bytes load_bytes(const std::int8_t* p) {
  Bytes b;
  __builtin_memcpy(b.v, p, sizeof(b.v));
  return b;
}
inline Bytes broadcast_group(std::int32_t group) {
  Bytes b;
  for (int i = 0; i < 4; ++i) __builtin_memcpy(b.v + 4 * i, &group, sizeof(group));
  return b;
}
inline I32 add_dot(I32 acc, Bytes a, Bytes b) {
  for (int i = 0; i < 16; ++i) acc.v[i / 4] += static_cast<std::uint8_t>(a.v[i]) * b.v[i];
  return acc;
}
inline I32 add_dot16(I32 acc, Bytes a, Bytes b) {
  std::int16_t x[8], y[8];
  __builtin_memcpy(x, a.v, sizeof(x));
  __builtin_memcpy(y, b.v, sizeof(y));
  for (int i = 0; i < 8; ++i) acc.v[i / 2] += x[i] * y[i];
  return acc;
}

#endif
