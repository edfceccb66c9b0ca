"""What decided about one example."""

import dataclasses

import numpy as np

from tatl_keras.models.explanation.attribution_map import AttributionMap, as_json


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Which regions and which words decided about one example; `model.explain` makes it.

        probabilities[class_index] = baseline + sum(regions) + sum(word_values)
                                   = baseline + modality["image"] + modality["text"]

    Args:
        class_name, class_index: the class that is explained.
        class_names: list of C strings.
        probabilities: floats (C,), softmax of the logits.
        probability_error: floats (C,), standard deviation of the probabilities over six pictures
            that mean the same: the picture, its mirror image, and it moved by 1/32 of its size up,
            down, left and right; `None` without a picture.
        evidence: "image and text", "image", "text" or "none", what the model could read.
        grid: (rows, columns) of the regions, over the picture as the model sees it.
        words: list of dicts of `text`, and `start` and `end` of it in the example's text, of each
            word that the model reads; what is cut off behind `sequence_length` is left out.
        modality: dict of floats, "image" and "text", the exact Shapley values of the two.
        baseline: float, probability of the class where picture and text are missing.
        regions: floats `grid`, Shapley values of the regions; zeros without a picture.
        regions_error: their standard errors, 0 where every coalition was looked at.
        word_values, word_errors: floats (number of words,), likewise of the words.
        maps: dict from name to `AttributionMap`, as far as the model has them.
        grades: dict from "shapley" and the names of the maps to a dict of `deletion`, `insertion`,
            `random_deletion`, `random_insertion`, `random_weights_correlation`, `refused` and
            `reason`; empty with `grade=False`. See `TextAssistedClassifier.explain`.
        seconds: float, how long it took.
        evaluations: int, how many answers of the model were looked at.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_efficientnet_image_only", 2, class_names=["cat", "dog"])
    >>> found = model.explain([{"image": b""}], verbose=0)[0]
    >>> found.evidence, found.baseline, found.modality
    ('none', 0.5, {'image': 0.0, 'text': 0.0})

    Reference: Shapley 1953, "A Value for n-Person Games"; Lundberg and Lee 2017,
    https://arxiv.org/abs/1705.07874.
    """

    class_name: str
    class_index: int
    class_names: list[str]
    probabilities: np.ndarray
    probability_error: np.ndarray | None
    evidence: str
    grid: tuple[int, int]
    words: list[dict]
    modality: dict[str, float]
    baseline: float
    regions: np.ndarray
    regions_error: np.ndarray
    word_values: np.ndarray
    word_errors: np.ndarray
    maps: dict[str, AttributionMap]
    grades: dict[str, dict]
    seconds: float
    evaluations: int

    def to_dict(self):
        """All fields as JSON values, nothing of which is infinite or not a number."""
        return {
            field.name: as_json(getattr(self, field.name)) for field in dataclasses.fields(self)
        }
