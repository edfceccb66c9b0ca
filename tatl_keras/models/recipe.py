"""The default way to train, chosen for small data."""

import functools
import numbers

import keras

from tatl_keras.encoders import ImageEncoder, TransformerTextEncoder
from tatl_keras.layers.checks import check_choice, check_count
from tatl_keras.models.warmup import InverseSquareRoot

SCHEDULES = ("auto", "constant", "cosine")
_PRETRAINED = (ImageEncoder, TransformerTextEncoder)
_CLIP_NORM = 1.0
_WARMUP = 0.1  # of all steps
_WARMUP_STEPS = 100  # where it is not known how many there will be


def default_optimizer(fusion, encoders):
    """The optimizer that `compile(optimizer="auto")` takes.

    A linear head on frozen encoders is a convex problem: gradient descent that starts at zero
    follows the solutions that an L2 penalty of falling strength has (Suggala, Prasad and Ravikumar,
    "Connecting Optimization and Regularization Paths", 2018), where Adam's per-weight steps do not:
    one to four points on small data. The learning rate fits vectors of the length that
    `fusion.PooledNormalization` gives.

    Args:
        fusion: the fusion layer, built.
        encoders: dict from modality to encoder.

    Returns:
        SGD (0.002, Nesterov momentum 0.9) for a linear head; else Adam, with 1e-4 where a
        pretrained encoder learns and 1e-3 otherwise.
    """
    kind, rate = _kind_and_rate(fusion, encoders)
    return kind(rate)


def writing_optimizer(encoders):
    """The optimizer that `compile(optimizer="auto")` takes for models that write.

    Args:
        encoders: dict from modality to encoder.

    Returns:
        Adam with `InverseSquareRoot` and gradients of a norm of at most 1; the largest rate is
        1e-4 where a pretrained encoder learns, else 1e-3.
    """
    kind, rate = _kind_and_rate(None, encoders)
    return kind(InverseSquareRoot(rate, _WARMUP_STEPS), global_clipnorm=_CLIP_NORM)


