"""Solves a head of class texts: ridge regression from fused features into the space of texts."""

import dataclasses

import numpy as np

from tatl_keras.fusion.normalization import LENGTH
from tatl_keras.training.calibration import Held, judge
from tatl_keras.training.folds import folds_of_few
from tatl_keras.training.head_search import PENALTIES
from tatl_keras.training.head_solution import HeadSolution
from tatl_keras.training.ridge import Ridge

CLASS_PENALTIES = (0.1, 1.0)
# Where nothing can be held out: those of `head_search`.
_UNKNOWN_PENALTY, _UNKNOWN_CLASS_PENALTY, _UNKNOWN_SCALE = 1.0, 1.0, 12.0
_MOST_BIAS, _HALVINGS = 50.0, 60


@dataclasses.dataclass(frozen=True)
class ClassTextSolution:
    """A projection into the space of class texts, calibrated.

    Args:
        kernel: floats (D, De), P.
        projection_bias: floats (De,), p.
        scale: float, so that `scale / 16 · (x P + p) · e_c` are logits.
        new_class_bias: float, what logits of classes without an example lack.
        penalty: float, in units of `Ridge.size`.
        class_penalty: float.
        held: `Held`, of the rows that were left out.
    """

    kernel: np.ndarray
    projection_bias: np.ndarray
    scale: float
    new_class_bias: float
    penalty: float
    class_penalty: float
    held: Held


class ClassTextSearch:
    """Ridge regression on both sides, of features and of class texts, around nearest class text.

        z_c    = t · e_c / 16                            t the text's part of x; 0 without text
        W, b   minimal: sum_i w_i |onehot_i - z_i - x_i W - b|² + penalty |W|²
        M      = (K + class_penalty I)⁻¹ E,              K = E Eᵀ, of classes with an example
        logits = scale (z + (x W + b) M Eᵀ)

    So with strong penalties an answer is the nearest class text, and examples change it as far as
    leaving some out shows that they should; a class without example gets from the others what
    their texts have in common with its own. Examples are left out one by one, below 10 a class one
    of every class together: one of two alone would be judged by one example of its class and two
    of the others, and nearest texts look better than they are. Left-out predictions are exact, as
    is what whole classes left out tell of classes without examples: see `new_class_bias`.

    Args:
        rows: `HeadRows`; its class texts are not looked at.
        embeddings: floats (C, De), E, rows of length 1.
        reads_text: bool, whether the last De columns of x are the text's.

    Reference: Romera-Paredes and Torr 2015, "An embarrassingly simple approach to zero-shot
    learning", section 3.1, https://proceedings.mlr.press/v37/romera-paredes15.html (W, M).
    """

    def __init__(self, rows, embeddings, reads_text):
        self.rows, self.reads_text = rows, reads_text
        self.known = np.flatnonzero(rows.counts)
        self.embeddings = np.asarray(embeddings, np.float64)[self.known]
        self.labels = np.searchsorted(self.known, rows.labels)
        x = np.asarray(rows.x, np.float64)
        self.nearest = np.zeros((len(x), len(self.known)))
        if reads_text:
            self.nearest = x[:, -self.embeddings.shape[1] :] @ self.embeddings.T / LENGTH
        targets = np.eye(len(self.known))[self.labels] - self.nearest
        self.ridge = Ridge(x, targets, rows.weights)
        self.seen: list[dict] = []

    def solve(self):
        """The `ClassTextSolution` of least log-loss on what was left out."""
        scored, best = self.rows.scored, None
        penalty, class_penalty = _UNKNOWN_PENALTY, _UNKNOWN_CLASS_PENALTY
        held = Held(np.array([_UNKNOWN_SCALE]), np.zeros(0))
        if scored.any():
            for number, left_out in enumerate(self._left_out(PENALTIES * self.ridge.size)):
                for one in CLASS_PENALTIES:
                    scores = self.nearest + left_out @ self._shared(one) @ self.embeddings.T
                    found = judge(
                        scores[None, scored], self.labels[scored], self.rows.weights[scored],
                        tolerance=1e-4,
                    )  # fmt: skip
                    self._record(PENALTIES[number], one, found)
                    if best is None or found.log_loss < best.log_loss:
                        best, penalty, class_penalty = found, PENALTIES[number], one
            held = best
        kernel, bias = self.ridge.head(penalty * self.ridge.size)
        shared = self._shared(class_penalty)
        kernel, bias = LENGTH * kernel @ shared, LENGTH * bias @ shared
        if self.reads_text:
            kernel[-self.embeddings.shape[1] :] += np.eye(self.embeddings.shape[1])
        scale = float(held.scales[0])
        new = self.new_class_bias(penalty, class_penalty, scale)
        return ClassTextSolution(kernel, bias, scale, new, float(penalty), class_penalty, held)

    def new_class_bias(self, penalty, class_penalty, scale):
        """What to add to the logit of a class that has no example.

        Each class in turn is left out as if it had none, exactly, and each other row from the fit
        that predicts it. The bias is the one of least log-loss: with it the new classes are as
        probable, on average over all rows, as they are frequent.
        """
        scored, weights = self.rows.scored, self.rows.weights
        if not scored.any() or len(self.known) < 3:
            return 0.0
        margins, members = [], []
        for label in range(len(self.known)):
            others = np.arange(len(self.known)) != label
            own, e = self.labels == label, self.embeddings
            left_out = self.ridge.leave_group_out(penalty * self.ridge.size, own)[:, others]
            spread = left_out @ self._shared(class_penalty, others) @ e.T
            logits = scale * (self.nearest + spread)
            top = logits[:, others].max(axis=1)
            rest = top + np.log(np.exp(logits[:, others] - top[:, None]).sum(axis=1))
            margins.append((logits[:, label] - rest)[scored])
            members.append(own[scored])
        margins, weights = np.concatenate(margins), np.tile(weights[scored], len(self.known))
        wanted = weights @ np.concatenate(members)
        low, high = -_MOST_BIAS, _MOST_BIAS
        for _ in range(_HALVINGS):  # the expected number rises with the bias
            middle = (low + high) / 2
            enough = weights @ np.exp(-np.logaddexp(0, -(margins + middle))) >= wanted
            low, high = (low, middle) if enough else (middle, high)
        return (low + high) / 2

    def _left_out(self, penalties):
        """Yields for each penalty what ridges without a row, or its fold, predict for it."""
        folds = folds_of_few(self.labels[self.rows.scored], self.rows.scored)
        if folds is None:
            yield from self.ridge.leave_one_out(penalties)
            return
        for penalty in penalties:
            yield self.ridge.leave_folds_out(penalty, folds)

    def _shared(self, class_penalty, chosen=slice(None)):
        """M (classes, De)."""
        e = self.embeddings[chosen]
        return np.linalg.solve(e @ e.T + class_penalty * np.eye(len(e)), e)

    def _record(self, penalty, class_penalty, held):
        self.seen.append(
            {"solver": "exact", "fusion": f"class texts, their penalty {class_penalty:g}"}
            | {"text_share": None, "class_text_weight": 0.0, "regularization": float(penalty)}
            | {"log_loss": held.log_loss, "accuracy": held.accuracy}
        )


