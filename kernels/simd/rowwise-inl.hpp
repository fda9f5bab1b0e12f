// Kernels over one row, each written once: whole registers, then one partial register.

constexpr int kAccumulators = 4;  // independent sums that hide the latency of an addition

/// Sum of term(register of x[i..]) over n elements; `term` maps the lanes beyond the end (zeros) to whatever, `lanes`
/// masks them.
template <typename Term>
inline float reduce_sum(const float* x, std::int64_t n, const Term& term) {
  F32 acc[kAccumulators];
  for (F32& a : acc) a = set1(0.0f);
  std::int64_t i = 0;
  for (; i + kAccumulators * F32::kLanes <= n; i += kAccumulators * F32::kLanes) {
#pragma GCC unroll 4
    for (int j = 0; j < kAccumulators; ++j) acc[j] = acc[j] + term(load(x + i + j * F32::kLanes));
  }
  for (; i + F32::kLanes <= n; i += F32::kLanes) acc[0] = acc[0] + term(load(x + i));
  float sum = reduce_add((acc[0] + acc[1]) + (acc[2] + acc[3]));
  if (i < n) {
    float tail[F32::kLanes];
    store(tail, term(load_partial(x + i, n - i)));
    for (std::int64_t j = 0; j < n - i; ++j) sum += tail[j];
  }
  return sum;
}

/// `later`: a row that will be read soon, which is asked for meanwhile.
inline void layer_norm_row(float* dst, const float* src, const float* later, const float* gamma, const float* beta,
                           std::int64_t n, float eps) {
  const float count = static_cast<float>(n);
  const float mean = reduce_sum(src, n, [](F32 x) { return x; }) / count;
  const F32 centre = set1(mean);
  const float squares = reduce_sum(src, n, [&](F32 x) {
    const F32 d = x - centre;
    return d * d;
  });
  const F32 scale = set1(1.0f / __builtin_sqrtf(squares / count + eps));
  std::int64_t i = 0;
  for (; i + F32::kLanes <= n; i += F32::kLanes) {
    __builtin_prefetch(later + i, 0, 2);
    store(dst + i, fma((load(src + i) - centre) * scale, load(gamma + i), load(beta + i)));
  }
  if (i < n) {
    const std::int64_t rest = n - i;
    const F32 x = (load_partial(src + i, rest) - centre) * scale;
    store_partial(dst + i, fma(x, load_partial(gamma + i, rest), load_partial(beta + i, rest)), rest);
  }
}

/// One row after the other: what it reads is far away, and comes in best as one stream. The hardware follows a stream
/// no further than to the end of a page, so rows are asked for some before they are read, those behind the block too: a
/// block is usually part of a larger matrix.
void layer_norm(const NormBlock& b) {
  constexpr std::int64_t kAhead = 4;
  for (std::int64_t r = 0; r < b.rows; ++r) {
    const float* const src = b.src + r * b.src_stride;
    layer_norm_row(b.dst + r * b.dst_stride, src, src + kAhead * b.src_stride, b.gamma, b.beta, b.n, b.eps);
  }
}

