"""Which regions and which words decided: `model.explain`."""

import math
import numbers
import time

import numpy as np
import tqdm

from tatl_keras._shapley import shapley
from tatl_keras.features.rows import rows_of
from tatl_keras.models.explanation.answers import Answers
from tatl_keras.models.explanation.estimate import Sample
from tatl_keras.models.explanation.explanation import Explanation
from tatl_keras.models.explanation.game import Game
from tatl_keras.models.explanation.grades import (
    believed,
    curve_areas,
    random_area,
    rank_correlation,
)
from tatl_keras.models.explanation.maps import HEADS, maps_of
from tatl_keras.models.explanation.players import Picture, Text, region_means
from tatl_keras.models.explanation.random_weights import random_answers
from tatl_keras.models.naming_pictures import naming_pictures
from tatl_keras.models.pipeline import is_tensors, raw_examples

_EVIDENCE = ("none", "image", "text", "image and text")
_IMAGES = 4  # one of so many coalitions is one of regions: pictures take longer than texts
# Pairs of coalitions for each coalition: a fusion of pooled vectors costs next to nothing.
_PAIRS, _PAIRS_OF_TOKENS = 12, 2
_RANDOM_SAMPLES = 96  # of the Shapley values of models with random weights


@naming_pictures
def explain(
    model, x, *, class_name=None, regions=(3, 3), samples=400, grade=True, seed=0, verbose=1
):
    """Says which regions of the picture and which words decided about each example.

    Shapley values share out the probability of a class among regions and words: what each adds to
    others, in the mean over all orders in which they could have come. They are sampled, with
    standard errors; where there are few players they are exact, with errors 0. Their sum is exact
    always. A region is left out by the picture's mean colour, a word by taking it out of the text;
    a picture without regions is missing, and so is a text without words. Regions are equal parts
    of the picture as the model sees it, resized.

    Each encoder sees each coalition once; fusion and head then answer pairs of them. Examples do
    not influence each other, and the same `seed` gives the same numbers.

    Maps of attention and gradients are added, as far as the model has them; see `AttributionMap`.
    Grades say what Shapley values and maps are worth, but for those of single heads:

        deletion, insertion    area under the probability while players are taken out, or put in,
                               the highest first: low, and high, where the order is right. A map's
                               values are divided by the largest of regions, and of words
        random_deletion,       the mean over random orders
        random_insertion
        random_weights_correlation   rank correlation with the same map of the model with its
                               weights exchanged at random, within regions and within words; mean
                               of three such models
        refused, reason        the map ignores the weights: that correlation is above 0.5, and above
                               what chance gives one time in a hundred; or it ranks nothing.
                               The reason also says why a correlation is `None`

    Args:
        model: a `TextAssistedClassifier` with a preprocessor.
        x: raw examples, as `predict` takes them.
        class_name: the class to explain, a name or a number, or a list or array of one for each
            example; `None` for the most probable class of each.
        regions: (rows, columns) of the grid over the picture.
        samples: int ≥ 20, the most coalitions that are encoded for an example, a quarter of them
            of regions and the others of words; but of n regions, and of n words, 2n + 2 where that
            is more, so that some have every size. Errors fall with the square root; below about
            150 standard errors are too small.
        grade: bool, grade the maps; takes about as long again.
        seed: int ≥ 0.
        verbose: 0 for silence.

    Returns:
        List of `Explanation`, one an example.

    Raises:
        ValueError: an argument is out of its bounds, `class_name` is no class, `x` holds tensors
            or is none of what `predict` takes, or the vocabulary is not learned yet.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_efficientnet_lstm_concat", 2, class_names=["cat", "dog"], seed=0)
    >>> x = [{"text": "a small cat"}, {"text": "a big dog"}]
    >>> history = model.fit(x, ["cat", "dog"], epochs=1, verbose=0)
    >>> found = model.explain(x, class_name="cat", grade=False, verbose=0)
    >>> [word["text"] for word in found[0].words], found[0].evidence
    (['a', 'small', 'cat'], 'text')
    >>> total = found[0].baseline + found[0].word_values.sum()
    >>> abs(float(total - found[0].probabilities[0])) < 1e-6
    True

    Reference: Shapley 1953; Castro et al. 2017, https://doi.org/10.1016/j.cor.2017.01.019; Petsiuk
    et al. 2018, https://arxiv.org/abs/1806.07421; Adebayo et al. 2018,
    https://arxiv.org/abs/1810.03292.
    """
    grid = _checked(regions, samples, grade, seed)
    if is_tensors(x):
        raise ValueError(
            '`x` must hold raw examples, "image" and "text", of which regions and words can be '
            f"left out. Received: x of type {type(x).__name__} with tensors."
        )
    names = model.class_names or [str(label) for label in range(model.num_classes)]
    examples = [one for one, _, _ in rows_of(raw_examples(model, x))]
    wanted = _classes(class_name, names, len(examples))
    if model.preprocessor.needs_vocabulary:
        raise ValueError(
            "`explain` must come after the vocabulary is learned. Received: a model without one. "
            "Call `fit` first."
        )
    settings = {"grid": grid, "samples": samples, "grade": grade, "seed": seed}
    answers, found = Answers(model), []
    pairs = zip(examples, wanted, strict=True)
    for one, index in tqdm.tqdm(
        pairs, "Explaining", len(examples), unit="example", disable=not verbose
    ):
        found.append(_explain_one(answers, one, index, names, **settings))
    return found


