"""From tensors to features, and the features of frozen encoders computed once."""

import keras
import numpy as np

_RAW = {"image": ("images", "has_image"), "text": ("token_ids", "padding_mask", "has_text")}
_PARTS = ("tokens", "pooled", "mask")
_FEATURE_CACHES = (None, "memory")


def check_feature_cache(feature_cache, encoders):
    """Raises a ValueError unless `feature_cache` is one that `fit` can use with these encoders."""
    if feature_cache not in _FEATURE_CACHES:
        raise ValueError(
            f"`feature_cache` must be one of {_FEATURE_CACHES}. "
            f"Received: feature_cache={feature_cache!r}"
        )
    if feature_cache is not None and not any(encoder.frozen for encoder in encoders.values()):
        raise ValueError(
            "`feature_cache` must be None when no encoder is frozen: there is nothing to keep. "
            f"Received: feature_cache={feature_cache!r}"
        )


def encode(encoders, uses, inputs, training=None):
    """Replaces the tensors of each modality by its encoder's features.

    Args:
        encoders: dict from "image", "text" or both to the encoder.
        uses: names of the features that the fusion reads; the others are left out.
        inputs: dict of tensors, features, or tensors of one modality and features of the other.
        training: bool; frozen encoders run in inference mode whatever it says.

    Returns:
        Dict of features.

    Raises:
        ValueError: `inputs` holds neither tensors nor features of a modality.
    """
    features = {}
    for modality, encoder in encoders.items():
        if any(f"{modality}_{part}" in inputs for part in _PARTS):
            features |= {name: value for name, value in inputs.items() if modality in name}
            continue
        raw = _raw_inputs(inputs, modality)
        has = raw.pop(f"has_{modality}")
        encoded = encoder(raw["images"] if modality == "image" else raw, training=training)
        features |= {
            f"{modality}_tokens": encoded["tokens"],
            f"{modality}_pooled": encoded["pooled"],
            f"{modality}_mask": keras.ops.cast(encoded["mask"], "int32") * has[:, None],
            f"has_{modality}": has,
        }
    return {name: value for name, value in features.items() if name in uses}


def frozen_features(encoders, uses, inputs):
    """Features of the frozen encoders, and the tensors of the others as they are."""
    frozen = {modality: encoder for modality, encoder in encoders.items() if encoder.frozen}
    learning = [name for modality in encoders.keys() - frozen.keys() for name in _RAW[modality]]
    kept = {name: inputs[name] for name in learning if name in inputs}
    return kept | encode(frozen, uses, inputs, training=False)


def _raw_inputs(inputs, modality):
    """The tensors of one modality, with `has_…` filled in where it was left out."""
    required = _RAW[modality][:-1]
    if any(name not in inputs for name in required):
        raise ValueError(
            f"`inputs` must hold {required} or features of the {modality}. "
            f"Received: inputs with {sorted(inputs)}"
        )
    raw = {name: inputs[name] for name in required}
    has = inputs.get(f"has_{modality}")
    if has is None and modality == "text":
        has = keras.ops.any(keras.ops.cast(raw["padding_mask"], "bool"), axis=-1)
    elif has is None:
        has = keras.ops.ones(keras.ops.shape(raw["images"])[:1])
    return raw | {f"has_{modality}": keras.ops.cast(has, "int32")}


def extract(model, dataset, verbose=1):
    """Runs the frozen encoders over a dataset and keeps what the fusion reads.

    The arrays are what `model` would compute in every epoch: `model(features)` equals
    `model(tensors)`. Inputs of encoders that are still trained are kept as they are.

    Args:
        model: a compiled `TextAssistedClassifier` with at least one frozen encoder.
        dataset: batched dataset of `x`, `(x, y)` or `(x, y, sample_weight)` with tensors as the
            model's preprocessor makes them.
        verbose: 0 for silence, 1 or "auto" for a progress bar, 2 for one line.

    Returns:
        A tuple `(x, y, sample_weight)`: `x` is a dict of arrays with one row an example, in the
        dataset's order; `y` and `sample_weight` are arrays or `None`. Text is as long as the
        longest text of the dataset, which saves memory and time and changes no result.

    Raises:
        ValueError: the dataset is empty.
    """
    steps = int(dataset.cardinality())
    verbose = 1 if verbose == "auto" else int(verbose)
    progress = keras.utils.Progbar(
        steps if steps >= 0 else None, verbose=verbose, unit_name="batch of features"
    )
    batches = []
    for batch in dataset:
        x, *rest = batch if isinstance(batch, tuple) else (batch,)
        arrays = {name: value.numpy() for name, value in model.frozen_features_function(x).items()}
        batches.append((arrays, *(value.numpy() for value in rest)))
        progress.add(1)
    if not batches:
        raise ValueError("`dataset` must hold at least one example. Received: an empty dataset")
    columns = list(zip(*batches, strict=True))
    x = {name: np.concatenate([batch[name] for batch in columns[0]]) for name in columns[0][0]}
    rest = [np.concatenate(column) for column in columns[1:]]
    y, sample_weight = (rest + [None, None])[:2]
    return _without_padding(x), y, sample_weight


def _without_padding(x):
    """Cuts off the text positions that are masked in every row; they have no effect."""
    masks = [x[name] for name in ("text_mask", "padding_mask") if name in x]
    longest = max((int(np.max(np.nonzero(m)[1], initial=0)) + 1 for m in masks), default=None)
    by_position = ("text_tokens", "text_mask", "token_ids", "padding_mask")
    return {name: v[:, :longest] if name in by_position else v for name, v in x.items()}
