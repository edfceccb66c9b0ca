"""Texts that a model learns to write: from strings to what it is asked and told at each place."""

import tensorflow as tf
from absl import logging

from tatl_keras.features import FeatureCache, encode_dataset
from tatl_keras.features.sharing import worker_of
from tatl_keras.models import static
from tatl_keras.models.examples import as_dataset, inputs_spec
from tatl_keras.models.pipeline import DEFAULT_BATCH_SIZE, of_one_size

_SURVEYED = 512  # texts at once
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
        learn: bool, learn the vocabularies that are missing, and say what of the targets is lost.
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
    """Learns missing vocabularies, and says what of the targets will not be learned."""
    (source,) = model.encoders
    if source == "text" and model.preprocessor.needs_vocabulary:
        texts = _unbatched(examples.map(lambda x, *_: x["text"]))
        model.preprocessor.adapt(texts, model.encoders["text"].vocabulary_size, _LEAST_COUNT)
    texts = _unbatched(examples.map(lambda x, target, *_: target))
    if model.target_preprocessor.needs_vocabulary:
        model.target_preprocessor.adapt(texts, model.decoder.vocabulary_size, _LEAST_COUNT)
        model.check_vocabulary()
    _survey(model.target_preprocessor, texts, model.target)


def _unbatched(texts):
    return texts.unbatch() if texts.element_spec.shape.rank else texts


def _survey(preprocessor, texts, name):
    """Raises or warns where targets are empty, too long or not in the vocabulary."""
    longest, unknown = preprocessor.sequence_length, _unknown_id(preprocessor.tokenizer)
    rows = empty = cut = pieces = strange = 0
    wider = type(preprocessor)(None, preprocessor.tokenizer, longest + 1)
    for some in texts.batch(_SURVEYED):
        found = {key: value.numpy() for key, value in wider.text_tensors(some).items()}
        real = found["padding_mask"].astype(bool)
        rows, empty = rows + len(real), empty + int((found["has_text"] == 0).sum())
        cut += int(real[:, -1].sum())
        pieces += int(real.sum()) - 2 * int(found["has_text"].sum())
        strange += int((real & (found["token_ids"] == unknown)).sum())
    if rows == empty:
        raise ValueError(
            f'`x["{name}"]` must hold texts to learn from. Received: {rows} examples, none of '
            "which has one."
        )
    if empty:
        logging.warning("%d of %d examples have no text to learn and do not count.", empty, rows)
    if cut:
        logging.warning(
            "%d of %d texts are longer than sequence_length=%d tokens and are cut there.",
            cut, rows, longest,
        )  # fmt: skip
    if strange:
        logging.warning(
            "%.1f %% of the tokens are not in the vocabulary and can be learned by nobody.",
            100 * strange / pieces,
        )


def _unknown_id(tokenizer):
    return tokenizer.token_to_id(getattr(tokenizer, "oov_token", None) or "<unk>")
