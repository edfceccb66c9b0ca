"""Which head: every choice is made by held-out log-loss."""

import dataclasses

import numpy as np

from tatl_keras.training.calibration import Held, judge
from tatl_keras.training.folds import balanced_folds
from tatl_keras.training.logistic import fit_logistic

PENALTIES = np.logspace(-3, 3, 41)  # of least squares, in units of `Ridge.size`
LOGISTIC_PENALTIES = np.logspace(0.5, -3, 8)
TEXT_SHARES = (0.3, 0.7)  # beside 0.5, and 0 and 1
CLASS_TEXT_WEIGHTS = (8.0, 4.0, 2.0, 1.0)
STANDARD_ERRORS = 3.0
# Where nothing can be held out: close to the best with one emoji a class, of 8 and of 40 classes.
_UNKNOWN_PENALTY, _UNKNOWN_LOGISTIC_PENALTY, _UNKNOWN_SCALE = 1.0, 0.1, 12.0
_FOLDS, _FEW_FOLDS, _MANY_ROWS = 10, 5, 1000
_MOST_ELEMENTS = 2**24


@dataclasses.dataclass(frozen=True)
class Choice:
    """A head that was looked at: a sum of one head, or two in late fusion.

    Args:
        solver, fusion: str.
        parts: one `(text_share, class_text_weight, penalty)` for each head.
        heads: one `(kernel, bias)` for each head, for unscaled fused features.
        scores: floats (parts, rows, classes), held out; `None` where nothing could be.
        held: what they are worth, `Held`.
    """

    solver: str
    fusion: str
    parts: tuple
    heads: tuple
    scores: np.ndarray | None
    held: Held

    def head(self):
        """Kernel (D, C) and bias (C,), calibrated."""
        pairs = list(zip(self.held.scales, self.heads, strict=True))
        return tuple(sum(scale * head[part] for scale, head in pairs) for part in (0, 1))