def make_optimizer(
    model,
    *,
    steps,
    learning_rate="auto",
    learning_rate_schedule="auto",
    warmup_steps="auto",
    clip_norm="auto",
):
    """The optimizer for a training of known length.

        rate(s) = learning_rate (s + 1) / (w + 1)                             for s < w steps
        rate(s) = learning_rate (1 + cos(pi (s - w) / (steps - w))) / 2       after them, "cosine"
        rate(s) = learning_rate                                               after them, "constant"
        gradient = gradient min(1, clip_norm / |gradient|)                    of all weights at once

    Where a pretrained encoder learns, its first steps would otherwise follow a head that knows
    nothing, so the step grows over a tenth of the training, falls to zero, and no gradient is
    longer than 1: what BERT and ViT are fine-tuned with (see References). Models that write are
    trained so, too. Everything else is trained as `compile(optimizer="auto")` does, by steps of one
    size.

    The rate is a function of `optimizer.iterations` alone, so a training that goes on from a
    checkpoint goes on with its rate. One that starts after the last step learns nothing: compile
    again.

    Args:
        model: a `TextAssistedClassifier`, `Captioner` or `Translator`, whose encoders are frozen or
            unfrozen already.
        steps: int, of the whole training: epochs times batches an epoch, the last, smaller one
            counted.
        learning_rate: float ≥ 0, the largest. `"auto"` is that of `compile(optimizer="auto")`.
        learning_rate_schedule: "constant" or "cosine". `"auto"` is "cosine" where a pretrained
            encoder learns.
        warmup_steps: int from 0 to less than `steps`. `"auto"` is a tenth of them with "cosine",
            else 0.
        clip_norm: float > 0, the longest gradient, or `None` for any length. `"auto"` is 1 where a
            pretrained encoder learns, else `None`.

    Returns:
        A `keras.optimizers.Optimizer`, to be given to `model.compile`.

    Raises:
        ValueError: an argument is none of these.

    Example:

    >>> from tatl_keras import training, zoo
    >>> model = zoo.build("test_efficientnet_bert_concat", num_classes=2)
    >>> model.image_encoder.unfreeze(last_n=1)
    >>> steps = 20 * -(-100 // 32)  # 20 epochs of 100 examples
    >>> options = {"learning_rate_schedule": "cosine", "clip_norm": 1.0}
    >>> model.compile(training.make_optimizer(model, steps=steps, **options))
    >>> float(model.optimizer.learning_rate) < 1e-3 / 8
    True

    References: Devlin et al. 2019, "BERT", https://arxiv.org/abs/1810.04805, appendix A.2 (and its
    code: norm 1); Dosovitskiy et al. 2021, "An image is worth 16x16 words",
    https://arxiv.org/abs/2010.11929, appendix B.1; Mosbach et al. 2021, "On the stability of
    fine-tuning BERT", https://arxiv.org/abs/2006.04884.
    """
    fusion = getattr(model, "fusion", None)
    fine_tunes = fusion is None or _fine_tunes(model.encoders)
    kind, rate = _kind_and_rate(fusion, model.encoders)
    steps = check_count("steps", steps)
    check_choice("learning_rate_schedule", learning_rate_schedule, SCHEDULES)
    if learning_rate != "auto":
        rate = _check_number("learning_rate", learning_rate, 0)
    if learning_rate_schedule == "auto":
        learning_rate_schedule = "cosine" if fine_tunes else "constant"
    if warmup_steps == "auto":
        warmup_steps = int(_WARMUP * steps) if learning_rate_schedule == "cosine" else 0
    if clip_norm == "auto":
        clip_norm = _CLIP_NORM if fine_tunes else None
    elif clip_norm is not None:
        clip_norm = _check_number("clip_norm", clip_norm, 1e-30)
    _check_warmup(warmup_steps, steps)
    rate = _scheduled(rate, learning_rate_schedule, warmup_steps, steps)
    return kind(rate, global_clipnorm=clip_norm)


def _fine_tunes(encoders):
    return any(
        isinstance(encoder, _PRETRAINED) and encoder.preset and not encoder.frozen
        for encoder in encoders.values()
    )


def _kind_and_rate(fusion, encoders):
    """(optimizer class with its options, learning rate); `fusion` is None for what writes."""
    linear = fusion is not None and not fusion.trainable_weights
    if linear and all(encoder.frozen for encoder in encoders.values()):
        return functools.partial(keras.optimizers.SGD, momentum=0.9, nesterov=True), 0.002
    return keras.optimizers.Adam, 1e-4 if _fine_tunes(encoders) else 1e-3


def _scheduled(rate, schedule, warmup_steps, steps):
    """A number, or Keras's schedule; one that decays by nothing is constant after its warm-up."""
    if schedule == "constant" and not warmup_steps:
        return rate
    warmup = {}
    if warmup_steps:
        warmup = {"warmup_target": rate, "warmup_steps": warmup_steps}
    return keras.optimizers.schedules.CosineDecay(
        rate / (warmup_steps + 1), steps - warmup_steps, alpha=float(schedule == "constant"),
        **warmup,
    )  # fmt: skip


def _check_number(name, value, least):
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not value >= least:
        bound = "of at least 0" if least == 0 else "above 0"
        raise ValueError(
            f"`{name}` must be a number {bound}. Received: {name}={value!r}. "
            "'auto' is what suits the model."
        )
    return float(value)


def _check_warmup(warmup_steps, steps):
    whole = isinstance(warmup_steps, numbers.Integral) and not isinstance(warmup_steps, bool)
    if not whole or not 0 <= warmup_steps < steps:
        raise ValueError(
            f"`warmup_steps` must be an int from 0 to less than steps={steps}. "
            f"Received: warmup_steps={warmup_steps!r}. It counts steps, not epochs."
        )
