// Floats to integers. 8-bit: activations row by row as they come, weights column by column when they are packed.
// 16-bit: what attention multiplies.

/// A scale for values that are `step` apart: 0 stays, others are so large that their inverse is finite.
inline float usable_scale(float step) {
  constexpr float kLeast = 0x1p-126f;
  return step > 0 && step < kLeast ? kLeast : step;
}

/// The smallest scale of 16 significant bits that is not below `step`: its products with 8-bit integers are exact.
inline float short_scale(float step) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &step, sizeof(bits));
  bits = (bits + 0xFFu) & ~0xFFu;
  __builtin_memcpy(&step, &bits, sizeof(bits));
  return step;
}

/// The range of a row and 0. kWays registers of each bound: one would wait for itself.
template <int kWays>
struct RowRange {
  F32 low[kWays], high[kWays], poison[kWays];  // poison: 0, or NaN when any element is not finite

  RowRange() {
    for (int j = 0; j < kWays; ++j) low[j] = high[j] = poison[j] = set1(0.0f);
  }
  void include(int j, F32 x) {
    low[j] = min(x, low[j]);
    high[j] = max(x, high[j]);
    poison[j] = fma(x, set1(0.0f), poison[j]);
  }
  float least() const { return -reduce_max(set1(0.0f) - min(low[0], low[kWays - 1])); }
  float most() const { return reduce_max(max(high[0], high[kWays - 1])); }
  float bad() const { return reduce_add(kWays == 1 ? poison[0] : poison[0] + poison[kWays - 1]); }
};

/// What turns the values of one row into 8 bits. The range includes 0, so that 0 is exact: q = round(x / scale) + zero,
/// scale = (max - min) / kTopLevel or, for what is tinier, usable_scale of it.
struct RowQuantizer {
  F32 factor;
  I32 offset;
  float step;
  std::int32_t shift;

  template <int kWays>
  RowQuantizer(const RowRange<kWays>& range, bool short_step, float* scale, float* zero) {
    const float least = range.least(), most = range.most(), bad = range.bad();
    step = usable_scale((most - least) / static_cast<float>(kTopLevel));
    if (short_step) step = short_scale(step);
    const float inverse = step > 0 ? 1.0f / step : 0.0f;
    *scale = step + bad;
    // Between 0 and kTopLevel for finite rows; a row that is not finite has NaN as its scale, whatever its q.
    const float origin = bad == 0 ? -least * inverse : 0.0f;
    shift = static_cast<std::int32_t>(origin + 0.5f);
    *zero = static_cast<float>(shift);
    factor = set1(bad == 0 ? inverse : 0.0f);
    offset = set1_i32(shift);
  }
  /// No x / scale rounds below -zero, which is rounded to the nearest, half up. The sum of two that are rounded may be
  /// one too large.
  static I32 quantize(F32 x, F32 factor, I32 offset) {
    return min(add(to_integer(x * factor), offset), set1_i32(kTopLevel));
  }
  I32 operator()(F32 x) const { return quantize(x, factor, offset); }
};

/// The last n values of a row, fewer than a register, and zeros up to a multiple of kDepthUnit; at: their index.
inline void store_last_bytes(std::uint8_t* dst, I32 q, std::int64_t at, std::int64_t n) {
  std::uint8_t tail[F32::kLanes];
  store_bytes(tail, q);
  std::int64_t i = at;
  for (; i < at + n; ++i) dst[i] = tail[i - at];
  for (; i % kDepthUnit != 0; ++i) dst[i] = 0;
}

// Elements of a row of bf16, whose length is whole registers.
inline F32 load(const std::uint16_t* p) { return load_bf16(p); }
inline F32 load_partial(const std::uint16_t* p, std::int64_t) { return load_bf16(p); }

/// A few rows side by side: each waits for its range.
template <int kRows, typename Element>
inline void quantize_few(const QuantizeBlock& b, const Element* first, std::int64_t row) {
  constexpr std::int64_t lanes = F32::kLanes;
  constexpr int kWays = kRows == 1 ? 2 : 1;
  const Element* const src = first + row * b.src_stride;
  std::uint8_t* const dst = b.dst + row * b.dst_stride;
  const std::int64_t whole = b.k / lanes * lanes, rest = b.k - whole;
  RowRange<kWays> range[kRows];
  std::int64_t i = 0;
  for (; i + kWays * lanes <= whole; i += kWays * lanes) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int j = 0; j < kWays; ++j) range[r].include(j, load(src + r * b.src_stride + i + j * lanes));
    }
  }
  if (i < whole) range[0].include(0, load(src + i));  // of two ways, which are for one row
