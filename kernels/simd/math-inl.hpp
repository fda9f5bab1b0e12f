// exp and GELU over F32. The coefficients come from fit_polynomials.py.

/// e^x, at most 1 ulp or so off; x below -87.3 gives the smallest normal number, above 88.3 the largest power kept finite.
inline F32 exp(F32 x) {
  x = min(max(x, set1(-87.3f)), set1(88.3f));
  const F32 n = round_to_integer(x * set1(1.44269504088896341f));
  // r = x - n ln 2, ln 2 split so that n times the first part is exact.
  F32 r = fma(n, set1(-0.693359375f), x);
  r = fma(n, set1(2.12194440e-4f), r);
  F32 p = fma(set1(1.381443231e-03f), r, set1(8.368796669e-03f));
  p = fma(p, r, set1(4.166839644e-02f));
  p = fma(p, r, set1(1.666651964e-01f));
  p = fma(p, r, set1(4.999999404e-01f));
  p = fma(p, r * r, r) + set1(1.0f);
  return p * exp2_of_integer(n);
}

/// Exact GELU: x * Phi(x) = x / 2 * erfc(-x / sqrt 2). erfc(t) for t = |x| / sqrt 2 is 1 - t p(t^2) up to 1 and exp(q(t)) above,
/// so that the left tail keeps its relative accuracy instead of cancelling in 1 + erf.
inline F32 gelu(F32 x) {
  const F32 t = min(abs(x) * set1(0.70710678118654752f), set1(10.0f));
  const F32 s = t * t;
  F32 p = fma(set1(7.889122935e-05f), s, set1(-8.020842215e-04f));
  p = fma(p, s, set1(5.189535674e-03f));
  p = fma(p, s, set1(-2.685444430e-02f));
  p = fma(p, s, set1(1.128360033e-01f));
  p = fma(p, s, set1(-3.761262596e-01f));
  p = fma(p, s, set1(1.128379107e+00f));
  const F32 small = set1(1.0f) - t * p;
  F32 q = fma(set1(-2.149609099e-05f), t, set1(4.391061666e-04f));
  q = fma(q, t, set1(-4.193610046e-03f));
  q = fma(q, t, set1(2.517896518e-02f));
  q = fma(q, t, set1(-1.083724797e-01f));
  q = fma(q, t, set1(-6.332626343e-01f));
  q = fma(q, t, set1(-1.129556775e+00f));
  q = fma(q, t, set1(1.834441646e-04f));
  const F32 erfc = select(less(t, set1(1.0f)), small, exp(q));
  const F32 half = set1(0.5f) * erfc;
  return x * select(less(x, set1(0.0f)), half, set1(1.0f) - half);
}
