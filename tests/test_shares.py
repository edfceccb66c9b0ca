"""Intervals of shares, against SciPy and sums over all tables."""

import itertools

import pytest
import scipy.stats

from tatl_keras import _shares


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (3, 7), (50, 100), (999, 1000)])
def test_the_interval_is_wilsons(right, count):
    expected = scipy.stats.binomtest(right, count).proportion_ci(method="wilson")
    assert _shares.share_interval(right, count) == pytest.approx((expected.low, expected.high))


def test_the_interval_contains_the_share():
    """Exactly, as bars of errors need it: a length below zero cannot be drawn."""
    for count in range(1, 400):
        assert _shares.share_interval(0, count)[0] == 0.0
        assert _shares.share_interval(count, count)[1] == 1.0
        for right in {0, 1, count // 2, count - 1, count}:
            low, high = _shares.share_interval(right, count)
            assert 0.0 <= low <= right / count <= high <= 1.0, (right, count)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 5), (5, 0), (3, 4), (12, 30), (700, 640)])
def test_mcnemar_is_the_binomial_test(b, c):
    expected = scipy.stats.binomtest(b, b + c).pvalue if b + c else 1.0
    found = _shares.paired_difference(b, c, 2000)
    assert found["p_value"] == pytest.approx(expected, rel=1e-9)
    assert found["low"] <= found["difference"] <= found["high"]


def test_the_interval_covers():
    """Exactly 95 % or nearly: summed over all tables of 40 pairs, not drawn."""
    count, p_first, p_second = 40, 0.05, 0.15
    covered = 0.0
    for b, c in itertools.product(range(count + 1), repeat=2):
        if b + c <= count:
            found = _shares.paired_difference(b, c, count)
            shares = [p_first, p_second, 1 - p_first - p_second]
            chance = scipy.stats.multinomial.pmf([b, c, count - b - c], count, shares)
            covered += chance * (found["low"] <= p_second - p_first <= found["high"])
    assert 0.93 < covered < 0.98
