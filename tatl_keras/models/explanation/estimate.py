"""Shapley values of two groups of players from some coalitions, with their standard errors."""

import math

import numpy as np

from tatl_keras.models.explanation.coalitions import draw_pairs, draw_pool

_RIDGE = 1e-6
_SIZE_TERMS = 5  # coefficients of g that depend on the sizes of a group
_FITTED = 2.8  # how fast errors grow as g has more coefficients than there are coalitions


class Sample:
    """Coalitions of n regions and m words, and what Shapley values can be made of their worth.

        phi_p = sum over S, T of w_p(S, T) v(S, T)

    is linear in the worth v of regions S with words T. Its weights depend on the sizes s, t of
    both and on whether p belongs to them; in a random order of all players those before p are
    uniform among coalitions of their sizes, independently for regions and words. So, of pairs
    drawn with known probability,

        estimate_p = phi_p(g) + sum over drawn pairs of w_p(S, T) / probability · (v - g)(S, T)

    g, fitted to the drawn pairs, is a sum of functions of the sizes, of single players and of
    pairs of a region and a word, whose Shapley values are known exactly; it takes away most of the
    variance. That it is fitted to the same pairs leaves a bias that falls with 1 / samples, below
    the standard error. Coalitions come with their complements, which cancel all interactions of
    two players. Each pair by itself keeps the sum of all estimates: v(all) - v(nobody).

    Args:
        regions, words: ints n, m ≥ 0.
        images, texts: ints, the budgets of coalitions of regions and of words, see `draw_pool`.
        pairs: int, the most pairs of them.
        seed: int.

    Reference: Castro et al. 2017, "Improving polynomial estimation of the Shapley value by
    stratified random sampling", https://doi.org/10.1016/j.cor.2017.01.019; Covert and Lee 2021,
    "Improving KernelSHAP", section 4, https://arxiv.org/abs/2012.01536 (complements); Särndal et
    al. 1992, "Model Assisted Survey Sampling", chapter 6 (g).
    """

    def __init__(self, regions, words, images, texts, pairs, seed):
        rng = np.random.default_rng([seed, regions, words])
        self.regions, self.words = regions, words
        self.images, self.texts = draw_pool(regions, images, rng), draw_pool(words, texts, rng)
        self._weights = _size_weights(regions, words)
        self.pairs, self.shares = draw_pairs(
            self.images, self.texts, pairs, _masses(*self._weights, regions, words), rng
        )

    def estimate(self, values):
        """Shapley values and their standard errors.

        Args:
            values: floats (P,), v of each of `pairs`.

        Returns:
            Floats (n + m,), regions first, and their standard errors (n + m,), 0 where every
            coalition was looked at.
        """
        values = np.asarray(values, np.float64)
        features, known = self._surrogate()
        scale = np.sqrt(self._importance())[:, None]
        weighted = features * scale
        gram = weighted.T @ weighted
        gram += _RIDGE * np.diag(np.maximum(np.diag(gram), 1e-12))
        fitted = np.linalg.solve(gram, weighted.T @ (values[:, None] * scale))[:, 0]
        influence = self._influence() * (values - features @ fitted)[:, None]
        found = fitted @ known + influence.sum(axis=0)
        return found, np.sqrt(self._variance(influence))

    def _influence(self):
        """Weights (P, n + m) of the values of `pairs`: w / probability."""
        rows, columns = self.pairs.T
        s, t = self.images.sizes[rows], self.texts.sizes[columns]
        (mean_i, contrast_i), (mean_j, contrast_j) = self._weights
        regions = mean_i[s, t, None] + contrast_i[s, t, None] * _contrasts(self.images)[rows]
        words = mean_j[s, t, None] + contrast_j[s, t, None] * _contrasts(self.texts)[columns]
        cell = np.bincount(s * (self.words + 1) + t)[s * (self.words + 1) + t]
        return np.concatenate([regions, words], axis=1) / cell[:, None]

    def _importance(self):
        """Weights (P,) of the fit of g: as in the estimate, the same for all players."""
        return np.linalg.norm(self._influence(), axis=1)

    def _surrogate(self):
        """Features (P, F) of g, and the Shapley values (F, n + m) of each."""
        n, m = self.regions, self.words
        rows, columns = self.pairs.T
        z, x = self.images.members[rows].astype(float), self.texts.members[columns].astype(float)
        s, t = z.sum(axis=1), x.sum(axis=1)
        sizes = np.stack(_size_functions(s, t, n, m), axis=1)
        grid = np.meshgrid(np.arange(n + 1.0), np.arange(m + 1.0), indexing="ij")
        means = [weights[0] for weights in self._weights]
        values = [
            np.repeat([(mean * function).sum() for mean in means], [n, m])
            for function in _size_functions(*grid, n, m)
        ]
        known = np.concatenate([np.array(values), np.eye(n + m)])
        return np.concatenate([sizes, z, x], axis=1), known

    def _variance(self, influence):
        """Variances (n + m,) of the estimates: of drawing regions, words, and pairs of both.

        What pairs add is in the variance between coalitions of either pool already, as far as
        these are a part of all, f_I and f_T of their sizes; all together it counts once:
        1 - f f_I f_T of it, f being the share of the pools' pairs that is looked at.
        """
        n, m = self.regions, self.words
        if not n + m:
            return np.zeros(0)
        rows, columns = self.pairs[::2].T
        _, cell = np.unique(
            self.images.sizes[rows] * (m + 1) + self.texts.sizes[columns], return_inverse=True
        )
        spread = _between(influence.reshape(-1, 2, n + m).sum(axis=1), cell)
        f_images, f_texts = self.images.shares[rows], self.texts.shares[columns]
        once = f_images + f_texts - 1 - self.shares[::2] * f_images * f_texts
        drawn = [
            _clustered(pool, places, influence)
            for pool, places in zip((self.images, self.texts), self.pairs.T, strict=True)
        ]
        both = drawn[0] + drawn[1] + (once[:, None] * spread).sum(axis=0)
        return np.maximum.reduce([both, *drawn])


