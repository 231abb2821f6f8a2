"""The helpers of the tests must fail when they should."""

import numpy as np
import pytest

from tests.support import compare, loops
from tests.support.cases import CASES

ONES = np.ones(4, np.float32)


@pytest.mark.parametrize(("counter", "key", "block"), loops.PHILOX_KNOWN_ANSWERS)
def test_philox_known_answers(counter, key, block):
    assert tuple(loops.philox(counter, key)) == block


def test_assert_bounded_accepts_the_bound_and_not_more():
    n, magnitude = 10, 4.0
    compare.assert_bounded(ONES.astype(np.float64) + 0.99 * compare.gamma(n) * magnitude, ONES, magnitude, n)
    with pytest.raises(AssertionError, match="4 of 4 elements off"):
        compare.assert_bounded(ONES.astype(np.float64) + 1.01 * compare.gamma(n) * magnitude, ONES, magnitude, n)


def test_assert_bounded_catches_one_wrong_element():
    wrong = ONES.copy()
    wrong[2] = 1.001
    with pytest.raises(AssertionError, match=r"worst at \(2,\)"):
        compare.assert_bounded(wrong, ONES, 1.0, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_specials_in_the_wrong_place_fail(bad):
    wrong = ONES.copy()
    wrong[1] = bad
    with pytest.raises(AssertionError):
        compare.assert_close(wrong, ONES, rtol=1.0)
    with pytest.raises(AssertionError):
        compare.assert_close(ONES, wrong, rtol=1.0)
    compare.assert_close(wrong, wrong, rtol=0.0)


def test_infinities_of_opposite_sign_fail():
    with pytest.raises(AssertionError):
        compare.assert_close(np.array([np.inf]), np.array([-np.inf]), rtol=1.0)


def test_wrong_shape_fails_although_it_broadcasts():
    with pytest.raises(AssertionError, match="shape"):
        compare.assert_close(ONES[:1], ONES, rtol=1.0)


def test_assert_close_uses_both_tolerances():
    compare.assert_close(ONES * 1.5, ONES, rtol=0.25, atol=0.25)
    with pytest.raises(AssertionError):
        compare.assert_close(ONES * 1.5, ONES, rtol=0.25, atol=0.2)


def test_assert_same_bits_tells_the_zeros_apart():
    compare.assert_same_bits(np.full(3, np.nan, np.float32), np.full(3, np.nan, np.float32))
    with pytest.raises(AssertionError):
        compare.assert_same_bits(np.array([0.0], np.float32), np.array([-0.0], np.float32))


def test_ulps():
    next_one = np.nextafter(np.float32(1), np.float32(2))
    assert compare.ulps(next_one, 1.0) == 1
    assert compare.ulps(np.float32(0), 0.0) == 0


def test_ids_of_cases_are_unique():
    for op, cases in CASES.items():
        assert len({case.id for case in cases}) == len(cases), op