def solve_class_text_head(model, rows):
    """Loads a `ClassTextHead` with projection with what `ClassTextSearch` finds.

    Args:
        model: a `TextAssistedClassifier` with such a head, whose embeddings are there.
        rows: `HeadRows`.

    Returns:
        A `HeadSolution`.
    """
    head = model.head
    search = ClassTextSearch(rows, head.embeddings.numpy(), "text" in model.encoders)
    found = search.solve()
    head.kernel.assign(found.kernel)
    head.projection_bias.assign(found.projection_bias)
    head.scale.assign(found.scale)
    head.new_class_bias.assign(found.new_class_bias)
    head.bias.assign(np.where(rows.counts > 0, 0.0, found.new_class_bias))
    model.prior.set_weights([rows.counts])
    count, scored = f"{rows.total} examples", rows.scored.any()
    how = f"{count} left out in turn" if scored else "default settings: none can be left out"
    return HeadSolution(
        solver="exact",
        fusion="concat" if len(rows.modalities) == 2 else f"{rows.modalities[0]}_only",
        text_share=None,
        class_text_weight=0.0,
        regularization=found.penalty,
        scales=(found.scale,),
        log_loss=found.held.log_loss,
        accuracy=found.held.accuracy,
        num_examples=rows.total,
        choices=search.seen,
        reason=f"class texts, penalty {found.class_penalty:g} among them, {how}; logits of new "
        f"classes are raised by {found.new_class_bias:.2f}.",
    )
