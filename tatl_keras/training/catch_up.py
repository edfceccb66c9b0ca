"""From which step on training from random weights is as good as from pretrained ones."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class CatchUp:
    """What `catch_up` found.

    Attributes:
        step: float, the step from which on the gap stays closed, or `None` where it does not close.
        low, high: floats, the interval of that step; `None` stands for beyond the last step. Both
            are `None` with a single seed, too.
        probability: float, share of the resampled mean curves that catch up; `None` with one seed.
        gap: float, mean accuracy of pretrained less random at the last step.
        gap_low, gap_high: floats, the interval of the gap; `None` with a single seed.
        last_step: int, the last step that was looked at.
        margin, confidence: as `catch_up` was asked.
        num_seeds: int.

    Example:

    >>> found = catch_up([1, 2, 4], random=[[0.1, 0.2, 0.5]], pretrained=[[0.3, 0.4, 0.5]])
    >>> found.last_step, found.num_seeds, found.low
    (4, 1, None)
    """

    step: float | None
    low: float | None
    high: float | None
    probability: float | None
    gap: float
    gap_low: float | None
    gap_high: float | None
    last_step: int
    margin: float
    confidence: float
    num_seeds: int


def catch_up(
    steps, *, random, pretrained, margin=0.01, confidence=0.95, resamples=2000, seed=0
):  # fmt: skip
    """Estimates the step from which on random initialisation keeps up with pretrained weights.

        d(t)  = mean over seeds of random(t) - pretrained(t)
        step  = the smallest t with d(s) ≥ -margin for every s ≥ t

    Between two evaluations d is taken to be linear in log t. A curve that falls behind again has
    not caught up before it does so for good.

    The interval is a multiplier bootstrap over seeds, paired: with the residuals r_i(t) of n seeds,
    independent standard normal g_i and w of a chi-square distribution with n - 1 degrees of
    freedom,

        d*(t) = d(t) + Σ_i g_i r_i(t) / sqrt(n w)

    has at each t the spread of Student's t interval, so that few seeds give wide intervals. The
    step of each d* is found as above; the interval holds the middle `confidence` of them, those
    that never catch up counted as the latest. Seeds that agree in every digit give an interval of
    no width.

    Args:
        steps: increasing positive numbers (T,), where the curves were evaluated.
        random: accuracies (seeds, T) from random weights, from 0 to 1.
        pretrained: likewise from pretrained weights; row i has the same seed as row i of `random`.
        margin: float ≥ 0, how far behind still counts as caught up. Defaults to 0.01, one point.
        confidence: float between 0 and 1, of the interval.
        resamples: int ≥ 1, number of resampled curves.
        seed: int, of the resampling.

    Returns:
        A `CatchUp`.

    Raises:
        ValueError: the arguments do not have these shapes or bounds.

    Example:

    >>> steps = [10, 100, 1000]
    >>> random = [[0.1, 0.5, 0.90], [0.1, 0.5, 0.90]]
    >>> pretrained = [[0.7, 0.9, 0.90], [0.7, 0.9, 0.90]]
    >>> found = catch_up(steps, random=random, pretrained=pretrained, margin=0.1)
    >>> round(found.step, 3)  # the gap of 0.4 at 100 falls to 0.1 after 3/4 of the way in log t
    562.341

    Reference: He, Girshick and Dollár, "Rethinking ImageNet Pre-training", 2019,
    https://arxiv.org/abs/1811.08883; the bootstrap: Wu, "Jackknife, Bootstrap and Other Resampling
    Methods in Regression Analysis", 1986.
    """
    steps, random, pretrained = _check(steps, random, pretrained)
    check_settings(margin, confidence, resamples)
    paired = random - pretrained
    mean = paired.mean(0)
    step = _crossings(steps, mean[None], margin)[0]
    n = len(paired)
    low = high = probability = gap_low = gap_high = None
    if n > 1:
        rng = np.random.default_rng(seed)
        weights = rng.standard_normal((resamples, n))
        spread = np.sqrt(n * rng.chisquare(n - 1, (resamples, 1)))
        resampled = mean + weights @ (paired - mean) / spread
        crossings = _crossings(steps, resampled, margin)
        ends = [(1 - confidence) / 2, (1 + confidence) / 2]
        # No interpolation between neighbours: one of them may be infinite.
        low, high = map(_finite, np.quantile(crossings, ends, method="inverted_cdf"))
        probability = float(np.isfinite(crossings).mean())
        gap_low, gap_high = map(float, np.quantile(-resampled[:, -1], ends))
    return CatchUp(
        step=_finite(step),
        low=low,
        high=high,
        probability=probability,
        gap=float(0 - mean[-1]),
        gap_low=gap_low,
        gap_high=gap_high,
        last_step=int(steps[-1]),
        margin=margin,
        confidence=confidence,
        num_seeds=n,
    )


def _crossings(steps, curves, margin):
    """The step of each curve (R, T) of differences; infinity where the last one is too low."""
    above = curves + margin >= -1e-12  # differences of equal decimals are not quite zero
    # One more than the index of the last evaluation that is too low.
    first = np.where(above.all(1), 0, above.shape[1] - np.argmax(~above[:, ::-1], axis=1))
    rows = np.arange(len(curves))
    after = np.minimum(first, len(steps) - 1)
    before = np.maximum(after - 1, 0)
    left, right = curves[rows, before] + margin, curves[rows, after] + margin
    rise = np.where(right > left, right - left, 1.0)
    share = np.where(right > left, np.clip(-left / rise, 0.0, 1.0), 1.0)
    logs = np.log(steps)
    found = np.exp(logs[before] + share * (logs[after] - logs[before]))
    found = np.where(first == 0, steps[0], found)
    return np.where(first == len(steps), np.inf, found)


def _finite(step):
    return float(step) if np.isfinite(step) else None


def _check(steps, random, pretrained):
    steps = np.asarray(steps, np.float64)
    if steps.ndim != 1 or not steps.size or steps[0] <= 0 or (np.diff(steps) <= 0).any():
        raise ValueError(
            f"`steps` must be increasing positive numbers. Received: steps={steps.tolist()}"
        )
    curves = {"random": np.asarray(random), "pretrained": np.asarray(pretrained)}
    for name, values in curves.items():
        if values.ndim != 2 or not len(values) or values.shape[1] != len(steps):
            raise ValueError(
                f"`{name}` must be a row for each seed with {len(steps)} accuracies, as many as "
                f"`steps`. Received: {name} of shape {values.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError(f"`{name}` must be finite. Received: {name}={values.tolist()}")
    if len(curves["random"]) != len(curves["pretrained"]):
        raise ValueError(
            "`pretrained` must have the seeds of `random`, in the same order. Received: "
            f"{len(curves['pretrained'])} rows for {len(curves['random'])}"
        )
    return steps, curves["random"].astype(np.float64), curves["pretrained"].astype(np.float64)


def check_settings(margin, confidence, resamples=1):
    """Raises a ValueError for settings of `catch_up` that are out of their bounds."""
    if not margin >= 0:
        raise ValueError(f"`margin` must be a number of at least 0. Received: margin={margin}")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be between 0 and 1. Received: confidence={confidence}")
    if not resamples >= 1:
        raise ValueError(f"`resamples` must be at least 1. Received: resamples={resamples}")
