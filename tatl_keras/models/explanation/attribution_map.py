"""Where one way of looking at a model says that an answer comes from."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class AttributionMap:
    """How much each place of a picture and each word of a text counts, by one method.

    | name | values | word_values |
    |---|---|---|
    | `attention` | attention of the fusion, mean over the words that attend | likewise over places |
    | `attention_rollout` | that attention, or what is read of the encoder, traced back through the encoder's layers | likewise |
    | `attention_head_image_1`, … | what each head of the encoder's last layer looks at | – |
    | `attention_head_text_1`, … | – | likewise |
    | `gradient` | Grad-CAM: max(0, sum over channels of the mean gradient · token) | gradient · token |

    Args:
        name, title: strings, for programs and for people.
        values: floats (h, w) over the picture as the model sees it, or `None`.
        word_values: floats (number of words,), or `None`.
        word_to_region: floats (number of words, h, w), what each word looked at, or `None`.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import models
    >>> found = models.AttributionMap("gradient", "Gradient", values=np.eye(2))
    >>> found.to_dict()["values"]
    [[1.0, 0.0], [0.0, 1.0]]

    Reference: Selvaraju et al. 2017, "Grad-CAM", section 3, https://arxiv.org/abs/1610.02391;
    Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3,
    https://arxiv.org/abs/2005.00928.
    """  # noqa: E501

    name: str
    title: str
    values: np.ndarray | None = None
    word_values: np.ndarray | None = None
    word_to_region: np.ndarray | None = None

    def to_dict(self):
        """All fields as JSON values."""
        return {
            field.name: as_json(getattr(self, field.name)) for field in dataclasses.fields(self)
        }


def as_json(value):
    """Arrays as lists of floats, and what has such inside; no number is infinite or none."""
    if isinstance(value, dict):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(part) for part in value]
    if isinstance(value, np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, AttributionMap):
        return value.to_dict()
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
