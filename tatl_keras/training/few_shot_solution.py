"""What solving a few-shot classifier found: a function of image features, in numbers."""

import dataclasses

import numpy as np

from tatl_keras.models.class_embeddings import unit_rows
from tatl_keras.training.tip_adapter import tip_adapter_logits
from tatl_keras.training.zero_shot import zero_shot_logits


@dataclasses.dataclass(frozen=True)
class FewShotSolution:
    """A classifier of image features: what texts say, what neighbours say, what a line says.

        logits = zero_shot_scale cos(x, e) + cache_scale cache(x) + x / |x| @ kernel + bias

    Each part that was not chosen is zero. `cache` is `tip_adapter_logits` of the pictures it was
    solved from, kernel and bias are scaled already. Made by `solve_few_shot`.

    Args:
        method: the parts, joined by "+": "zero_shot", "linear", "zero_shot+cache",
            "zero_shot+linear" or "zero_shot+cache+linear".
        class_embeddings: floats (C, D), e.
        zero_shot_scale, cache_scale: floats ≥ 0.
        sharpness: float, of the cache.
        keys, key_labels: floats (N, D) and ints (N,), the pictures it was solved from.
        kernel, bias: floats (D, C) and (C,).
        class_text_weight: how many pictures the text of a class counted for in the linear part.
        log_loss, accuracy: by leave-one-out; `nan` where no picture could be left out.
        choices: list of dicts, all methods looked at: `method`, `log_loss`, `accuracy`.
        reason: str, why this method.

    Example:

    >>> from tatl_keras import training
    >>> solution = training.solve_few_shot([[1.0, 0.1], [0.2, 1.0]], [0, 1], [[1, 0], [0, 1]])
    >>> int(solution.logits([[4.0, 1.0]]).argmax())
    0
    >>> print(solution.report().splitlines()[0])
    zero_shot+linear, with default settings: no class has a second picture.
    """

    method: str
    class_embeddings: np.ndarray
    zero_shot_scale: float
    cache_scale: float
    sharpness: float
    keys: np.ndarray
    key_labels: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    class_text_weight: float
    log_loss: float
    accuracy: float
    choices: list
    reason: str

    def logits(self, image_features):
        """Logits (N, C) of pooled image features (N, D), float64.

        Raises:
            ValueError: another number of channels, or a row that is zero or not finite.
        """
        found = self.zero_shot_scale * zero_shot_logits(image_features, self.class_embeddings, 1.0)
        if self.cache_scale:
            cache = (self.keys, self.key_labels, len(self.bias), self.sharpness)
            found += self.cache_scale * tip_adapter_logits(image_features, *cache)
        return found + unit_rows("image_features", image_features) @ self.kernel + self.bias

    def report(self):
        """Text of a few lines: what was chosen and why, and all that was looked at."""
        lines = [self.reason]
        if self.choices:
            lines += ["", f"{'method':<26}{'log-loss':>10}{'accuracy':>10}"]
        for row in sorted(self.choices, key=lambda row: row["log_loss"]):
            lines.append(f"{row['method']:<26}{row['log_loss']:>10.4f}{row['accuracy']:>10.4f}")
        return "\n".join(lines)
