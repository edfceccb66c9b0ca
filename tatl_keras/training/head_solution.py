"""What solving a head found, in numbers and in words."""

import dataclasses
import math

_KIND = ("solver", "fusion", "text_share", "class_text_weight")


@dataclasses.dataclass(frozen=True)
class HeadSolution:
    """What `solve_head` chose, and what else it looked at.

    Args:
        solver: "exact", "logistic", or the method of `solve_few_shot`.
        fusion: "concat", "late", "image_only" or "text_only".
        text_share: share of the text in the squared features, 0 to 1; `None` for late fusion.
        class_text_weight: how many examples the texts of a class count for together.
        regularization: penalty, in units of the features' mean squared distance from their mean;
            `None` for late fusion, which has two.
        scales: the inverse temperature, folded into the head; two for late fusion, image and text,
            and for a head that texts have taught, learned from labels and from them.
        log_loss, accuracy: held out; `nan` where no example could be left out.
        num_examples: int.
        choices: list of dicts, all that was looked at: `solver`, `fusion`, `text_share`,
            `class_text_weight`, `regularization`, `log_loss`, `accuracy`.
        reason: str, why this head.
        text_supervision: for a model that learns from text and answers without it, the share of
            the head that the texts taught, 0 where they were left out; `None` for other models.

    Example:

    >>> row = {"solver": "exact", "fusion": "image_only", "text_share": 0.0}
    >>> row |= {"class_text_weight": 0.0, "regularization": 1.0, "log_loss": 0.5, "accuracy": 0.9}
    >>> rest = {"scales": (3.0,), "num_examples": 10, "reason": "exact, asked for."}
    >>> print(HeadSolution(**row, **rest, choices=[row]).report())
    exact, asked for.
    <BLANKLINE>
    head                                           penalty  log-loss  accuracy
    exact image_only                                     1    0.5000    0.9000
    """

    solver: str
    fusion: str
    text_share: float | None
    class_text_weight: float
    regularization: float | None
    scales: tuple
    log_loss: float
    accuracy: float
    num_examples: int
    choices: list
    reason: str
    text_supervision: float | None = None

    def summary(self):
        """What was chosen and why, as a dict for JSON: no `choices`, and `None` for `nan`."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del values["choices"]
        unknown = {name for name in ("log_loss", "accuracy") if math.isnan(values[name])}
        return {name: None if name in unknown else value for name, value in values.items()}

    def report(self):
        """Text of a few lines: what was chosen and why, and the best of each kind beside it."""
        if not self.choices:
            return self.reason
        best: dict[tuple, dict] = {}
        for row in self.choices:
            key = tuple(row[name] for name in _KIND)
            if key not in best or row["log_loss"] < best[key]["log_loss"]:
                best[key] = row
        lines = [self.reason, "", f"{'head':<44}{'penalty':>10}{'log-loss':>10}{'accuracy':>10}"]
        for row in sorted(best.values(), key=lambda row: row["log_loss"]):
            penalty = "" if row["regularization"] is None else f"{row['regularization']:.3g}"
            lines.append(
                f"{_title(row):<44}{penalty:>10}{row['log_loss']:>10.4f}{row['accuracy']:>10.4f}"
            )
        return "\n".join(lines)


def _title(row):
    title = f"{row['solver']} {row['fusion']}"
    if row["fusion"] == "concat":
        title += f", text share {row['text_share']:g}"
    if row["class_text_weight"]:
        title += f", class texts × {row['class_text_weight']:g}"
    return title