def _explain_one(answers, example, index, names, grid, samples, grade, seed):
    start = time.perf_counter()
    picture, text = _players(answers.model, example, grid)
    game = Game(answers, picture, text)
    n, m = picture.count, text.count
    sample, answered = _sampled(game, samples, seed)
    ends = np.array([[False, False], [True, False], [False, True], [True, True]])
    corners = game.values(np.repeat(ends[:, :1], n, axis=1), np.repeat(ends[:, 1:], m, axis=1))
    index = int(corners[3].argmax()) if index is None else index
    image_value, text_value = shapley(*corners[:, index])
    worth = answered[:, index]
    values, errors = sample.estimate(worth)
    maps = maps_of(game, index)
    spread = game.spread()
    grades = _grades(game, values, maps, sample, worth, index, seed) if grade else {}
    here = n > 0
    return Explanation(
        class_name=names[index],
        class_index=index,
        class_names=list(names),
        probabilities=corners[3],
        probability_error=spread,
        evidence=_EVIDENCE[here + 2 * (m > 0)],
        grid=grid,
        words=text.words,
        modality={"image": float(image_value), "text": float(text_value)},
        baseline=float(corners[0, index]),
        regions=values[:n].reshape(grid) if here else np.zeros(grid),
        regions_error=errors[:n].reshape(grid) if here else np.zeros(grid),
        word_values=values[n:],
        word_errors=errors[n:],
        maps=maps,
        grades=grades,
        seconds=time.perf_counter() - start,
        evaluations=game.evaluations,
    )


def _players(model, example, grid):
    """`Picture` and `Text` of what the model reads of a raw example."""
    raw = {name: np.asarray(value)[None] for name, value in example.items()}
    text = raw["text"][0] if "text" in raw else b""
    text = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)
    tensors = model.preprocessor(raw | {"text": np.array([text.encode()])})
    image = None
    if "image" in model.encoders and tensors["has_image"][0]:
        image = tensors["images"][0].numpy()
    reads = "text" in model.encoders
    tokens = (tensors[name][0] for name in ("token_ids", "padding_mask")) if reads else ([], [])
    return Picture(image, grid), Text(text, *tokens, model.preprocessor if reads else None)


