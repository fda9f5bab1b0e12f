"""Derives the polynomial coefficients of kernels/simd/math-inl.hpp (needs numpy and mpmath).

Each fit is a weighted least-squares fit on Chebyshev nodes whose weights are raised where the error is largest
(Lawson's iteration), which converges to the minimax polynomial. Printed: coefficients from the constant term up, rounded
to float32, and the largest weighted error of the rounded polynomial.
"""
import math

import mpmath as mp
import numpy as np


def lawson(f, lo, hi, degree, scale, nodes=400, rounds=300):
    """Polynomial p of `degree` that minimises max |p(x) - f(x)| * scale(x) on [lo, hi]."""
    x = (lo + hi) / 2 + (hi - lo) / 2 * np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)
    y = np.array([float(f(v)) for v in x])
    s = np.array([float(scale(v)) for v in x])
    w = np.ones(nodes)
    best = (np.inf, None)
    for _ in range(rounds):
        m = np.sqrt(w) * s
        c, *_ = np.linalg.lstsq(np.vander(x, degree + 1, increasing=True) * m[:, None], y * m, rcond=None)
        e = np.abs(np.polynomial.polynomial.polyval(x, c) - y) * s
        if e.max() < best[0]:
            best = (e.max(), c)
        w = w * (e + 1e-30)
        w /= w.sum()
    c32 = best[1].astype(np.float32)
    e = np.abs(np.polynomial.polynomial.polyval(x, c32.astype(float)) - y) * s
    return c32, e.max()


def show(name, fit):
    c, e = fit
    print(f"{name}: max error {e:.2e}")
    print("  " + ", ".join(f"{v:.9e}f" for v in c))


if __name__ == "__main__":
#exp(r) = 1 + r + r ^ 2 p(r) on | r | <= ln 2 / 2, relative error.
    show("exp", lawson(lambda r: (mp.e**r - 1 - r) / r**2 if r else mp.mpf(1) / 2, -0.3470, 0.3470, 4, lambda r: r * r / np.exp(r)))
# 2 ^ r = 1 + r p(r) on | r | <= 1 / 2, relative error.
    show("exp2", lawson(lambda r: (mp.mpf(2) ** r - 1) / r if r else mp.log(2), -0.501, 0.501, 5, lambda r: abs(r) / 2**r))
# 2 ^ r = 1 + r p(r) on 0 <= r <= 1, relative error: power_of_2 in round-inl.hpp.
    show("power_of_2", lawson(lambda r: (mp.mpf(2) ** r - 1) / r if r else mp.log(2), 0.0, 1.0, 2, lambda r: r / 2**r))
#log2(erfc(t)) on 0 <= t <= 5.6, absolute error of erfc; the floor keeps the far tail near its value.
    show("log2 erfc", lawson(lambda t: mp.log(mp.erfc(t), 2), 0.0, 5.6, 10, lambda t: max(float(mp.erfc(t)), 1e-8) * math.log(2)))
# Phi(x) = 1 / 2 + x p(x ^ 2) on 0 <= x <= 4.4, absolute error of x Phi(x). p(a^2) = 1 / (2 a) + (a^2 - u) q, so that Phi(a) is 1;
# the constant term of p then moves by two units in the last place, with which rounding to f32 leaves Phi(-a) just above 0.
    a = 4.4
    fit, error = lawson(lambda u: (float(mp.erf(mp.sqrt(u / 2))) / (2 * math.sqrt(u)) - 0.5 / a) / (a * a - u) if 0 < u < a * a else 0.0,
                        1e-6, a * a - 1e-6, 7, lambda u: u * (a * a - u))
    p = np.append(a * a * fit.astype(float), 0) - np.append(0, fit.astype(float))
    p[0] += 0.5 / a + 6e-8
    show("gelu_8bit", (p.astype(np.float32), error))
