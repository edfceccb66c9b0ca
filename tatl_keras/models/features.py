"""From tensors to features, and the features of frozen encoders computed once."""

import keras
import tensorflow as tf

from tatl_keras.features import FeatureCache, encode_dataset
from tatl_keras.features.rows import TENSORS
from tatl_keras.features.sharing import worker_of
from tatl_keras.models.class_texts import check_tensors_suffice
from tatl_keras.models.pipeline import (
    DEFAULT_BATCH_SIZE,
    is_tensors,
    of_one_size,
    prepare,
    raw_examples,
    tensor_batches,
)

TEXT = ("text_pooled", "has_text")  # what training on texts reads of them
_PARTS = ("tokens", "pooled", "mask")


def inputs_of(model, *examples, batch_size, feature_cache, verbose, **order):
    """What `keras.Model` takes: tensors, or features where a cache is given.

    Args:
        model: a `TextAssistedClassifier`.
        *examples: `x`, `y`, `sample_weight` as `fit` takes them.
        batch_size, feature_cache, verbose: likewise.
        **order: `shuffle`, `seed`, `learn` and `describe`, see `pipeline.prepare`.

    Returns:
        A dict as `pipeline.prepare` gives.
    """
    if feature_cache is None:
        return prepare(model, *examples, batch_size=batch_size, **order)
    learn, describe = order.pop("learn", False), order.pop("describe", False)
    options = {"feature_cache": feature_cache, "verbose": verbose, "describe": describe}
    features = encoded(model, *examples, **options, learn=learn, augmented=learn)
    size = batch_size or DEFAULT_BATCH_SIZE
    batches, rows = of_one_size(model, features.dataset(size, **order), size, len(features), learn)
    rest = {"y": None, "sample_weight": None, "batch_size": None, "shuffle": False}
    return {"x": batches, **rest, **({} if learn else {"rows": rows})}


def validation_inputs(model, validation_data, **options):
    """What `keras.Model.fit` takes as `validation_data`; `options` as of `inputs_of`."""
    single = isinstance(validation_data, tf.data.Dataset)
    found = inputs_of(model, *((validation_data,) if single else validation_data), **options)
    parts = (found["x"], found["y"], found["sample_weight"])
    return parts if found["y"] is not None else found["x"]


def encoded(
    model, x, y=None, sample_weight=None, *, feature_cache="memory", batch_size=None, learn=False,
    describe=False, augmented=False, verbose=1,
):  # fmt: skip
    """What the frozen encoders of a model make of examples, computed where it is missing.

    `model(features)` is what `model(tensors)` is, up to the rounding of the cache's dtype.

    Args:
        model: a `TextAssistedClassifier` with at least one frozen encoder.
        x, y, sample_weight: as `fit` takes them.
        feature_cache: "memory", a folder or a `FeatureCache`.
        batch_size: int, how many examples the encoders see at once; see `encode_dataset`.
        learn, describe: bools, see `pipeline.prepare`.
        augmented: bool, take the cache's augmented views.
        verbose: 0 for silence.

    Returns:
        A `features.EncodedDataset`.

    Raises:
        ValueError: `feature_cache` is none of these, or no encoder is frozen; errors of
            `features.encode_dataset`.
    """
    cache = FeatureCache.get(feature_cache)
    encoders, uses = sources(model, learn)
    if not any(encoder.frozen for encoder in encoders.values()):
        raise ValueError(
            "`feature_cache` must be None when no encoder is frozen: there is nothing to keep. "
            f"Received: feature_cache={feature_cache!r}"
        )
    if is_tensors(x):
        if describe:
            check_tensors_suffice(model)
        examples = tensor_batches(x, y, sample_weight)
    else:
        examples = raw_examples(model, x, y, sample_weight, learn, describe)
    return encode_dataset(
        examples, encoders, cache, preprocessor=model.preprocessor, uses=uses,
        batch_size=batch_size, augmented=augmented, verbose=int(verbose != 0),
        worker=worker_of(model.distribute_strategy),
    )  # fmt: skip


def sources(model, learn=False):
    """What a model reads: a dict from modality to encoder, and the names of the features.

    Args:
        model: a `TextAssistedClassifier`.
        learn: bool, in training, where a `TextSupervisedClassifier` reads the text too.
    """
    if learn and model.text_in_training:
        return model.encoders | {"text": model.text_encoder}, (*model.fusion.uses, *TEXT)
    return model.encoders, model.fusion.uses


def feature_shapes(encoders, uses):
    """Dict from the names in `uses` to the shapes of the encoders' features."""
    shapes = {}
    for modality, encoder in encoders.items():
        shapes |= {
            f"{modality}_tokens": (None, None, encoder.output_dim),
            f"{modality}_pooled": (None, encoder.output_dim),
            f"{modality}_mask": (None, None),
            f"has_{modality}": (None,),
        }
    return {name: shape for name, shape in shapes.items() if name in uses}


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


def _raw_inputs(inputs, modality):
    """The tensors of one modality, with `has_…` filled in where it was left out."""
    required = TENSORS[modality][:-1]
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
