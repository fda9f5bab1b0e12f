// F32: one register of floats. Included once per ISA file, inside its anonymous namespace, after the file has defined
// FL_SIMD_SCALAR, FL_SIMD_AVX2 or FL_SIMD_AVX512. All other simd/*-inl.hpp files are written over this type.

#if defined(FL_SIMD_AVX512)

struct F32 {
  static constexpr int kLanes = 16;
  __m512 v;
};
struct Mask {
  __mmask16 m;
};

inline F32 set1(float x) { return {_mm512_set1_ps(x)}; }
inline F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, F32 a) { _mm512_storeu_ps(p, a.v); }
/// The first n lanes of p, zeros behind; touches no memory beyond them. 0 <= n <= kLanes.
inline Mask first_lanes(std::int64_t n) { return {static_cast<__mmask16>((1u << n) - 1u)}; }
inline F32 load_partial(const float* p, std::int64_t n) { return {_mm512_maskz_loadu_ps(first_lanes(n).m, p)}; }
inline void store_partial(float* p, F32 a, std::int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n).m, a.v); }
inline F32 load_f16(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline F32 load_bf16(const std::uint16_t* p) {
  const __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(bits, 16))};
}
inline F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }  // a * b + c
inline F32 max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F32 abs(F32 a) { return {_mm512_abs_ps(a.v)}; }
inline Mask less(F32 a, F32 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline F32 select(Mask m, F32 yes, F32 no) { return {_mm512_mask_blend_ps(m.m, no.v, yes.v)}; }
inline F32 round_to_integer(F32 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT)}; }
/// 2^n for integral n in [-126, 127].
inline F32 exp2_of_integer(F32 n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
}
inline float reduce_add(F32 a) { return _mm512_reduce_add_ps(a.v); }
inline float reduce_max(F32 a) { return _mm512_reduce_max_ps(a.v); }

#elif defined(FL_SIMD_AVX2)

struct F32 {
  static constexpr int kLanes = 8;
  __m256 v;
};
struct Mask {
  __m256 m;
};

