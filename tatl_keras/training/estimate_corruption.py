"""Finds how many texts are wrong, from examples without labels."""

import numpy as np

from tatl_keras.fusion import NoHarmHead
from tatl_keras.models import TextAssistedClassifier
from tatl_keras.models.features import inputs_of
from tatl_keras.models.pipeline import tensor_batches
from tatl_keras.training.corruption_estimate import CorruptionEstimate

# What is assumed beforehand: as if one more example had been seen, a tenth of its text wrong.
_SEEN_WRONG, _SEEN_RIGHT = 0.1, 0.9
_NARROW = 1.920729  # half the 95 % quantile of chi-squared with one degree of freedom
_STEPS = 60


def estimate_corruption(model, x, *, batch_size=None, feature_cache=None, verbose="auto"):
    """Tells a no-harm model how many texts to expect that do not belong to their pictures.

        maximal over e in (0, 1):  sum_i log((1 - e) exp(s_i) + e) + (log e + 9 log(1 - e)) / 10

    s_i is the `agreement` of picture and text in example i (`fusion.NoHarmHead`). The sum is the
    log-likelihood of the examples, if a share e of the texts was drawn from other examples; the
    rest counts as one more example, a tenth of it wrong. Where few pictures were learned from, a
    single example tells little; dozens tell good texts, which then count for all they are worth,
    from a column of wrong ones, which then counts for nothing. No labels are read.

    Apply it to a sample of what the model will see. The head keeps the result: it is saved and
    exported with the model; `model.head.corruption = 0.1` undoes it.

    Args:
        model: a `TextAssistedClassifier` with a `fusion.NoHarmFusion`, trained or solved.
        x: examples as `model.predict` takes them.
        batch_size, feature_cache, verbose: as in `predict`.

    Returns:
        A `CorruptionEstimate`, with an interval from the likelihood ratio. The interval takes the
        experts' probabilities for true; it does not hold where those are not, as on pictures of
        another kind.

    Raises:
        ValueError: the model has no `NoHarmHead`, or no example has both picture and text.

    Example:

    >>> from tatl_keras import data, training, zoo
    >>> model = zoo.build("test_efficientnet_bert_no_harm", num_classes=2, seed=0)
    >>> examples = data.synthetic.examples(2, 40, seed=0)
    >>> solution = training.solve_head(model, examples, verbose=0)
    >>> found = training.estimate_corruption(model, examples, verbose=0)
    >>> found.num_examples, found.low < found.corruption < found.high  # the others lack something
    (36, True)
    >>> abs(model.head.corruption - found.corruption) < 1e-6
    True

    Reference: for class frequencies, Saerens, Latinne and Decaestecker, "Adjusting the Outputs of a
    Classifier to New a Priori Probabilities", 2002.
    """
    if not isinstance(model, TextAssistedClassifier) or not isinstance(model.head, NoHarmHead):
        head = type(getattr(model, "head", None)).__name__
        raise ValueError(
            "`model` must be a TextAssistedClassifier with a NoHarmHead. Received: model of type "
            f'{type(model).__name__} with head of type {head}. Build it with fusion="no_harm".'
        )
    agreements = _agreements(model, x, batch_size, feature_cache, verbose)
    if not len(agreements):
        raise ValueError(
            "`x` must hold examples with picture and text. Received: none that has both"
        )
    found = most_likely_share(agreements)
    model.head.corruption = found[0]
    return CorruptionEstimate(*found, len(agreements))


def most_likely_share(agreements):
    """The share e of `estimate_corruption` and the ends of its interval.

    The log-likelihood is concave in e, so all three are found by halving.

    Args:
        agreements: floats (N,).

    Returns:
        Three floats between 0 and 1.

    Example:

    >>> [round(share, 3) for share in most_likely_share(np.zeros(50))]  # nothing but the prior
    [0.1, 0.0, 0.917]
    """
    ratios = np.exp(np.clip(np.asarray(agreements, np.float64), -500, 500))

    def value(share):
        likelihood = np.log((1 - share) * ratios + share).sum()
        return likelihood + _SEEN_WRONG * np.log(share) + _SEEN_RIGHT * np.log1p(-share)

    def slope(share):
        likelihood = ((1 - ratios) / ((1 - share) * ratios + share)).sum()
        return likelihood + _SEEN_WRONG / share - _SEEN_RIGHT / (1 - share)

    tiny = 1e-12
    best = _zero(slope, tiny, 1 - tiny)
    bound = value(best) - _NARROW
    low = _zero(lambda share: bound - value(share), tiny, best)
    return best, low, _zero(lambda share: value(share) - bound, best, 1 - tiny)


def _zero(function, low, high):
    """Where a falling function is zero, by halving."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2


def _agreements(model, x, batch_size, feature_cache, verbose):
    """Floats (N,), of the examples with picture and text."""
    options = {"batch_size": batch_size, "feature_cache": feature_cache, "verbose": verbose}
    prepared = inputs_of(model, x, **options)
    found = []
    for batch in tensor_batches(prepared["x"]):
        inputs = batch[0] if isinstance(batch, tuple) else batch
        fused = model.fusion(model.encode(inputs, training=False), training=False)
        agreements = np.asarray(model.head.agreement(fused))
        found.append(agreements[np.asarray(fused)[:, -2:].all(axis=1)])
    return np.concatenate(found)
