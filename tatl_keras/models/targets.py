"""Texts that a model learns to write: from strings to what it is asked and told at each place."""

import numpy as np
import tensorflow as tf
from keras import tree

from tatl_keras.features import FeatureCache, encode_dataset
from tatl_keras.features.sharing import worker_of
from tatl_keras.models import static
from tatl_keras.models.examples import as_dataset, inputs_spec
from tatl_keras.models.pipeline import DEFAULT_BATCH_SIZE, of_one_size
from tatl_keras.models.text_survey import survey

_LEAST_COUNT = 2  # of a piece of the vocabulary: texts to learn from are few


def target_batches(
    model, x, *, batch_size=None, shuffle=False, seed=None, learn=False, feature_cache=None,
    verbose=1,
):  # fmt: skip
    """Batches to teach or to test a model that writes.

    Args:
        model: a `TextGenerator`.
        x: raw examples with the model's source and its target, as `fit` takes them; or what this
            function returned, as `fit` hands it to `evaluate`, which is returned as it is.
        batch_size: int or None, for examples that do not come in batches.
        shuffle: bool, a new order each epoch.
        seed: int, None or an `EpochOrder`.
        learn: bool, learn the vocabularies that are missing, and say what of the texts is lost.
        feature_cache: as `fit` takes it.
        verbose: 0 for silence.

    Returns:
        A `tf.data.Dataset` of `(x, y, sample_weight)`, see `taught`.

    Raises:
        ValueError: `x` is not as it must be, or holds no target at all.
    """
    if _is_ready(x):
        return x
    examples = _source_and_target(model, as_dataset(x))
    if learn:
        _learn(model, examples)
    size = batch_size or DEFAULT_BATCH_SIZE
    ids = examples.map(_tokenised(model.target_preprocessor), tf.data.AUTOTUNE)
    if feature_cache is None:
        batches = model.preprocessor.dataset(ids, size, shuffle, seed, [*model.encoders])
    else:
        batches = _encoded(model, ids, feature_cache, learn, verbose).dataset(size, shuffle, seed)
    batches, _ = of_one_size(model, batches, size, ids, learn)
    return batches.map(taught(model), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def taught(model):
    """A function from `(x, ids)` to what `keras.Model.fit` takes.

        token_ids      ids without the last     (B, T), in `x`, where a source's are `source_ids`
        y              ids without the first    (B, T)
        sample_weight  1 where y is real        (B, T)

    T is that of the longest text of a batch, but on a TPU, where all batches have one size.

    With a backward decoder each is (B, 2, T), the second of each pair for the words in reverse.

    Args:
        model: a `TextGenerator`.
    """
    padding = model.target_preprocessor.tokenizer.pad_token_id
    whole = static.has_fixed_shapes(model)

    def teach(x, ids, sample_weight=None):
        real = tf.cast(tf.not_equal(ids, padding), tf.int32)
        if not whole:
            longest = tf.maximum(tf.reduce_max(tf.reduce_sum(real, 1)), 2)
            ids, real = ids[:, :longest], real[:, :longest]
        if model.bidirectional:
            words = tf.reduce_sum(real, 1) - 2
            turned = tf.reverse_sequence(ids[:, 1:], tf.maximum(words, 0), seq_axis=1)
            ids = tf.stack([ids, tf.concat([ids[:, :1], turned], 1)], 1)
            real = tf.stack([real, real], 1)
        weight = tf.cast(real[..., 1:], tf.float32)
        if sample_weight is not None:
            axes = (...,) + (tf.newaxis,) * (weight.shape.rank - 1)
            weight *= tf.cast(sample_weight, tf.float32)[axes]
        source = {"source_ids": x["token_ids"]} if "token_ids" in x else {}
        return {**x, **source, "token_ids": ids[..., :-1]}, ids[..., 1:], weight

    return teach


def source_batches(model, x, batch_size, feature_cache, verbose):
    """Batches of what is to be written about, without targets.

    Returns:
        A `tf.data.Dataset` of dicts of tensors or features.
    """
    if isinstance(x, dict) and not {"image", "text"} & x.keys():
        return tf.data.Dataset.from_tensor_slices(x).batch(batch_size or DEFAULT_BATCH_SIZE)
    examples = as_dataset(x)
    (source,) = model.encoders
    _check_keys("x", inputs_spec(examples), [source])
    examples = examples.map(lambda x, *_: {source: x[source]})
    size = batch_size or DEFAULT_BATCH_SIZE
    if feature_cache is None:
        return model.preprocessor.dataset(examples, size, modalities=[source])
    return _encoded(model, examples, feature_cache, False, verbose).dataset(size)


def numbered(batches):
    """Batches of dicts with `row`, int32 (B,), the place of each row among all."""

    def number(first, x):
        rows = tf.shape(tree.flatten(x)[0])[0]
        return first + rows, {**x, "row": first + tf.range(rows)}

    return batches.scan(0, number).prefetch(tf.data.AUTOTUNE)


def _source_and_target(model, examples):
    """A dataset of `({source: …}, target)` or `({source: …}, target, sample_weight)`."""
    (source,) = model.encoders
    target = model.target
    _check_keys("x", inputs_spec(examples), [source, target])

    def split(x, y=None, sample_weight=None):
        pair = {source: x[source]}, x[target]
        return pair if sample_weight is None else (*pair, sample_weight)

    return examples.map(split)


def _is_ready(x):
    return isinstance(x, tf.data.Dataset) and "token_ids" in inputs_spec(x)


def _check_keys(name, spec, keys):
    missing = [key for key in keys if key not in spec]
    if missing:
        raise ValueError(
            f"`{name}` must hold {' and '.join(repr(key) for key in keys)}. "
            f"Received: {name} with {sorted(spec)}"
        )


def _tokenised(preprocessor):
    """From `(x, target, …)` to `(x, ids, …)`; nothing but padding where there is no text."""
    padding = preprocessor.tokenizer.pad_token_id

    def tokenise(x, target, *rest):
        found = preprocessor.text_tensors(target)
        ids = tf.where(found["padding_mask"] > 0, found["token_ids"], padding)
        return x, ids, *rest

    return tokenise


def _encoded(model, examples, feature_cache, augmented, verbose):
    """The features of the frozen encoder, and the targets' ids."""
    (source,) = model.encoders
    if not model.encoders[source].frozen:
        raise ValueError(
            "`feature_cache` must be None when the encoder is not frozen: there is nothing to "
            f"keep. Received: feature_cache={feature_cache!r}"
        )
    return encode_dataset(
        examples, model.encoders, FeatureCache.get(feature_cache),
        preprocessor=model.preprocessor, uses=model.uses, augmented=augmented,
        verbose=int(verbose != 0), worker=worker_of(model.distribute_strategy),
    )  # fmt: skip


def _learn(model, examples):
    """Learns missing vocabularies, and says what of the texts will not be learned."""
    (source,) = model.encoders
    target = (model.target, model.target_preprocessor, model.decoder)
    read = {"text": [("text", model.preprocessor, model.encoders.get("text"))], "image": []}[source]
    columns = _columns(examples, [name for name, *_ in read], model.target)
    for name, preprocessor, part in [*read, target]:
        if preprocessor.needs_vocabulary:
            preprocessor.adapt(columns[name], part.vocabulary_size, _LEAST_COUNT)
    model.check_vocabulary()
    for name, preprocessor, _ in read:
        survey(preprocessor, columns[name], name)
    found = survey(model.target_preprocessor, columns[model.target], model.target)
    if found.rows == found.empty:
        raise ValueError(
            f'`x["{model.target}"]` must hold texts to learn from. Received: {found.rows} '
            "examples, none of which has one."
        )


def _columns(examples, names, target):
    """Datasets of single strings, by name; the examples, pictures and all, are read once."""
    pairs = examples.map(lambda x, y, *_: {**{name: x[name] for name in names}, target: y})
    rows = [*pairs.as_numpy_iterator()]
    return {
        name: tf.data.Dataset.from_tensor_slices(
            tf.constant([text for row in rows for text in np.ravel(row[name])], tf.string)
        )
        for name in [*names, target]
    }