#pragma GCC unroll 4
  for (int r = 0; r < kRows && rest > 0; ++r) range[r].include(0, load_partial(src + r * b.src_stride + whole, rest));
  const auto quantizer = [&](int r) { return RowQuantizer(range[r], false, b.scale + row + r, b.zero + row + r); };
  F32 factor[kRows];
  I32 offset[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const RowQuantizer q = quantizer(r);
    factor[r] = q.factor;
    offset[r] = q.offset;
  }
  const auto quantized = [&](int r, F32 x) { return RowQuantizer::quantize(x, factor[r], offset[r]); };
  for (i = 0; i < whole; i += lanes) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      store_bytes(dst + r * b.dst_stride + i, quantized(r, load(src + r * b.src_stride + i)));
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const F32 x = rest > 0 ? load_partial(src + r * b.src_stride + whole, rest) : set1(0.0f);
    store_last_bytes(dst + r * b.dst_stride, quantized(r, x), whole, rest);
  }
}

template <typename Element>
inline void quantize_rows(const QuantizeBlock& b, const Element* src) {
  std::int64_t row = 0;
  for (; row + kRowsAtOnce <= b.rows; row += kRowsAtOnce) quantize_few<kRowsAtOnce>(b, src, row);
  for (; row < b.rows; ++row) quantize_few<1>(b, src, row);
}

void quantize(const QuantizeBlock& b) {
#if defined(FL_SIMD_AMX)
  if (b.src == nullptr) return quantize_rows(b, b.src_bf16);
#endif
  quantize_rows(b, b.src);
}

void quantize_with_rest(std::uint8_t* dst, float* scale, float* zero, float* rest, const float* src, std::int64_t k) {
  constexpr std::int64_t lanes = F32::kLanes;
  RowRange<2> range;
  std::int64_t i = 0;
  for (; i + 2 * lanes <= k; i += 2 * lanes) {
    range.include(0, load(src + i));
    range.include(1, load(src + i + lanes));
  }
  for (; i < k; i += lanes) range.include(0, load_lanes(src + i, k - i < lanes ? k - i : lanes));
  const RowQuantizer quantized(range, true, scale, zero);
  const I32 centre = set1_i32(-quantized.shift);
  const F32 negative_step = set1(-quantized.step);
  const auto left = [&](F32 x, I32 q) { return fma(to_float(add(q, centre)), negative_step, x); };
  for (i = 0; i + lanes <= k; i += lanes) {
    const F32 x = load(src + i);
    const I32 q = quantized(x);
    store_bytes(dst + i, q);
    store(rest + i, left(x, q));
  }
  const F32 x = i < k ? load_partial(src + i, k - i) : set1(0.0f);
  const I32 q = quantized(x);
  store_last_bytes(dst, q, i, k - i);
  if (i < k) store_partial(rest + i, left(x, q), k - i);
}

#if defined(FL_SIMD_VNNI) || defined(FL_SIMD_SCALAR)

/// No quad is too large without a limit.
inline F32 quad_sums(F32) { return set1(0.0f); }
inline bool any_above(F32, float) { return false; }

#else

// Lanes 8 i + {0, 1, 4, 5} of the result hold the sum of these lanes of x, lanes 8 i + {2, 3, 6, 7} that of theirs: the
// products that add_dots adds in 16 bits.
#if defined(FL_SIMD_AVX512)
inline F32 quad_sums(F32 x) {
  const F32 pairs = x + F32{_mm512_permute_ps(x.v, 0xB1)};
  return pairs + F32{_mm512_shuffle_f32x4(pairs.v, pairs.v, 0xB1)};
}
inline bool any_above(F32 x, float limit) { return _mm512_cmp_ps_mask(x.v, set1(limit).v, _CMP_GT_OQ) != 0; }
#else
inline F32 quad_sums(F32 x) {
  const F32 pairs = x + F32{_mm256_permute_ps(x.v, 0xB1)};
  return pairs + F32{_mm256_permute2f128_ps(pairs.v, pairs.v, 1)};
}
inline bool any_above(F32 x, float limit) {
  return _mm256_movemask_ps(_mm256_cmp_ps(x.v, set1(limit).v, _CMP_GT_OQ)) != 0;
}
#endif

#endif

/// The larger of each quad's sum of positive values and sum of negative magnitudes, where kQuadLimit bounds them.
inline F32 quad_extents(F32 x) {
  const F32 none = set1(0.0f);
  return max(quad_sums(max(x, none)), quad_sums(max(none - x, none)));
}

