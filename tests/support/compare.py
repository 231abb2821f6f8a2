"""Comparing arrays with errors that can be justified.

u is the unit roundoff of float32, 2^-24. A sum of n products in float32, in any order, differs from the
exact one by at most gamma_n sum |a_i b_i|, gamma_n = n u / (1 - n u)
(Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
"""

import numpy as np

UNIT_ROUNDOFF = 2.0**-24
TINY = 2.0**-126


def gamma(n):
    """Relative error bound of n roundings in float32."""
    return n * UNIT_ROUNDOFF / (1 - n * UNIT_ROUNDOFF)


def ulps(actual, expected):
    """Distance of float32 `actual` from `expected` in units of the last place of expected in float32."""
    expected = np.asarray(expected, np.float64)
    spacing = np.spacing(np.maximum(np.abs(expected), TINY).astype(np.float32)).astype(np.float64)
    return np.abs(np.asarray(actual, np.float64) - expected) / spacing


def _assert_same_specials(actual, expected):
    """Check that shapes are equal and specials in the same places; return where both are finite."""
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite], "NaN and infinities differ")
    return finite


def assert_within(actual, expected, bound):
    """Check |actual - expected| <= bound elementwise, NaN and infinities in the same places."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    finite = _assert_same_specials(actual, expected)
    error = np.abs(np.where(finite, actual, 0) - np.where(finite, expected, 0))
    excess = ~(error <= bound) & finite
    if not excess.any():
        return
    worst = np.unravel_index(np.argmax(np.where(excess, error, -1)), error.shape)
    allowed = np.broadcast_to(bound, error.shape)[worst]
    raise AssertionError(
        f"{excess.sum()} of {excess.size} elements off, worst at {tuple(map(int, worst))}: "
        f"got {actual[worst]}, expected {expected[worst]}, error {error[worst]:.3g}, allowed {allowed:.3g}"
    )


def assert_bounded(actual, expected, magnitude, n):
    """Check |actual - expected| <= gamma_n magnitude.

    Args:
        actual: what a float32 kernel gave.
        expected: the same in float64.
        magnitude: sum |a_i b_i| of each element's sum.
        n: number of roundings on the way to each element.
    """
    assert_within(actual, expected, gamma(n) * np.asarray(magnitude, np.float64) + TINY)


def assert_close(actual, expected, rtol, atol=0.0):
    """Check |actual - expected| <= rtol |expected| + atol, NaN and infinities in the same places."""
    expected = np.asarray(expected, np.float64)
    finite = np.where(np.isfinite(expected), expected, 0)
    assert_within(actual, expected, rtol * np.abs(finite) + atol)


def assert_same_bits(actual, expected):
    """Check that two arrays are equal bit for bit."""
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual.view(np.uint8), expected.view(np.uint8), "bits differ")
