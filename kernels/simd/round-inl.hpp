// Rows of floats rounded to bf16.

inline void store_bf16(std::uint16_t* dst, F32 x) {
  const __m256i bits = __builtin_bit_cast(__m256i, _mm512_cvtneps_pbh(x.v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), bits);
}

void round_row(std::uint16_t* dst, const float* src, std::int64_t k) { map_to_words(dst, src, k, store_bf16); }

/// The rows of a and b that lie i and i + 8 apart in a matrix of 16 words, interleaved: see transpose_block.
inline void interleave_words(__m512i* dst, __m512i a, __m512i b) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  dst[0] = _mm512_permutex2var_epi32(a, low, b);
  dst[1] = _mm512_permutex2var_epi32(a, high, b);
}

/// 16 x 16 words. Interleaving rows i and i + 8 for all i moves the highest bit of the row index to the lowest bit of
/// the column index; after four rounds the two indices have changed places.
inline void transpose_block(std::uint32_t* dst, std::int64_t dst_stride, const std::uint32_t* src,
                            std::int64_t src_stride) {
  __m512i rows[16], next[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) rows[i] = _mm512_loadu_si512(src + i * src_stride);
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
    __m512i* const from = round % 2 == 0 ? rows : next;
    __m512i* const to = round % 2 == 0 ? next : rows;
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) interleave_words(to + 2 * i, from[i], from[i + 8]);
  }
#pragma GCC unroll 16
  for (int j = 0; j < 16; ++j) _mm512_storeu_si512(dst + j * dst_stride, rows[j]);
}

void transpose(std::uint32_t* dst, std::int64_t dst_stride, const std::uint32_t* src, std::int64_t src_stride,
               std::int64_t rows, std::int64_t cols) {
  constexpr std::int64_t kBlock = 16;
  for (std::int64_t i = 0; i < rows; i += kBlock) {
    for (std::int64_t j = 0; j < cols; j += kBlock) {
      if (rows - i >= kBlock && cols - j >= kBlock) {
        transpose_block(dst + j * dst_stride + i, dst_stride, src + i * src_stride + j, src_stride);
        continue;
      }
      for (std::int64_t r = i; r < rows && r < i + kBlock; ++r) {
        for (std::int64_t c = j; c < cols && c < j + kBlock; ++c) {
          __builtin_memcpy(dst + c * dst_stride + r, src + r * src_stride + c, sizeof(std::uint32_t));
        }
      }
    }
  }
}

void interleave(std::uint16_t* dst, const std::uint16_t* low, const std::uint16_t* high, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(low + i)));
    const __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(high + i)));
    _mm512_storeu_si512(dst + 2 * i, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
  }
  for (; i < n; ++i) {
    dst[2 * i] = low[i];
    dst[2 * i + 1] = high[i];
  }
}

/// 2^t for t <= 0, as exact as bf16 needs: within 8.6e-5 of it, and 1 for 0; what is below 2^-120 is 2^-120.
inline F32 power_of_2(F32 t) {
  t = max(set1(-120.0f), t);  // in this order a NaN stays one
  const F32 r = {_mm512_reduce_ps(t.v, _MM_FROUND_TO_NEG_INF)};
  F32 p = fma(set1(7.706708461e-02f), r, set1(2.276449203e-01f));
  p = fma(p, r, set1(6.951168180e-01f));
  p = fma(p, r, set1(1.0f));
  return {_mm512_scalef_ps(p.v, t.v)};  // p 2^floor(t)
}

/// softmax_bf16 for a few rows side by side: the maximum and the sum of one alone would be waited for.
template <int kRows>
inline void softmax_bf16_few(const SoftmaxBlock& b, std::int64_t row) {
  constexpr std::int64_t lanes = F32::kLanes;
  const std::int64_t whole = b.n / lanes * lanes, rest = b.n - whole;
  const float* const x = b.x + row * b.x_stride;
  std::uint16_t* const dst = b.dst + row * b.dst_stride;
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
      const F32 e = power(r, load(x + r * b.x_stride + i));
      sum[r] = sum[r] + e;
      store_bf16(dst + r * b.dst_stride + i, e);
    });
  }
  constexpr std::int64_t unit = kDepthUnit / 2;
  for_each_row([&](int r) {
    std::uint16_t* const end = dst + r * b.dst_stride + whole;
    for (std::int64_t j = rest; (whole + j) % unit != 0; ++j) end[j] = 0;
    if (rest > 0) {
      const F32 e = power(r, load_partial(x + r * b.x_stride + whole, rest));
      sum[r] = select(first_lanes(rest), sum[r] + e, sum[r]);
      std::uint16_t tail[lanes];
      store_bf16(tail, e);
      for (std::int64_t j = 0; j < rest; ++j) end[j] = tail[j];
    }
    b.inverse[row + r] = 1.0f / reduce_add(sum[r]);
  });
}

void softmax_bf16(const SoftmaxBlock& b) {
  std::int64_t row = 0;
  for (; row + kRowsAtOnce <= b.rows; row += kRowsAtOnce) softmax_bf16_few<kRowsAtOnce>(b, row);
  for (; row < b.rows; ++row) softmax_bf16_few<1>(b, row);
}

/// The table with what goes with products of bf16.
constexpr KernelTable with_rounding(KernelTable t) {
  t.round_row = round_row;
  t.interleave = interleave;
  t.transpose = transpose;
  t.softmax_bf16 = softmax_bf16;
  return t;
}