def _clustered(pool, places, influence):
    """Variances (n + m,) of drawing the coalitions of one pool, each with its complement.

    What g, of p coefficients, leaves of the K coalitions that it is fitted to is less than what it
    leaves of others: times 1 + 3 (p / K)², as games whose Shapley values are known have shown.
    """
    if not pool.members.shape[1]:
        return np.zeros(influence.shape[1])
    sums = np.zeros((len(pool.members) // 2, influence.shape[1]))
    np.add.at(sums, places // 2, influence)
    sizes = pool.sizes[::2]
    stratum = np.minimum(sizes, pool.members.shape[1] - sizes)
    spread = _between(sums, stratum)
    fitted = 1 + _FITTED * ((pool.members.shape[1] + _SIZE_TERMS) / len(sums)) ** 2
    return fitted * (spread * (1 - pool.shares[::2])[:, None]).sum(axis=0)


def _between(values, groups):
    """Squared distances (K, n + m) to the mean of the group, times k / (k - 1) of k in it."""
    count = np.bincount(groups)
    sums = np.zeros((len(count), values.shape[1]))
    np.add.at(sums, groups, values)
    means = sums / np.maximum(count, 1)[:, None]
    factor = np.where(count > 1, count / np.maximum(count - 1, 1), 0.0)
    return factor[groups, None] * np.square(values - means[groups])


def _contrasts(pool):
    """c_p(S) = n / s for members and - n / (n - s) for others, 0 for nobody and all: (K, n)."""
    n, s = pool.members.shape[1], pool.sizes[:, None]
    inside = np.where(s == n, 0.0, n / np.maximum(s, 1))
    outside = np.where(s == 0, 0.0, n / np.maximum(n - s, 1))
    return np.where(pool.members, inside, -outside)


def _size_weights(n, m):
    """`((mean, contrast), (mean, contrast))` of a region and of a word, each (n + 1, m + 1).

        phi_p = sum over s, t of mean(s, t) V(s, t) + contrast(s, t) D_p(s, t)

    V is the mean worth of pairs of sizes s, t; D_p what those with p are worth more than those
    without.
    """
    mean, contrast = _weights_of_first(n, m)
    other = tuple(part.T for part in _weights_of_first(m, n))
    return (mean, contrast), other


def _weights_of_first(n, m):
    if not n:
        return np.zeros((1, m + 1)), np.zeros((1, m + 1))
    before = np.array(
        [
            [
                math.comb(n - 1, s) * math.comb(m, t) / ((n + m) * math.comb(n + m - 1, s + t))
                for t in range(m + 1)
            ]
            for s in range(n)
        ]
    )
    edge = np.zeros((1, m + 1))
    joined, left = np.concatenate([edge, before]), np.concatenate([before, edge])
    s = np.arange(n + 1)[:, None]
    return joined - left, joined * (1 - s / n) + left * s / n


def _masses(of_region, of_word, n, m):
    """How large weights are for pairs of each size, (n + 1, m + 1)."""
    s, t = np.arange(n + 1)[:, None], np.arange(m + 1)[None]
    found = np.zeros((n + 1, m + 1))
    for (mean, contrast), size, count in ((of_region, s, n), (of_word, t, m)):
        inner = np.where((size > 0) & (size < count), size * (count - size), np.inf)
        found += count * (np.square(mean) + np.square(contrast) * count**2 / inner)
    return np.sqrt(found)


def _size_functions(s, t, n, m):
    """Functions of both sizes, of which g is made: smooth ones, and those of a missing modality."""
    s, t = s / max(n, 1), t / max(m, 1)
    no_region, no_word = (s == 0) * 1.0, (t == 0) * 1.0
    flat = [np.ones_like(s), s, t, s * s, t * t, s * t]
    return [*flat, no_region, no_word, no_region * no_word, no_region * t, no_word * s]
