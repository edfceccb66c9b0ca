"""The outputs of frozen encoders, computed once."""

import keras
import numpy as np
import tensorflow as tf


def extract(model, dataset, verbose=1):
    """Runs the frozen encoders over a dataset and keeps what the fusion reads.

    The arrays are what `model` would compute in every epoch: `model(features)` equals
    `model(tensors)`. Inputs of encoders that are still trained are kept as they are.

    Args:
        model: a `TextAssistedClassifier` with at least one frozen encoder.
        dataset: batched dataset of `x`, `(x, y)` or `(x, y, sample_weight)` with tensors as the
            model's preprocessor makes them.
        verbose: 0 for silence, otherwise a progress bar.

    Returns:
        A tuple `(x, y, sample_weight)`: `x` is a dict of arrays with one row an example, in the
        dataset's order; `y` and `sample_weight` are arrays or `None`.

    Raises:
        ValueError: the dataset is empty.
    """
    frozen_features = tf.function(model.frozen_features, reduce_retracing=True)
    steps = int(dataset.cardinality())
    progress = keras.utils.Progbar(
        steps if steps >= 0 else None, verbose=int(bool(verbose)), unit_name="batch of features"
    )
    batches = []
    for batch in dataset:
        x, *rest = batch if isinstance(batch, tuple) else (batch,)
        arrays = {name: value.numpy() for name, value in frozen_features(x).items()}
        batches.append((arrays, *(value.numpy() for value in rest)))
        progress.add(1)
    if not batches:
        raise ValueError("`dataset` must hold at least one example. Received: an empty dataset")
    columns = list(zip(*batches, strict=True))
    x = {name: np.concatenate([batch[name] for batch in columns[0]]) for name in columns[0][0]}
    y, sample_weight = [np.concatenate(column) for column in columns[1:]] + [None] * (3 - len(columns))
    return x, y, sample_weight
