"""Averages of trained weights, chosen by held-out examples."""

import os

import numpy as np

from tatl_keras.training.trained_weights import put_trained_weights, trained_weights


def greedy_soup(
    model, ingredients, validation_data, *, monitor="accuracy", batch_size=None, feature_cache=None
):
    """Gives a model the average of those weights that are better together than the best alone.

        order ingredients by accuracy, best first; soup = [the first]
        for each other: if accuracy(mean(soup + [it])) >= accuracy(mean(soup)): soup += [it]
        weights = mean(soup)

    All accuracies are on the held-out examples, so there the average is at least as accurate as
    each ingredient. It costs one evaluation for each ingredient and one for each but the first,
    and nothing in use. Ingredients of equal accuracy are ordered by their loss. Moving statistics
    of batch normalisation that is not frozen are averaged as the weights are.

    The ingredients must have come from the same start, as checkpoints of one training or trainings
    from the same pretrained weights: averages of unrelated networks are worth nothing.

    Args:
        model: a compiled `keras.Model` that reports `monitor`.
        ingredients: list, each what `trained_weights(model)` gives, or a file that
            `model.load_weights` takes, such as `model.keras` of a run. A file also brings what is
            not averaged.
        validation_data: what `model.evaluate` takes, not learned from and not tested on.
        monitor: name of a metric that is better when larger.
        batch_size, feature_cache: as `evaluate` takes them.

    Returns:
        A dict: `chosen`, places of the ingredients in the order in which they were added;
        `monitor`'s name and `loss`, values of the average; `alone`, `monitor` of each ingredient.

    Raises:
        ValueError: there are no ingredients, one is not of this model, or the model does not
            report `monitor`.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import training, zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> x = {"image_pooled": np.eye(2, 24, dtype="float32"), "has_image": np.array([1, 1])}
    >>> ingredients = []
    >>> for known in (0, 1):  # one of the two examples, and mistakes the other for it
    ...     kernel, bias = np.zeros((24, 2)), np.zeros(2)
    ...     kernel[:2, known], kernel[known, known] = 0.1, 1.0
    ...     ingredients.append([kernel, bias])
    >>> soup = training.greedy_soup(model, ingredients, (x, np.array([0, 1])))
    >>> soup["alone"], soup["chosen"], soup["accuracy"]
    ([0.5, 0.5], [0, 1], 1.0)

    Reference: Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models
    improves accuracy without increasing inference time", https://arxiv.org/abs/2203.05482,
    recipe 1; there over trainings with different settings.
    """
    ingredients = list(ingredients)
    if not ingredients:
        raise ValueError(
            "`ingredients` must hold weights of at least one model. Received: ingredients=[]"
        )
    score = _scorer(model, validation_data, monitor, batch_size, feature_cache)
    alone = []
    for ingredient in ingredients:
        put_trained_weights(model, _arrays(model, ingredient))
        alone.append(score())
    chosen, total, best = [], 0.0, None
    for place in sorted(range(len(alone)), key=alone.__getitem__, reverse=True):
        weights = _arrays(model, ingredients[place])
        tried = [np.add(part, added, dtype=np.float64) for part, added in _pairs(total, weights)]
        found = alone[place]
        if chosen:
            put_trained_weights(model, _divided(tried, len(chosen) + 1))
            found = score()
        if not chosen or found[0] >= best[0]:
            chosen, total, best = [*chosen, place], tried, found
    put_trained_weights(model, _divided(total, len(chosen)))
    values = {monitor: best[0], "loss": -best[1], "alone": [value for value, _ in alone]}
    return {"chosen": chosen, **values}


def _scorer(model, validation_data, monitor, batch_size, feature_cache):
    """A function that returns (monitor, -loss) of the model as it is."""
    single = not isinstance(validation_data, (tuple, list))
    data = (validation_data,) if single else tuple(validation_data)
    names = ("x", "y", "sample_weight")
    options = dict(zip(names, data, strict=False)) | {"return_dict": True, "verbose": 0}
    given = {"batch_size": batch_size, "feature_cache": feature_cache}
    options |= {name: value for name, value in given.items() if value is not None}

    def score():
        logs = model.evaluate(**options)
        if monitor not in logs:
            raise ValueError(
                f"`monitor` must be a metric of the model, one of {sorted(logs)}. "
                f"Received: monitor={monitor!r}"
            )
        return float(logs[monitor]), -float(logs["loss"])

    return score


def _arrays(model, ingredient):
    if isinstance(ingredient, (str, os.PathLike)):
        model.load_weights(ingredient)
        return trained_weights(model)
    return ingredient


def _pairs(total, weights):
    return zip(total or [0.0] * len(weights), weights, strict=True)


def _divided(total, count):
    return [(part / count).astype(np.float32) for part in total]