inline F32 set1(float x) { return {_mm256_set1_ps(x)}; }
inline F32 load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline void store(float* p, F32 a) { _mm256_storeu_ps(p, a.v); }
/// The first n lanes of p, zeros behind; touches no memory beyond them. 0 <= n <= kLanes.
inline __m256i first_lanes(std::int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline F32 load_partial(const float* p, std::int64_t n) { return {_mm256_maskload_ps(p, first_lanes(n))}; }
inline void store_partial(float* p, F32 a, std::int64_t n) { _mm256_maskstore_ps(p, first_lanes(n), a.v); }
inline F32 load_f16(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline F32 load_bf16(const std::uint16_t* p) {
  const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(bits, 16))};
}
inline F32 operator+(F32 a, F32 b) { return {_mm256_add_ps(a.v, b.v)}; }
inline F32 operator-(F32 a, F32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline F32 operator*(F32 a, F32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline F32 fma(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }  // a * b + c
inline F32 max(F32 a, F32 b) { return {_mm256_max_ps(a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {_mm256_min_ps(a.v, b.v)}; }
inline F32 abs(F32 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
inline Mask less(F32 a, F32 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
inline F32 select(Mask m, F32 yes, F32 no) { return {_mm256_blendv_ps(no.v, yes.v, m.m)}; }
inline F32 round_to_integer(F32 a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
/// 2^n for integral n in [-126, 127].
inline F32 exp2_of_integer(F32 n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(biased, 23))};
}
inline float reduce_add(F32 a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}
inline float reduce_max(F32 a) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}

#elif defined(FL_SIMD_SCALAR)

// Four plain floats: portable, and a shape that any compiler turns into its baseline vectors.
struct F32 {
  static constexpr int kLanes = 4;
  float v[4];
};
struct Mask {
  bool m[4];
};

template <typename Op>
inline F32 lanewise(const Op& op) {
  F32 r;
  for (int i = 0; i < 4; ++i) r.v[i] = op(i);
  return r;
}
inline F32 set1(float x) { return {{x, x, x, x}}; }
inline F32 load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
inline void store(float* p, F32 a) {
  for (int i = 0; i < 4; ++i) p[i] = a.v[i];
}
/// The first n lanes of p, zeros behind; touches no memory beyond them. 0 <= n <= kLanes.
inline F32 load_partial(const float* p, std::int64_t n) {
  return lanewise([&](int i) { return i < n ? p[i] : 0.0f; });
}
inline void store_partial(float* p, F32 a, std::int64_t n) {
  for (int i = 0; i < n; ++i) p[i] = a.v[i];
}
inline float float_of_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline float widen_f16_scalar(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t magnitude = h & 0x7FFFu;
  if (magnitude >= 0x7C00u) return float_of_bits(sign | 0x7F800000u | ((magnitude & 0x3FFu) << 13));
  if (magnitude >= 0x0400u) return float_of_bits(sign | ((magnitude << 13) + 0x38000000u));
  const float value = static_cast<float>(magnitude) * 0x1p-24f;  // subnormal
  return sign != 0 ? -value : value;
}
inline F32 load_f16(const std::uint16_t* p) {
  return lanewise([&](int i) { return widen_f16_scalar(p[i]); });
}
inline F32 load_bf16(const std::uint16_t* p) {
  return lanewise([&](int i) { return float_of_bits(static_cast<std::uint32_t>(p[i]) << 16); });
}
inline F32 operator+(F32 a, F32 b) {
  return lanewise([&](int i) { return a.v[i] + b.v[i]; });
}
inline F32 operator-(F32 a, F32 b) {
  return lanewise([&](int i) { return a.v[i] - b.v[i]; });
}
inline F32 operator*(F32 a, F32 b) {
  return lanewise([&](int i) { return a.v[i] * b.v[i]; });
}
// Rounds the product too: a true fused operation would be a library call on the baseline.
inline F32 fma(F32 a, F32 b, F32 c) {
  return lanewise([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}
inline F32 max(F32 a, F32 b) {
  return lanewise([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline F32 min(F32 a, F32 b) {
  return lanewise([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline F32 abs(F32 a) {
  return lanewise([&](int i) { return __builtin_fabsf(a.v[i]); });
}
inline Mask less(F32 a, F32 b) {
  Mask r;
  for (int i = 0; i < 4; ++i) r.m[i] = a.v[i] < b.v[i];
  return r;
}
inline F32 select(Mask m, F32 yes, F32 no) {
  return lanewise([&](int i) { return m.m[i] ? yes.v[i] : no.v[i]; });
}
inline F32 round_to_integer(F32 a) {
  // Adding and taking away 1.5 * 2^23 rounds to the nearest integer for |a| < 2^22, which all callers guarantee.
  return lanewise([&](int i) { return (a.v[i] + 12582912.0f) - 12582912.0f; });
}
/// An integral a as an integer; NaN has none, and becomes 0.
inline std::int32_t integer_of(float a) { return a == a ? static_cast<std::int32_t>(a) : 0; }
/// 2^n for integral n in [-126, 127].
inline F32 exp2_of_integer(F32 n) {
  return lanewise([&](int i) { return float_of_bits(static_cast<std::uint32_t>(integer_of(n.v[i]) + 127) << 23); });
}
inline float reduce_add(F32 a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
inline float reduce_max(F32 a) {
  const float x = a.v[0] > a.v[2] ? a.v[0] : a.v[2];
  const float y = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
  return x > y ? x : y;
}

#else
#error "define FL_SIMD_SCALAR, FL_SIMD_AVX2 or FL_SIMD_AVX512 before including vec-inl.hpp"
#endif

/// a * b + c rounded once, on every instruction set.
inline F32 fused(F32 a, F32 b, F32 c) {
#if defined(FL_SIMD_SCALAR)
  return lanewise([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
#else
  return fma(a, b, c);
#endif
}

/// N registers that go through the same instructions side by side. The CPU looks only so far ahead in a chain of
/// instructions that wait for each other; with several chains there is always one to go on with.
template <int N>
struct F32s {
  F32 v[N];
};
#if defined(FL_SIMD_AVX512)
constexpr int kTogether = 4;
#else
constexpr int kTogether = 2;
#endif

constexpr int kRowsAtOnce = kTogether;  // the same for rows that each wait for a sum

template <int N, typename Op>
inline F32s<N> for_each_register(const Op& op) {
  F32s<N> r;
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) r.v[i] = op(i);
  return r;
}
template <int N>
inline F32s<N> load_several(const float* p) {
  return for_each_register<N>([&](int i) { return load(p + i * F32::kLanes); });
}
template <int N>
inline void store_several(float* p, const F32s<N>& a) {
#pragma GCC unroll 4
  for (int i = 0; i < N; ++i) store(p + i * F32::kLanes, a.v[i]);
}

/// Register i of an operand: of several its own, of one the same for all.
template <int N>
inline F32 register_of(const F32s<N>& a, int i) {
  return a.v[i];
}
inline F32 register_of(F32 a, int) { return a; }

template <int N, typename B>
inline F32s<N> operator+(const F32s<N>& a, const B& b) {
  return for_each_register<N>([&](int i) { return a.v[i] + register_of(b, i); });
}
template <int N, typename B>
inline F32s<N> operator-(const F32s<N>& a, const B& b) {
  return for_each_register<N>([&](int i) { return a.v[i] - register_of(b, i); });
}
template <int N>
inline F32s<N> operator-(F32 a, const F32s<N>& b) {
  return for_each_register<N>([&](int i) { return a - b.v[i]; });
}
template <int N, typename B>
inline F32s<N> operator*(const F32s<N>& a, const B& b) {
  return for_each_register<N>([&](int i) { return a.v[i] * register_of(b, i); });
}
template <int N, typename B, typename C>
inline F32s<N> fma(const F32s<N>& a, const B& b, const C& c) {
  return for_each_register<N>([&](int i) { return fma(a.v[i], register_of(b, i), register_of(c, i)); });
}
template <int N>
inline F32s<N> fma(F32 a, const F32s<N>& b, F32 c) {
  return for_each_register<N>([&](int i) { return fma(a, b.v[i], c); });
}
template <int N>
inline F32s<N> max(F32 a, const F32s<N>& b) {
  return for_each_register<N>([&](int i) { return max(a, b.v[i]); });
}
template <int N>
inline F32s<N> min(F32 a, const F32s<N>& b) {
  return for_each_register<N>([&](int i) { return min(a, b.v[i]); });
}
template <int N>
inline F32s<N> min(const F32s<N>& a, F32 b) {
  return for_each_register<N>([&](int i) { return min(a.v[i], b); });
}
template <int N>
inline F32s<N> abs(const F32s<N>& a) {
  return for_each_register<N>([&](int i) { return abs(a.v[i]); });
}
template <int N>
inline F32s<N> round_to_integer(const F32s<N>& a) {
  return for_each_register<N>([&](int i) { return round_to_integer(a.v[i]); });
}
template <int N>
inline F32s<N> exp2_of_integer(const F32s<N>& a) {
  return for_each_register<N>([&](int i) { return exp2_of_integer(a.v[i]); });
}
/// `negative` where x < 0, `otherwise` elsewhere.
inline F32 by_sign(F32 x, F32 negative, F32 otherwise) { return select(less(x, set1(0.0f)), negative, otherwise); }
template <int N>
inline F32s<N> by_sign(const F32s<N>& x, const F32s<N>& negative, const F32s<N>& otherwise) {
  return for_each_register<N>([&](int i) { return by_sign(x.v[i], negative.v[i], otherwise.v[i]); });
}