class Search:
    """Looks at choices, one after the other, and keeps a record of each in `seen`.

    Args:
        rows: `HeadRows`.
    """

    def __init__(self, rows):
        self.rows = rows
        self.seen = []
        self.scored = rows.scored
        self.labels, self.weights = rows.labels[self.scored], rows.weights[self.scored]
        self._paths = {}

    def exact(self, fusion):
        """The best least-squares head, by exact leave-one-out.

        At equal shares of image and text the weight of the class texts is chosen; then other
        shares, one modality alone, and late fusion. These must be better by three standard errors
        of the paired differences, as five are tried: less is chance where examples are few.

        Args:
            fusion: "auto", "concat", "late", "image_only" or "text_only".

        Returns:
            A `Choice`.
        """
        modalities = self.rows.modalities
        single = fusion.removesuffix("_only") if fusion.endswith("_only") else modalities[0]
        if len(modalities) == 1 or fusion.endswith("_only"):
            return self._over_class_texts(1.0 if single == "text" else 0.0)
        if fusion == "late":
            return self._late(self._path(0.0, 0.0), self._over_class_texts(1.0))
        default = self._over_class_texts(0.5)
        if not self.scored.any():
            return default
        weight = default.parts[0][1]
        others = [self._path(share, weight) for share in TEXT_SHARES]
        if fusion == "auto":
            others.append(self._path(1.0, weight))
            if not self.rows.needs_class_texts:
                others.append(self._path(0.0, 0.0))
                others.append(self._late(*others[-1:-3:-1]))
        return self._leave(default, others)

    def _leave(self, default, others):
        """Of those better than `default` by three standard errors the surest; else `default`."""
        sure = [(choice.held.gain(default.held, self.weights), choice) for choice in others]
        sure = [pair for pair in sure if pair[0] > STANDARD_ERRORS]
        return max(sure, key=lambda pair: pair[0], default=(0.0, default))[1]

    def logistic(self, exact):
        """Multinomial logistic regression on the shares that `exact` chose.

        The penalty is chosen by cross-validation on `folds`. The path goes from strong to weak
        penalties, each started from the one before, and ends when it grew worse twice.

        Args:
            exact: a `Choice` of `self.exact`; for late fusion, the best head on both is taken.

        Returns:
            A `Choice`.
        """
        if len(exact.parts) > 1:
            both = [choice for (share, _), choice in self._paths.items() if 0 < share < 1]
            exact = min(both, key=lambda choice: choice.held.log_loss)
        share, weight, _ = exact.parts[0]
        ridge = self.rows.ridge(share, weight)
        scores, relative, held = None, _UNKNOWN_LOGISTIC_PENALTY, _unknown(1.0)
        if self.scored.any():
            path = self._logistic_path(ridge, exact)
            scores, relative, held = min(path, key=lambda found: found[2].log_loss)
        inner = fit_logistic(ridge, ridge.weights[None], relative * ridge.size)[0]
        head = self._unscaled(ridge.lift(inner[:-1], inner[-1]), share)
        parts = ((share, weight, float(relative)),)
        return Choice("logistic", exact.fusion, parts, (head,), scores, held)

    def on_folds(self, choice):
        """A least-squares `Choice` judged on the folds of `logistic`, to compare like with like."""
        scores = self.fold_scores(choice)
        if scores is choice.scores:
            return choice.held
        return judge(scores, self.labels, self.weights)

    def fold_scores(self, choice):
        """Scores (parts, rows, classes) of a `Choice`, held out by the folds of `logistic`."""
        folds = self.folds()
        if choice.solver == "logistic" or folds.max(initial=-1) + 1 == self.scored.sum():
            return choice.scores
        scores = []
        for share, weight, relative in choice.parts:
            ridge = self.rows.ridge(share, weight)
            scores.append(ridge.leave_folds_out(relative * ridge.size, folds)[self.scored])
        return np.stack(scores)

    def folds(self):
        """Ints (N,): the fold of each row, -1 for rows never held out.

        As many folds as classes have examples on average, at least 2 and at most 10, or 5 from
        1,000 rows on; each class is spread evenly. So few examples keep their frequencies, which
        leaving out one alone would upset.
        """
        most = _FEW_FOLDS if len(self.labels) > _MANY_ROWS else _FOLDS
        return balanced_folds(self.labels, self.scored, most)

    def _logistic_path(self, ridge, like):
        folds = self.folds()
        number, worse, start, found = folds.max() + 1, 0, [None] * (folds.max() + 1), []
        size = max(1, _MOST_ELEMENTS // ridge.targets.size)
        for relative in LOGISTIC_PENALTIES:
            scores = np.zeros((len(folds), self.rows.num_classes))
            for first in range(0, number, size):
                group = np.arange(first, min(first + size, number))
                weights = np.tile(ridge.weights, (len(group), 1))
                weights[:, : len(folds)] *= folds != group[:, None]
                heads = fit_logistic(
                    ridge, weights, relative * ridge.size, start[first],
                    tolerance=np.sqrt(2e-5 * ridge.weights.sum()), max_steps=100,
                )  # fmt: skip
                start[first] = heads
                for fold, head in zip(group, heads, strict=True):
                    held_out = np.flatnonzero(folds == fold)
                    scores[held_out] = ridge.coordinates[held_out] @ head[:-1] + head[-1]
            held = judge(scores[None, self.scored], self.labels, self.weights)
            found.append((scores[None, self.scored], relative, held))
            part = (*like.parts[0][:2], float(relative))
            self.record("logistic", like.fusion, part, held)
            worse = worse + 1 if held.log_loss > min(f[2].log_loss for f in found) else 0
            if worse == 2:
                break
        return found

    def _over_class_texts(self, share):
        """The best weight of the class texts; none where they cannot do without."""
        weights = [0.0]
        if len(self.rows.class_labels) and share > 0:
            weights = [*CLASS_TEXT_WEIGHTS, *([] if self.rows.needs_class_texts else [0.0])]
        if not self.scored.any():
            weights = weights[:1]
        return min(
            (self._path(share, weight) for weight in weights),
            key=lambda choice: choice.held.log_loss,
        )

    def _path(self, share, weight):
        """The best of all penalties at one share and one weight of the class texts."""
        if (share, weight) not in self._paths:
            self._paths[share, weight] = self._new_path(share, weight)
        return self._paths[share, weight]

    def _new_path(self, share, weight):
        fusion = {0.0: "image_only", 1.0: "text_only"}.get(share, "concat")
        ridge = self.rows.ridge(share, weight)
        relative, best, scores = _UNKNOWN_PENALTY, _unknown(_UNKNOWN_SCALE), None
        if self.scored.any():
            count, start, best = len(self.rows.labels), None, None
            paths = ridge.leave_one_out(PENALTIES * ridge.size, count)
            for penalty, left_out in zip(PENALTIES, paths, strict=True):
                left_out = left_out[None, self.scored]
                held = judge(left_out, self.labels, self.weights, start, tolerance=1e-4)
                start = held.scales
                self.record("exact", fusion, (share, weight, float(penalty)), held)
                if best is None or held.log_loss < best.log_loss:
                    relative, best, scores = penalty, held, left_out
            best = judge(scores, self.labels, self.weights, best.scales)
        head = self._unscaled(ridge.head(relative * ridge.size), share)
        part = (share, weight, float(relative))
        return Choice("exact", fusion, (part,), (head,), scores, best)

    def _late(self, image, text):
        """Two heads whose calibrated scores are added."""
        parts, heads = image.parts + text.parts, image.heads + text.heads
        if image.scores is None:
            return Choice("exact", "late", parts, heads, None, _unknown(*[_UNKNOWN_SCALE / 2] * 2))
        scores = np.concatenate([image.scores, text.scores])
        held = judge(scores, self.labels, self.weights)
        self.record("exact", "late", (None, text.parts[0][1], None), held)
        return Choice("exact", "late", parts, heads, scores, held)

    def record(self, solver, fusion, part, held):
        """Writes down that a head with `part` (see `Choice`) was looked at and is `held`."""
        names = ("text_share", "class_text_weight", "regularization")
        self.seen.append(
            {"solver": solver, "fusion": fusion, **dict(zip(names, part, strict=True))}
            | {"log_loss": held.log_loss, "accuracy": held.accuracy}
        )

    def _unscaled(self, head, share):
        """A head on scaled columns as one on the fused features themselves."""
        scales = self.rows.scales(share)
        kernel = np.zeros((len(scales), self.rows.num_classes))
        kernel[scales > 0] = scales[scales > 0, None] * head[0]
        return kernel, head[1]


def _unknown(*scales):
    return Held(np.array(scales), np.zeros(0))
