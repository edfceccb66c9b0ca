"""Encoding a data set for use alone: before training, or for something other than training."""

import keras
import tensorflow as tf

from tatl_keras.features import FeatureCache, encode_dataset
from tatl_keras.features.sharing import worker_of
from tatl_keras.models.features import sources

_POOLED = ("image_pooled", "has_image", "text_pooled", "has_text")


def encode(
    dataset,
    encoders,
    cache="memory",
    *,
    preprocessor=None,
    uses=None,
    batch_size=32,
    augmented=False,
    verbose=1,
):
    """Runs frozen encoders over the examples whose features are not in the cache yet.

    What is in the cache afterwards is found by every `fit`, `evaluate` and `predict` with the same
    encoders and preprocessing. Killed at any moment, the next call goes on behind the last whole
    file.

    Args:
        dataset: finite `tf.data.Dataset` of raw examples as `data.load` gives, single or batched,
            with or without labels and weights.
        encoders: a model of the zoo, whose encoders, preprocessor and wanted features are taken;
            or a dict from "image", "text" or both to an encoder.
        cache: a folder, "memory" or a `FeatureCache`.
        preprocessor: a `tatl_keras.data.Preprocessor`, when `encoders` is a dict.
        uses: names of the wanted features. Defaults to the model's, or to the pooled vectors.
        batch_size: int, how many examples the encoders see at once.
        augmented: bool, encode the cache's augmented views instead of the plain pictures.
        verbose: 0 for silence; else a progress bar with examples/s and time left.

    Returns:
        An `EncodedDataset`: `.arrays()` is `(x, y, sample_weight)` in memory, `.read(rows)` some
        rows, `.dataset(batch_size, shuffle)` a `tf.data.Dataset` of batches for `fit`.

    Raises:
        ValueError: an argument is none of these; the data set is empty; a picture cannot be read.
        OSError: features are missing and the cache cannot be written.

    Example:

    >>> from tatl_keras import data, training, zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> examples = data.synthetic.examples(2, 6)
    >>> features = training.encode(examples, model, verbose=0)
    >>> x, y, _ = features.arrays()
    >>> x["image_pooled"].shape, y.shape
    ((6, 24), (6,))
    """
    strategy = getattr(encoders, "distribute_strategy", None) or tf.distribute.get_strategy()
    encoders, preprocessor, uses = what_to_encode(encoders, preprocessor, uses)
    cache = FeatureCache.get(cache)
    if cache is None:
        raise ValueError("`cache` must be a folder, 'memory' or a FeatureCache. Received: None")
    return encode_dataset(
        dataset,
        encoders,
        cache,
        preprocessor=preprocessor,
        uses=uses,
        batch_size=batch_size,
        augmented=augmented,
        worker=worker_of(strategy),
        verbose=verbose,
    )


def what_to_encode(encoders, preprocessor=None, uses=None):
    """`(encoders, preprocessor, uses)`, the last two those of a model where they are not given.

    Raises:
        ValueError: `encoders` is neither a model nor a dict of encoders, or there is no vocabulary
            yet for the texts of a frozen encoder.
    """
    if isinstance(encoders, keras.Model):
        preprocessor = encoders.preprocessor if preprocessor is None else preprocessor
        encoders, read = sources(encoders, learn=True)
        uses = read if uses is None else uses
    if not isinstance(encoders, dict) or not encoders or not set(encoders) <= {"image", "text"}:
        raise ValueError(
            '`encoders` must be a model, or a dict from "image", "text" or both to an encoder. '
            f"Received: encoders={encoders!r}"
        )
    frozen_text = "text" in encoders and encoders["text"].frozen
    if frozen_text and preprocessor is not None and preprocessor.needs_vocabulary:
        raise ValueError(
            "`preprocessor` must have a vocabulary before texts can be encoded. Received: one that "
            "learns it in `fit`. Call `preprocessor.adapt` on the training texts, or `fit`."
        )
    return encoders, preprocessor, _POOLED if uses is None else uses