/// Takes one from those values of a quad's sign that rounding (from x to q) raised most, until they are in the limit.
inline void bound_quad(float* q, const float* x, const int (&quad)[4], float sign) {
  for (;;) {
    float sum = 0, overshoot = -1;
    int worst = quad[0];
    for (const int j : quad) {
      const float value = sign * q[j];
      if (!(value > 0)) continue;
      sum += value;
      if (value - sign * x[j] > overshoot) {
        overshoot = value - sign * x[j];
        worst = j;
      }
    }
    if (sum <= static_cast<float>(kQuadLimit)) return;
    q[worst] -= sign;
  }
}

/// The same for all quads of a register of values: a rare path.
[[gnu::noinline]] F32 bound_quads(F32 rounded, F32 x) {
  constexpr int kQuads[2][4] = {{0, 1, 4, 5}, {2, 3, 6, 7}};
  float q[F32::kLanes], fine[F32::kLanes];
  store(q, rounded);
  store(fine, x);
  for (int j = 0; j + 8 <= F32::kLanes; j += 8) {
    for (const auto& quad : kQuads) {
      bound_quad(q + j, fine + j, quad, 1.0f);
      bound_quad(q + j, fine + j, quad, -1.0f);
    }
  }
  return load(q);
}

/// q = src[0, k) / scale to the nearest, |q| <= 127, with the smallest scale that keeps quads within kQuadLimit; zeros
/// follow up to a multiple of kDepthUnit. `sum` is that of q. The scale is NaN where src is not finite.
void quantize_column(std::int8_t* dst, float* scale, std::int32_t* sum, const float* src, std::int64_t k) {
  constexpr std::int64_t lanes = F32::kLanes;
  const F32 none = set1(0.0f);
  F32 magnitudes = none, extents = none, poison = none;
  const auto include = [&](F32 x) {
    magnitudes = max(abs(x), magnitudes);
    extents = max(quad_extents(x), extents);
    poison = fma(x, none, poison);
  };
  std::int64_t i = 0;
  for (; i + lanes <= k; i += lanes) include(load(src + i));
  if (i < k) include(load_partial(src + i, k - i));
  const float bad = reduce_add(poison);
  float step = reduce_max(magnitudes) / 127.0f;
  if (kQuadLimit > 0) {
    const float limited = reduce_max(extents) / static_cast<float>(kQuadLimit);
    step = limited > step ? limited : step;
  }
  step = usable_scale(step);
  *scale = step + bad;
  const bool finite = bad == 0;
  const F32 inverse = set1(step > 0 && finite ? 1.0f / step : 0.0f);
  I32 total = zero_i32();
  const auto convert = [&](F32 value, std::int8_t* q) {
    const F32 x = finite ? value * inverse : none;
    F32 rounded = round_to_integer(x);
    if (any_above(quad_extents(rounded), static_cast<float>(kQuadLimit))) rounded = bound_quads(rounded, x);
    const I32 integers = to_integer(rounded);
    total = add(total, integers);
    store_bytes(q, integers);
  };
  for (i = 0; i + lanes <= k; i += lanes) convert(load(src + i), dst + i);
  if (i < k) {
    std::int8_t tail[lanes];
    convert(load_partial(src + i, k - i), tail);
    for (std::int64_t j = i; j < k; ++j) dst[j] = tail[j - i];
  }
  for (i = k; i % kDepthUnit != 0; ++i) dst[i] = 0;
  *sum = sum_of(total);
}

float magnitude(const float* x, std::int64_t n) {
  const F32 none = set1(0.0f);
  F32 most = none, poison = none;  // poison: 0, or NaN when any element is not finite
  const auto include = [&](F32 v) {
    most = max(abs(v), most);
    poison = fma(v, none, poison);
  };
  std::int64_t i = 0;
  for (; i + F32::kLanes <= n; i += F32::kLanes) include(load(x + i));
  if (i < n) include(load_partial(x + i, n - i));
  return reduce_max(most) + reduce_add(poison);
}

/// put(dst + i, register of src[i..]) stores 16-bit elements, for i < n; zeros up to a multiple of kDepthUnit bytes.
template <typename Word, typename Put>
inline void map_to_words(Word* dst, const float* src, std::int64_t n, const Put& put) {
  constexpr std::int64_t unit = kDepthUnit / 2;
  if (n % unit != 0) __builtin_memset(dst + n / unit * unit, 0, kDepthUnit);
  std::int64_t i = 0;
  for (; i + F32::kLanes <= n; i += F32::kLanes) put(dst + i, load(src + i));
  if (i < n) {
    Word tail[F32::kLanes];
    put(tail, load_partial(src + i, n - i));
    for (std::int64_t j = i; j < n; ++j) dst[j] = tail[j - i];
  }
}

void fix_row(std::int16_t* dst, const float* src, std::int64_t n, float factor) {
  const F32 f = set1(factor);
  map_to_words(dst, src, n, [&](std::int16_t* words, F32 x) { store_words(words, to_integer(x * f)); });
}