float max_of(const float* x, std::int64_t n) {
  float best = x[0];
  if (n >= F32::kLanes) {
    F32 acc[kAccumulators];
    for (F32& a : acc) a = load(x);
    std::int64_t i = F32::kLanes;
    for (; i + kAccumulators * F32::kLanes <= n; i += kAccumulators * F32::kLanes) {
#pragma GCC unroll 4
      for (int j = 0; j < kAccumulators; ++j) acc[j] = max(load(x + i + j * F32::kLanes), acc[j]);
    }
    for (; i + F32::kLanes <= n; i += F32::kLanes) acc[0] = max(load(x + i), acc[0]);
    acc[0] = max(load(x + n - F32::kLanes), acc[0]);
    return reduce_max(max(max(acc[0], acc[1]), max(acc[2], acc[3])));
  }
  for (std::int64_t i = 1; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

float sum_exp(const float* x, std::int64_t n, float maximum) {
  const F32 shift = set1(maximum);
  return reduce_sum(x, n, [&](F32 v) { return exp(v - shift); });
}

/// x = exp(scale (x - max)), so that the largest becomes 1 as long as scale is positive. Returns the sum.
inline float exponentials(float* x, std::int64_t n, float scale) {
  const F32 shift = set1(max_of(x, n));
  const F32 factor = set1(scale);
  F32s<kTogether> acc = {};
  std::int64_t i = 0;
  for (; i + kTogether * F32::kLanes <= n; i += kTogether * F32::kLanes) {
    const auto e = exp((load_several<kTogether>(x + i) - shift) * factor);
    store_several(x + i, e);
    acc = acc + e;
  }
  for (; i + F32::kLanes <= n; i += F32::kLanes) {
    const F32 e = exp((load(x + i) - shift) * factor);
    store(x + i, e);
    acc.v[0] = acc.v[0] + e;
  }
  float sum = 0;
  for (const F32& a : acc.v) sum += reduce_add(a);
  if (i < n) {
    float tail[F32::kLanes];
    store(tail, exp((load_partial(x + i, n - i) - shift) * factor));
    for (std::int64_t j = i; j < n; ++j) {
      x[j] = tail[j - i];
      sum += x[j];
    }
  }
  return sum;
}

void softmax(float* x, std::int64_t n, float scale) {
  const F32 inverse = set1(1.0f / exponentials(x, n, scale));
  std::int64_t i = 0;
  for (; i + F32::kLanes <= n; i += F32::kLanes) store(x + i, load(x + i) * inverse);
  if (i < n) store_partial(x + i, load_partial(x + i, n - i) * inverse, n - i);
}

float softmax_fixed(std::int16_t* dst, float* x, std::int64_t n, float scale) {
  constexpr float kOne = 32767.0f;
  const float sum = exponentials(x, n, scale);
  const bool finite = sum - sum == 0;
  fix_row(dst, x, n, finite ? kOne / sum : 0.0f);
  return finite ? 1.0f / kOne : sum - sum;
}

/// dst[i] = op(register of src[i..], register of dst[i..]).
template <typename Op>
inline void map_row(float* dst, const float* src, std::int64_t n, const Op& op) {
  std::int64_t i = 0;
  for (; i + F32::kLanes <= n; i += F32::kLanes) store(dst + i, op(load(src + i), load(dst + i)));
  if (i < n) store_partial(dst + i, op(load_partial(src + i, n - i), load_partial(dst + i, n - i)), n - i);
}

void gelu_row(float* dst, const float* src, std::int64_t n) {
  constexpr std::int64_t several = kTogether * F32::kLanes;
  std::int64_t i = 0;
  for (; i + several <= n; i += several) store_several(dst + i, gelu(load_several<kTogether>(src + i)));
  map_row(dst + i, src + i, n - i, [](F32 x, F32) { return gelu(x); });
}

void scale_row(float* x, std::int64_t n, float factor) {
  const F32 f = set1(factor);
  map_row(x, x, n, [&](F32 v, F32) { return v * f; });
}

void add_row(float* dst, const float* src, std::int64_t n) {
  map_row(dst, src, n, [](F32 x, F32 y) { return x + y; });
}

/// dst[r] = x . rows[r] for a few rows, which wait for their sums together; each sum is what it is alone.
template <int kRows>
inline void dot_few(float* dst, const float* x, const float* const (&rows)[kRows], std::int64_t n) {
  F32 acc[kRows];
  for (F32& sum : acc) sum = set1(0.0f);
  std::int64_t i = 0;
  for (; i + F32::kLanes <= n; i += F32::kLanes) {
    const F32 factor = load(x + i);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) acc[r] = fma(factor, load(rows[r] + i), acc[r]);
  }
  if (i < n) {
    const F32 factor = load_partial(x + i, n - i);
    for (int r = 0; r < kRows; ++r) acc[r] = fma(factor, load_partial(rows[r] + i, n - i), acc[r]);
  }
  for (int r = 0; r < kRows; ++r) dst[r] = reduce_add(acc[r]);
}

void dot_rows(float* dst, const float* x, const CachedRows& rows, std::int64_t n) {
  const auto at = [&](std::int64_t t) { return rows.first + rows.row[t] * rows.stride; };
  std::int64_t t = 0;
  for (; t + 4 <= rows.steps; t += 4) dot_few<4>(dst + t, x, {at(t), at(t + 1), at(t + 2), at(t + 3)}, n);
  for (; t < rows.steps; ++t) dot_few<1>(dst + t, x, {at(t)}, n);
}

/// sum_rows for kRegisters registers from element `first` on, of which the last has `lanes` lanes.
template <int kRegisters>
inline void sum_columns(float* dst, const float* weights, const CachedRows& rows, std::int64_t first,
                        std::int64_t lanes) {
  const auto lanes_of = [&](int j) { return j + 1 < kRegisters ? std::int64_t{F32::kLanes} : lanes; };
  F32s<kRegisters> acc = {};
  for (std::int64_t t = 0; t < rows.steps; ++t) {
    const float* const row = rows.first + rows.row[t] * rows.stride + first;
    const F32 weight = set1(weights[t]);
#pragma GCC unroll 4
    for (int j = 0; j < kRegisters; ++j) {
      acc.v[j] = fma(weight, load_lanes(row + j * F32::kLanes, lanes_of(j)), acc.v[j]);
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < kRegisters; ++j) store_lanes(dst + first + j * F32::kLanes, acc.v[j], lanes_of(j));
}

void sum_rows(float* dst, const float* weights, const CachedRows& rows, std::int64_t n) {
  constexpr std::int64_t lanes = F32::kLanes;
  std::int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) sum_columns<4>(dst, weights, rows, i, lanes);
  for (; i < n; i += lanes) sum_columns<1>(dst, weights, rows, i, n - i < lanes ? n - i : lanes);
}
