// Rows of floats rounded to bf16.

inline void store_bf16(std::uint16_t* dst, F32 x) {
  const __m256i bits = __builtin_bit_cast(__m256i, _mm512_cvtneps_pbh(x.v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), bits);
}

void round_row(std::uint16_t* dst, const float* src, std::int64_t k) { map_to_words(dst, src, k, store_bf16); }

void softmax_bf16(std::uint16_t* dst, float* x, std::int64_t n, float scale) {
  const F32 inverse = set1(1.0f / exponentials(x, n, scale));
  map_to_words(dst, x, n, [&](std::uint16_t* words, F32 e) { store_bf16(words, e * inverse); });
}
