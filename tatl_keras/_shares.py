"""Shares of right answers: how sure one is, and how two on the same examples differ."""

import math
import statistics

_NORMAL = statistics.NormalDist().inv_cdf(0.975)


def share_interval(right, count):
    """The 95 % interval of a share, after Wilson; it is inside 0 to 1 also for few examples.

    It contains the share; a share of 0 or of 1 is one of its ends, without rounding.

        (p + z²/2n ± z √(p (1 - p)/n + z²/4n²)) / (1 + z²/n),   p = right / n,   z = 1.96

    Args:
        right: int, from 0 to `count`.
        count: int n, at least 1.

    Returns:
        The pair of its ends.

    Example:

    >>> [round(end, 4) for end in share_interval(8, 10)]
    [0.4902, 0.9433]

    Reference: Brown, Cai and DasGupta, Interval estimation for a binomial proportion, 2001.
    """
    share, square = right / count, _NORMAL**2 / count
    half = _NORMAL * math.sqrt(share * (1 - share) / count + square / (4 * count))
    low, high = ((share + square / 2 + side * half) / (1 + square) for side in (-1, 1))
    return 0.0 if right == 0 else low, 1.0 if right == count else high


def paired_difference(only_first, only_second, count):
    """The difference of two shares of the same n examples.

    b of them are right by the first alone and c by the second alone:

        difference = (c - b) / n         with the 95 % interval of Agresti and Min
        p = P(X ≤ min(b, c)) · 2         X binomial (b + c, 1/2): McNemar's exact test

    Args:
        only_first, only_second: ints b and c.
        count: int n.

    Returns:
        A dict of floats: `difference`, `low`, `high`, `p_value`.

    Example:

    >>> {name: round(value, 4) for name, value in paired_difference(1, 9, 100).items()}
    {'difference': 0.08, 'low': 0.0165, 'high': 0.1403, 'p_value': 0.0215}

    Reference: Agresti and Min, Simple improved confidence intervals for comparing matched
    proportions, 2005.
    """
    discordant = only_first + only_second
    # Half an example more in each of the four cells.
    centre = (only_second - only_first) / (count + 2)
    spread = math.sqrt(discordant + 1 - (only_second - only_first) ** 2 / (count + 2)) / (count + 2)
    terms = [
        math.lgamma(discordant + 1) - math.lgamma(k + 1) - math.lgamma(discordant - k + 1)
        for k in range(min(only_first, only_second) + 1)
    ]
    tail = math.fsum(math.exp(term - discordant * math.log(2)) for term in terms)
    return {
        "difference": (only_second - only_first) / count,
        "low": max(-1.0, centre - _NORMAL * spread),
        "high": min(1.0, centre + _NORMAL * spread),
        "p_value": min(1.0, 2 * tail),
    }
