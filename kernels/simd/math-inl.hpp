// exp and GELU over one register or several (Value: F32 or F32s). The coefficients come from fit_polynomials.py.

/// e^x, at most 1 ulp or so off; x below -87.3 gives the smallest normal number, above 88.3 the largest power kept
/// finite.
template <typename Value>
inline Value exp(Value x) {
  x = min(set1(88.3f), max(set1(-87.3f), x));  // in this order a NaN stays one
  const Value n = round_to_integer(x * set1(1.44269504088896341f));
  // r = x - n ln 2, ln 2 split so that n times the first part is exact.
  Value r = fma(n, set1(-0.693359375f), x);
  r = fma(n, set1(2.12194440e-4f), r);
  Value p = fma(set1(1.381443231e-03f), r, set1(8.368796669e-03f));
  p = fma(p, r, set1(4.166839644e-02f));
  p = fma(p, r, set1(1.666651964e-01f));
  p = fma(p, r, set1(4.999999404e-01f));
  p = fma(p, r * r, r) + set1(1.0f);
  return p * exp2_of_integer(n);
}

/// Exact GELU: x * Phi(x), with Phi(-|x|) = erfc(t) / 2 for t = |x| / sqrt 2 and erfc(t) = 2^q(t), a polynomial fitted
/// for the absolute error that Phi needs (1e-8). The left tail keeps its size instead of cancelling in 1 + erf; beyond
/// t = 5.6 the product is below 1e-13.
template <typename Value>
inline Value gelu(Value x) {
  const Value t = min(abs(x) * set1(0.70710678118654752f), set1(5.6f));
  Value q = fma(set1(-1.415512088e-06f), t, set1(2.727858919e-05f));
  q = fma(q, t, set1(-2.247091470e-04f));
  q = fma(q, t, set1(1.024728524e-03f));
  q = fma(q, t, set1(-2.528809709e-03f));
  q = fma(q, t, set1(3.030468361e-04f));
  q = fma(q, t, set1(2.761507593e-02f));
  q = fma(q, t, set1(-1.482781023e-01f));
  q = fma(q, t, set1(-9.184466600e-01f));
  q = fma(q, t, set1(-1.627907157e+00f));
  q = q * t;
  const Value n = round_to_integer(q);
  const Value r = q - n;
  Value p = fma(set1(1.535315387e-04f), r, set1(1.339913229e-03f));
  p = fma(p, r, set1(9.618439712e-03f));
  p = fma(p, r, set1(5.550331995e-02f));
  p = fma(p, r, set1(2.402264774e-01f));
  p = fma(p, r, set1(6.931471825e-01f));
  p = fma(p, r, set1(1.0f));
  const Value tail = p * exp2_of_integer(n - set1(1.0f));  // Phi(-|x|)
  return x * by_sign(x, tail, set1(1.0f) - tail);
}

/// GELU for products whose operands have 8 bits, a hundred times less exact: within max(5e-5, 2e-6 |x|) of it. Phi(x) =
/// 1/2 + x p(x^2), fitted for the error of x Phi(x), with x held at +-4.4, where Phi is meant to be 0 and 1.
template <typename Value>
inline Value gelu_8bit(Value x) {
  const Value held = max(set1(-4.4f), min(x, set1(4.4f)));
  const Value u = held * held;
  Value p = fma(set1(3.569318105e-11f), u, set1(-3.753952704e-09f));
  p = fma(p, u, set1(1.740812650e-07f));
  p = fma(p, u, set1(-4.724801329e-06f));
  p = fma(p, u, set1(8.429226000e-05f));
  p = fma(p, u, set1(-1.054987544e-03f));
  p = fma(p, u, set1(9.643010795e-03f));
  p = fma(p, u, set1(-6.607639790e-02f));
  p = fma(p, u, set1(3.987616599e-01f));
  return x * fma(held, p, set1(0.5f));
}
