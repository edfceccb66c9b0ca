"""How far a map can be believed."""

import math

import numpy as np

_BOUND = 0.5
_QUANTILE = 2.33  # of a normal distribution: chance exceeds it one time in a hundred


def curve_areas(game, maps, index):
    """Areas under the probability while players are taken out, and put in, the highest first.

        area = mean over k players of (p_{i} + p_{i + 1}) / 2

    Args:
        game: a `Game`.
        maps: list of dicts from "image" and "text" to scores, floats (n,) and (m,), or `None`;
            players without scores stay in.
        index: int, the class.

    Returns:
        List of `(deletion, insertion)`; both are the probability where nothing can be taken out.

    Reference: Petsiuk et al. 2018, "RISE", section 4.3, https://arxiv.org/abs/1806.07421.
    """
    chains = [chain for scores in maps for chain in _chains(game, scores)]
    parts = zip(*chains, strict=True)
    probabilities = game.values(*(np.concatenate(part) for part in parts))[:, index]
    ends = np.cumsum([len(regions) for regions, _ in chains])[:-1]
    areas = [area(curve) for curve in np.split(probabilities, ends)]
    return list(zip(areas[::2], areas[1::2], strict=True))


def _chains(game, scores):
    """The coalitions, bools (k + 1, n) and (k + 1, m), of taking out and those of putting in."""
    flat = np.concatenate([np.zeros(0) if v is None else v for v in scores.values()])
    order = np.argsort(-flat, kind="stable")
    put_in = np.zeros((len(order) + 1, len(order)), bool)
    for step, player in enumerate(order):
        put_in[step + 1 :, player] = True
    found = []
    for chain in (~put_in, put_in):
        parts, start = [], 0
        for modality, value in scores.items():
            size = 0 if value is None else len(value)
            all_in = np.ones((len(chain), game.counts[modality]), bool)
            parts.append(all_in if value is None else chain[:, start : start + size])
            start += size
        found.append(parts)
    return found


def area(curve):
    """The mean height of a curve of equal steps, by the trapezoidal rule.

    >>> area([1.0, 0.0, 0.0])
    0.25
    """
    curve = np.asarray(curve, np.float64)
    return float(curve[0] if len(curve) == 1 else (curve[:-1] + curve[1:]).mean() / 2)


def random_area(game, sample, values, scores, index):
    """The mean area over all random orders of the players that `scores` orders.

    Of random orders, those that delete are those that insert, backwards. The mean worth of each
    number of players comes from the coalitions of the Shapley values; where one modality alone is
    ordered, from its coalitions beside the whole other.

    Args:
        game, scores, index: as of `curve_areas`.
        sample: the `Sample` of the Shapley values.
        values: floats (P,), the probabilities of its pairs.
    """
    moved = [modality for modality, value in scores.items() if value is not None]
    n, m = game.counts["image"], game.counts["text"]
    if sum(game.counts[modality] for modality in moved) == n + m:
        rows, columns = sample.pairs.T
        s, t = sample.images.sizes[rows], sample.texts.sizes[columns]
        means = _means(s * (m + 1) + t, values, (n + 1) * (m + 1)).reshape(n + 1, m + 1)
        curve = np.zeros(n + m + 1)
        for (s, t), mean in np.ndenumerate(means):
            curve[s + t] += mean * math.comb(n, s) * math.comb(m, t) / math.comb(n + m, s + t)
        return area(curve)
    pool = sample.images if moved == ["image"] else sample.texts
    whole = {m: np.ones((len(pool.members), game.counts[m]), bool) for m in scores}
    found = game.values(*(whole | {moved[0]: pool.members}).values())[:, index]
    return area(_means(pool.sizes, found, game.counts[moved[0]] + 1))


def _means(groups, values, count):
    total = np.bincount(groups, minlength=count)
    return np.bincount(groups, values, minlength=count) / np.maximum(total, 1)


def rank_correlation(scores, others):
    """Spearman's correlation of scores within each modality, weighted by its players less one.

    Args:
        scores, others: dicts from modality to floats (players,), or `None`.

    Returns:
        Float, or `None` where one of them ranks nothing.

    >>> rank_correlation({"text": [0.1, 0.5, 0.3]}, {"text": [1.0, 9.0, 4.0]})
    1.0
    """
    total = weight = 0.0
    for modality, value in scores.items():
        other = others.get(modality)
        if value is None or other is None or not (_ranks_some(value) and _ranks_some(other)):
            continue
        found = np.corrcoef(_ranks(value), _ranks(other))[0, 1]
        total, weight = total + (len(value) - 1) * found, weight + len(value) - 1
    return round(float(total / weight), 12) if weight else None


def believed(scores, correlations):
    """Whether a map depends on what the model has learned.

    Args:
        scores: dict from modality to floats (players,), or `None`.
        correlations: floats, `rank_correlation` with the same map of models of random weights.

    Returns:
        Dict of `random_weights_correlation`, `refused` and `reason`; without a correlation, the
        reason says why there is none.

    Reference: Adebayo et al. 2018, "Sanity Checks for Saliency Maps", section 3.1,
    https://arxiv.org/abs/1810.03292.
    """
    known = [value for value in correlations if value is not None]
    mean = float(np.mean(known)) if known else None
    steps = sum(len(value) - 1 for value in scores.values() if value is not None)
    ranked = any(_ranks_some(value) for value in scores.values() if value is not None)
    refused, reason = bool(steps and not ranked), ""
    if refused:
        reason = "It says the same of every region and word."
    elif not steps:
        reason = "There are no two regions and no two words to rank."
    elif mean is None:
        reason = "No model with random weights has such a map that ranks anything."
    else:
        chance = _QUANTILE / math.sqrt(max(steps, 1) * len(known))
        refused = mean > max(_BOUND, chance)
        if refused:
            reason = (
                f"It looks alike with random weights: rank correlation {mean:.2f}, mean of "
                f"{len(known)}; {max(_BOUND, chance):.2f} is the most that is believed."
            )
    return {"random_weights_correlation": mean, "refused": refused, "reason": reason}


def _ranks_some(values):
    """Whether values differ by more than rounding does."""
    values = np.asarray(values, np.float64)
    return len(values) > 1 and float(np.ptp(values)) > 1e-9 * max(float(np.abs(values).max()), 1e-9)


def _ranks(values):
    """Ranks; equal values share the mean of theirs."""
    values = np.asarray(values)
    less = (values[None] < values[:, None]).sum(axis=1)
    same = (values[None] == values[:, None]).sum(axis=1)
    return less + (same - 1) / 2
