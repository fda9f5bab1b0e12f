// exp and GELU over F32. The coefficients come from fit_polynomials.py.

/// e^x, at most 1 ulp or so off; x below -87.3 gives the smallest normal number, above 88.3 the largest power kept
/// finite.
inline F32 exp(F32 x) {
  x = min(set1(88.3f), max(set1(-87.3f), x));  // in this order a NaN stays one
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

/// Exact GELU: x * Phi(x), with Phi(-|x|) = erfc(t) / 2 for t = |x| / sqrt 2 and erfc(t) = 2^q(t), a polynomial fitted
/// for the absolute error that Phi needs (1e-8). The left tail keeps its size instead of cancelling in 1 + erf; beyond
/// t = 5.6 the product is below 1e-13.
inline F32 gelu(F32 x) {
  const F32 t = min(abs(x) * set1(0.70710678118654752f), set1(5.6f));
  F32 q = fma(set1(-1.415512088e-06f), t, set1(2.727858919e-05f));
  q = fma(q, t, set1(-2.247091470e-04f));
  q = fma(q, t, set1(1.024728524e-03f));
  q = fma(q, t, set1(-2.528809709e-03f));
  q = fma(q, t, set1(3.030468361e-04f));
  q = fma(q, t, set1(2.761507593e-02f));
  q = fma(q, t, set1(-1.482781023e-01f));
  q = fma(q, t, set1(-9.184466600e-01f));
  q = fma(q, t, set1(-1.627907157e+00f));
  q = q * t;
  const F32 n = round_to_integer(q);
  const F32 r = q - n;
  F32 p = fma(set1(1.535315387e-04f), r, set1(1.339913229e-03f));
  p = fma(p, r, set1(9.618439712e-03f));
  p = fma(p, r, set1(5.550331995e-02f));
  p = fma(p, r, set1(2.402264774e-01f));
  p = fma(p, r, set1(6.931471825e-01f));
  p = fma(p, r, set1(1.0f));
  const F32 tail = p * exp2_of_integer(n - set1(1.0f));  // Phi(-|x|)
  return x * select(less(x, set1(0.0f)), tail, set1(1.0f) - tail);
}
