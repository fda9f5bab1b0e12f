// Rows of floats rounded to bf16.

inline void store_bf16(std::uint16_t* dst, F32 x) {
  const __m256i bits = __builtin_bit_cast(__m256i, _mm512_cvtneps_pbh(x.v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), bits);
}

void round_row(std::uint16_t* dst, const float* src, std::int64_t k) { map_to_words(dst, src, k, store_bf16); }

/// 2^t for t <= 0, as exact as bf16 needs: within 7.5e-5 of it; what is below 2^-120 is 2^-120.
inline F32 power_of_2(F32 t) {
  t = max(set1(-120.0f), t);  // in this order a NaN stays one
  const F32 r = {_mm512_reduce_ps(t.v, _MM_FROUND_TO_NEG_INF)};
  F32 p = fma(set1(7.802452147e-02f), r, set1(2.260671556e-01f));
  p = fma(p, r, set1(6.958335638e-01f));
  p = fma(p, r, set1(9.999251962e-01f));
  return {_mm512_scalef_ps(p.v, t.v)};  // p 2^floor(t)
}

/// softmax_bf16 for a few rows side by side: the maximum and the sum of one alone would be waited for.
template <int kRows>
inline void softmax_bf16_few(const SoftmaxBlock& b, std::int64_t row) {
  constexpr std::int64_t lanes = F32::kLanes;
  const std::int64_t whole = b.n / lanes * lanes, rest = b.n - whole;
  float* const x = b.x + row * b.x_stride;
  const auto for_each_row = [](const auto& op) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) op(r);
  };
  F32 most[kRows], sum[kRows];
  for_each_row([&](int r) { most[r] = set1(x[r * b.x_stride]); });
  for (std::int64_t i = 0; i < whole; i += lanes) {
    for_each_row([&](int r) { most[r] = max(load(x + r * b.x_stride + i), most[r]); });
  }
  if (rest > 0) {
    for_each_row([&](int r) {
      const F32 v = load_partial(x + r * b.x_stride + whole, rest);
      most[r] = select(first_lanes(rest), max(v, most[r]), most[r]);
    });
  }
  const F32 in_powers_of_2 = set1(b.scale * 1.44269504088896341f);
  const auto power = [&](int r, F32 v) { return power_of_2((v - most[r]) * in_powers_of_2); };
  for_each_row([&](int r) {
    most[r] = set1(reduce_max(most[r]));
    sum[r] = set1(0.0f);
  });
  for (std::int64_t i = 0; i < whole; i += lanes) {
    for_each_row([&](int r) {
      float* const p = x + r * b.x_stride + i;
      const F32 e = power(r, load(p));
      sum[r] = sum[r] + e;
      store(p, e);
    });
  }
  if (rest > 0) {
    for_each_row([&](int r) {
      float* const p = x + r * b.x_stride + whole;
      const F32 e = power(r, load_partial(p, rest));
      sum[r] = select(first_lanes(rest), sum[r] + e, sum[r]);
      store_partial(p, e, rest);
    });
  }
  for_each_row([&](int r) {
    const F32 inverse = set1(1.0f / reduce_add(sum[r]));
    map_to_words(b.dst + (row + r) * b.dst_stride, x + r * b.x_stride, b.n,
                 [&](std::uint16_t* words, F32 e) { store_bf16(words, e * inverse); });
  });
}

void softmax_bf16(const SoftmaxBlock& b) {
  constexpr int kRows = 4;
  std::int64_t row = 0;
  for (; row + kRows <= b.rows; row += kRows) softmax_bf16_few<kRows>(b, row);
  for (; row < b.rows; ++row) softmax_bf16_few<1>(b, row);
}