def _sampled(game, samples, seed):
    """A `Sample`, and the probabilities (P, C) of its pairs."""
    images = samples // _IMAGES
    tokens = any(name.endswith("_tokens") for name in game.answers.uses)
    pairs = samples * (_PAIRS_OF_TOKENS if tokens else _PAIRS)
    budget = {"images": images, "texts": samples - images, "pairs": pairs}
    sample = Sample(game.counts["image"], game.counts["text"], **budget, seed=seed)
    rows = game.rows("image", sample.images.members), game.rows("text", sample.texts.members)
    rows = [of[at] for of, at in zip(rows, sample.pairs.T, strict=True)]
    return sample, game.pairs(*rows)


def _scores(game, values, maps):
    """Dict from name to a dict from modality to what players score, or `None`."""
    n, counts = game.counts["image"], game.counts
    found = {"shapley": {"image": values[:n] if n else None}}
    found["shapley"]["text"] = values[n:] if counts["text"] else None
    for name, one in maps.items():
        if name.startswith(HEADS):
            continue
        regions = None if one.values is None else region_means(one.values, game.picture.grid)
        found[name] = {"image": _scaled(regions), "text": _scaled(one.word_values)}
    return found


def _scaled(values):
    return values if values is None else values / max(float(np.abs(values).max()), 1e-30)


def _grades(game, values, maps, sample, worth, index, seed):
    """Dict from "shapley" and names of maps to grades; empty where there is no player."""
    if not sum(game.counts.values()):
        return {}
    others = []
    for answers in random_answers(game.answers.model):
        other = Game(answers, game.picture, game.text)
        drawn, answered = _sampled(other, _RANDOM_SAMPLES, seed)
        found, _ = drawn.estimate(answered[:, index])
        others.append(_scores(other, found, maps_of(other, index)))
    grades, every = {}, _scores(game, values, maps)
    areas = curve_areas(game, list(every.values()), index)
    for (name, scores), (deletion, insertion) in zip(every.items(), areas, strict=True):
        chance = random_area(game, sample, worth, scores, index)
        known = [rank_correlation(scores, other[name]) for other in others if name in other]
        grades[name] = {"deletion": deletion, "insertion": insertion}
        grades[name] |= {"random_deletion": chance, "random_insertion": chance}
        grades[name] |= believed(scores, known)
    return grades


def _classes(class_name, names, count):
    """The place of each example's class, or `None`."""
    class_name = class_name.tolist() if isinstance(class_name, np.ndarray) else class_name
    given = class_name if isinstance(class_name, (list, tuple)) else [class_name] * count
    if len(given) != count:
        raise ValueError(
            f"`class_name` must be one class, or a list of one for each of {count} examples. "
            f"Received: class_name={class_name!r}"
        )
    found: list[int | None] = []
    for one in given:
        place = names.index(one) if isinstance(one, str) and one in names else one
        number = isinstance(place, numbers.Integral) and not isinstance(place, bool)
        if place is not None and not (number and 0 <= place < len(names)):
            raise ValueError(
                f"`class_name` must be one of {names[:20]}, or a number below {len(names)}. "
                f"Received: class_name={one!r}"
            )
        found.append(None if place is None else int(place))
    return found


def _checked(regions, samples, grade, seed):
    """The grid as two ints; a ValueError where an argument is out of its bounds."""
    whole = [isinstance(size, numbers.Integral) and size > 0 for size in np.ravel(regions)]
    if np.shape(regions) != (2,) or not all(whole) or math.prod(regions) > 400:
        raise ValueError(
            "`regions` must be (rows, columns) of 400 regions at most. "
            f"Received: regions={regions!r}. More than 25 take many samples."
        )
    for name, value, least in (("samples", samples, 20), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
            raise ValueError(
                f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}"
            )
    if not isinstance(grade, bool):
        raise ValueError(f"`grade` must be True or False. Received: grade={grade!r}")
    return tuple(int(size) for size in regions)
