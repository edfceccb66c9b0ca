"""Running frozen encoders over a data set, as far as their features are not there yet."""

import keras
import numpy as np
import tensorflow as tf
import tqdm

from tatl_keras.features.batches import default_batch_size
from tatl_keras.features.encoded import EncodedDataset, Modality
from tatl_keras.features.filling import Filler
from tatl_keras.features.kept import GivenTensors, Kept
from tatl_keras.features.rows import TENSORS, is_batched, is_raw, rows_of, value_of
from tatl_keras.features.sharing import finish_together, own_shares


def encode_dataset(
    dataset, encoders, cache, *, preprocessor, uses, batch_size=None, augmented=False,
    worker=(0, 1), verbose=1,
):  # fmt: skip
    """Runs the frozen encoders over the examples whose features are not in the cache.

    Examples are read once, in their order. Equal pictures and equal texts are encoded once.

    Several workers with the same folder encode a share of the examples each and wait for the
    others. If one dies, or has another folder, its share is encoded by those that wait for it,
    which read the examples once more. In memory every worker encodes everything.

    Args:
        dataset: finite `tf.data.Dataset` of raw examples, single or batched, or of batches of
            tensors or features; with or without labels and weights.
        encoders: dict from "image", "text" or both to the encoder. What an encoder that is not
            frozen takes is kept in memory as it is.
        cache: a `FeatureCache`.
        preprocessor: a `tatl_keras.data.Preprocessor`; `None` when `dataset` has tensors.
        uses: names of the features that are wanted, as `Fusion.uses`.
        batch_size: int, examples the encoders see at once. Defaults to what suits the device.
        augmented: bool, encode the views of `cache.augmentation` instead of the plain pictures.
        worker: (index, count), which worker of how many this process is, see `sharing.worker_of`.
        verbose: 0 for silence; else a progress bar with rate and time left.

    Returns:
        An `EncodedDataset`.

    Raises:
        ValueError: the data set is empty or infinite, or a picture cannot be read.
        OSError: features are missing and the cache cannot be written.

    Example:

    >>> from tatl_keras import data, encoders, features
    >>> encoder, converter = encoders.build_image("test_image")
    >>> encoded = features.encode_dataset(
    ...     data.synthetic.examples(2, 5),
    ...     {"image": encoder},
    ...     features.FeatureCache(),
    ...     preprocessor=data.Preprocessor(converter),
    ...     uses=("image_pooled", "has_image"),
    ...     verbose=0,
    ... )
    >>> encoded.arrays()[0]["image_pooled"].shape
    (5, 24)
    """
    total = int(dataset.cardinality())
    if total == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`dataset` must be finite to be encoded. Received: an infinite dataset. "
            "Leave out `repeat()`."
        )
    spec = keras.utils.unpack_x_y_sample_weight(dataset.element_spec)[0]
    raw = is_raw(spec)
    _check_augmented(cache, raw, encoders, augmented)
    fillers = [
        Filler(
            modality, encoder, cache, preprocessor if raw else None,
            [part for part in ("pooled", "tokens") if f"{modality}_{part}" in uses],
            batch_size or default_batch_size(), augmented, worker,
        )
        for modality, encoder in encoders.items()
        if encoder.frozen and (raw or TENSORS[modality][0] in spec)
    ]  # fmt: skip
    learning = [m for m in encoders if m not in [filler.modality for filler in fillers]]
    consumed = [name for filler in fillers for name in TENSORS[filler.modality]]
    kept = Kept(learning, preprocessor) if raw else GivenTensors(consumed)
    total = total if raw and not is_batched(spec) and total >= 0 else None
    with own_shares(fillers):
        labels, weights = _read(dataset, raw, fillers, kept, total, verbose)
    finish_together(fillers, lambda f: (value_of(x, f.modality, raw) for x, *_ in rows_of(dataset)))
    if not labels:
        raise ValueError("`dataset` must hold at least one example. Received: an empty dataset")
    return EncodedDataset(
        [Modality(f.modality, f.spaces, f.keys, f.encoder.output_dim, uses) for f in fillers],
        kept.arrays(),
        *(None if values[0] is None else np.asarray(values) for values in (labels, weights)),
        cache.memory_bytes,
        {filler.modality: _counts(filler) for filler in fillers},
    )


def _counts(filler):
    rows = len(set(filler.keys) - {None}) * len(filler.spaces)
    return {"encoded": filler.encoded, "found": rows - filler.encoded}


def _read(dataset, raw, fillers, kept, total, verbose):
    """Hands every example to those who want it; returns the labels and the weights."""
    labels, weights = [], []
    views = len(fillers[0].spaces) if fillers else 1
    with tqdm.tqdm(
        desc="Encoding", total=total and total * views, delay=1, disable=not verbose,
        unit=" views" if views > 1 else " examples",
    ) as bar:  # fmt: skip
        for filler in fillers[:1]:
            filler.on_encoded = bar.update
        for x, y, weight in rows_of(dataset):
            waiting = [filler.take(value_of(x, filler.modality, raw)) for filler in fillers]
            bar.update(views - waiting[0] if waiting else 1)
            kept.take(x)
            labels.append(y)
            weights.append(weight)
        for filler in fillers:
            filler.finish()
        bar.update(len(labels) * views - bar.n)  # what another process has encoded
        bar.set_postfix({f.modality + "s encoded": f.encoded for f in fillers})
    return labels, weights


def _check_augmented(cache, raw, encoders, augmented):
    if augmented and cache.views and not (raw and "image" in encoders and encoders["image"].frozen):
        raise ValueError(
            "`feature_cache` can have views of raw pictures for a frozen image encoder only. "
            f"Received: views={cache.views}"
        )
