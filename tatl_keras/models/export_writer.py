"""The SavedModel of a model that writes: pictures or texts in, texts out."""

import tensorflow as tf

from tatl_keras.models import samplers
from tatl_keras.models.artifact.batching import write_batching
from tatl_keras.models.artifact.placing import check_place, placed
from tatl_keras.models.artifact.warm_up import write_warm_up
from tatl_keras.models.artifact.weights import ExportedWeights
from tatl_keras.models.artifact.writer_manifest import write_writer_manifest
from tatl_keras.models.artifact.writer_signatures import writing_module
from tatl_keras.models.export import MAX_PIXELS, check_counts, check_preprocessor


def export(
    model, filepath, overwrite=False, max_pixels=MAX_PIXELS, *, sampler="greedy", max_length=None,
    freeze=False, bfloat16=False, quantize=False, examples=None, training_config=None, metrics=None,
):  # fmt: skip
    """Writes a SavedModel that TensorFlow Serving, or any TensorFlow, loads without this library.

    Its signature `serving_default`, also called `caption` in a `Captioner` and `translate` in a
    `Translator`, takes one of

        image_bytes    (B,) string   encoded pictures, of a `Captioner`
        text           (B,) string   UTF-8, of a `Translator`

    and gives, in any order of rows and batches the same for each row,

        texts          (B, N) string    the best first; N is the sampler's `num_return`, else 1
        log_probs      (B, N) float32   of the texts, the end token included
        scores         (B, N) float32   what the sampler chose by
        valid          (B,) bool        there was something to write about

    A row is written by itself. Where a picture cannot be decoded or is too large, or a text is
    empty, `valid` is false, the texts are "" and the numbers 0. Whatever a row holds, no bit of
    another row's answer changes. Where fewer than N texts are possible, the others are "" and
    their numbers the least that float32 holds.

    Decoding, tokenising, the loop of the sampler with its caches, and joining pieces to texts
    happen in the graph, with the code of `generate`. Which sampler and how many tokens is decided
    here and not by requests. The process that loads it must import `tensorflow_text`.

    Beside the SavedModel lie `batching_params.pbtxt`, warm-up requests in `assets.extra`, and
    `MANIFEST.json`. All is written beside, checked by `serving.lint`, the warm-up requests are
    asked, and then the directory appears, whole or not at all.

    Args:
        model: a `Captioner` or `Translator` that has learned.
        filepath: directory to write; for TensorFlow Serving `<model>/<integer version>`.
        overwrite: bool, replace what is there.
        max_pixels: int ≥ 1, pictures with more pixels are rejected by their header, see
            `TextAssistedClassifier.export`.
        sampler: "greedy", "beam", or a `GreedySampler` or `BeamSampler`. Not "random": what is
            served depends on the request alone.
        max_length: int, most tokens of a text, the end token included. Defaults to the targets'
            `sequence_length` less the start token.
        freeze: bool, weights become constants of the graph: fewer copies, but more memory.
        bfloat16: bool, the encoder computes in bfloat16, and its weights take half the space.
        quantize: bool, large weights are held as 8-bit integers with a scale for each channel, in a
            quarter of the space. They are multiplied once for each request, not for each token.
        examples: list of dicts with `image` (bytes) or `text` (str), the warm-up requests; they
            are part of the export. `None` makes some up.
        training_config, metrics: dicts of JSON values for `MANIFEST.json`.

    Raises:
        ValueError: the vocabulary is not learned yet; the source is read by the byte-pair tokenizer
            of CLIP; the sampler draws at random; an argument is out of its bounds; `serving.lint`
            finds what TensorFlow Serving 2.20 could not serve.
        FileExistsError: `filepath` exists and `overwrite` is false.

    Example:

    >>> import tempfile, tensorflow as tf
    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_transformer_translate", seed=1)
    >>> history = model.fit({"text": ["a b c"], "target": ["c b a"]}, verbose=0)
    >>> directory = tempfile.mkdtemp() + "/1"
    >>> model.export(directory)
    >>> translate = tf.saved_model.load(directory).signatures["translate"]
    >>> found = translate(text=tf.constant([""]))
    >>> found["texts"].numpy().tolist(), found["valid"].numpy().tolist()
    ([[b'']], [False])
    """
    _check_model(model)
    sampler = _checked_sampler(sampler)
    length = model.check_length(max_length)
    check_counts(max_pixels=max_pixels)
    filepath = check_place(filepath, overwrite)
    forms = {"freeze": freeze, "bfloat16": bfloat16, "quantize": quantize}
    how = {"sampler": sampler, "max_length": length, "max_pixels": max_pixels}
    weights = ExportedWeights(model, **forms)
    with placed(filepath) as beside:
        module, signatures = writing_module(model, weights, **how)
        tf.saved_model.save(module, beside, signatures=signatures)
        write_batching(beside)
        write_warm_up(beside, examples)
        about = {"options": forms, "training_config": training_config, "metrics": metrics}
        write_writer_manifest(beside, model, **how, **about)


def _check_model(model):
    """Raises a ValueError where there is nothing that could be served."""
    check_preprocessor(model)
    if model.target_preprocessor.needs_vocabulary:
        raise ValueError(
            "`model` must be trained before it is exported. "
            "Received: a model whose target vocabulary is not learned yet. Call `fit` first."
        )


def _checked_sampler(sampler):
    sampler = samplers.get(sampler)
    if isinstance(sampler, samplers.RandomSampler):
        raise ValueError(
            '`sampler` must be "greedy" or "beam", or such a sampler: what is served depends on '
            f"the request alone. Received: sampler={type(sampler).__name__}. "
            "`generate` writes at random."
        )
    return sampler
