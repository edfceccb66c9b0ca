"""The SavedModel: raw bytes and strings in, labels and probabilities out."""

import numbers
import os
import shutil
import tempfile

import tensorflow as tf

from tatl_keras.data.tokenizers import is_byte_pair
from tatl_keras.models.artifact.signatures import serving_module
from tatl_keras.models.artifact.weights import ExportedWeights
from tatl_keras.models.few_shot_head import CLASS_TEXT_HEADS
from tatl_keras.models.lint import lint

MAX_PIXELS = 2**26


def export(model, filepath, overwrite=False, max_pixels=MAX_PIXELS):
    """Writes a SavedModel that TensorFlow Serving, or any TensorFlow, loads without this library.

    Its signature `serving_default` takes

        image_bytes    (B,) string   encoded pictures, b"" where there is none
        text           (B,) string   UTF-8, b"" where there is none

    and gives

        probabilities  (B, num_classes) float32
        label          (B,) string   the most probable class
        scores         (B, num_classes) float32, the logits
        evidence       (B,) string   what of the row the model could read: "image+text", "image",
                                     "text" or "none"
        valid          (B,) bool     the answer rests on something of the row: evidence ≠ "none"

    A row is answered by itself. A picture that cannot be decoded, or is too large, counts as
    missing: where the model reads texts too and the row has one, the answer rests on that. Where
    nothing is left, `valid` is false, the probabilities are 0 and the label is "". The `scores` of
    such a row are still the model's: their softmax is how frequent each class was in training.
    Whatever a row holds, no bit of another row's answer changes.

    A model with a `ClassTextHead` has a second signature, `classify_with_texts`, for classes that
    the request describes. It takes also

        class_texts    (B, C, K) string   K texts of each of C classes, "" where a class has fewer;
                                          or (1, C, K), the same for all rows

    and gives the same five, `probabilities` and `scores` (B, C), `label` the first text of the most
    probable class. A class is one of the model's own where its texts are; to others applies what
    `add_classes` says of the bias. With B rows of class texts it can be asked by row in REST, and
    requests can be batched.

    Decoding, resizing, normalising and tokenising happen in the graph, with the code that training
    used. The process that loads it must import `tensorflow_text` for a model with a text encoder.
    Loaded in Python, `class_names()` gives the order of the probabilities. The directory appears
    whole or not at all.

    Args:
        model: a `TextAssistedClassifier` with a preprocessor.
        filepath: directory to write; for TensorFlow Serving `<model>/<integer version>`.
        overwrite: bool, replace what is there.
        max_pixels: int ≥ 1, pictures with more pixels (of a GIF, in all frames together) are
            rejected by their header. Decoding takes about 16 bytes a pixel, up to four pictures of
            a request at once. Defaults to 67,108,864, above the cameras of 61 megapixels.

    Raises:
        ValueError: the model has no preprocessor, or one whose vocabulary is not learned yet,
            or reads texts with the byte-pair tokenizer of CLIP, whose table of words would grow in
            a server; its head is made of class texts that it does not know; `max_pixels` is no
            positive integer; `serving.lint` finds what TensorFlow Serving 2.20 could not serve.
        FileExistsError: `filepath` exists and `overwrite` is false.

    Example:

    >>> import tempfile, tensorflow as tf
    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2, class_names=["cat", "dog"])
    >>> directory = tempfile.mkdtemp() + "/1"
    >>> model.export(directory)
    >>> serve = tf.saved_model.load(directory).signatures["serving_default"]
    >>> serve(image_bytes=tf.constant([b""]), text=tf.constant([b""]))["probabilities"].numpy()
    array([[0., 0.]], dtype=float32)
    """
    filepath = os.fspath(filepath)
    _check(model, max_pixels)
    if os.path.exists(filepath) and not overwrite:
        raise FileExistsError(
            f"`filepath` must not exist. Received: filepath={filepath!r}. "
            "Choose the next version number, or pass overwrite=True."
        )
    parent = os.path.dirname(os.path.abspath(filepath))
    os.makedirs(parent, exist_ok=True)
    beside = tempfile.mkdtemp(prefix=".exporting-", dir=parent)
    try:
        module, signatures = serving_module(
            model, ExportedWeights(model), max_pixels=max_pixels, top_k=5, temperature=1.0
        )
        tf.saved_model.save(module, beside, signatures=signatures)
        _check_servable(beside)
        os.chmod(beside, 0o755)
        if os.path.exists(filepath):
            shutil.rmtree(filepath)
        os.rename(beside, filepath)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _check(model, max_pixels):
    """Raises a ValueError where there is nothing that could be served."""
    if model.preprocessor is None:
        raise ValueError(
            "`model` must have a preprocessor to be exported with raw inputs. "
            "Received: model with preprocessor=None"
        )
    if model.preprocessor.needs_vocabulary:
        raise ValueError(
            "`model` must be trained before it is exported. "
            "Received: a model whose vocabulary is not learned yet. Call `fit` first."
        )
    if "text" in model.encoders and is_byte_pair(model.preprocessor.tokenizer):
        raise ValueError(
            "`model` must have a WordPiece tokenizer to be exported. Received: tokenizer="
            f"{type(model.preprocessor.tokenizer).__name__}, whose table in the graph grows with "
            "every word a server meets. Serve the model from Python, or pair the pictures with "
            "another text encoder (minilm)."
        )
    if isinstance(model.head, CLASS_TEXT_HEADS) and not model.head.has_embeddings:
        raise ValueError(
            "`model` must know its class texts before it is exported. Received: "
            f"class_names={model.class_names}, class_texts={model.class_texts}. Set "
            "`model.class_names`, or `model.class_texts`."
        )
    if not isinstance(max_pixels, numbers.Integral) or max_pixels < 1:
        raise ValueError(
            f"`max_pixels` must be a positive integer. Received: max_pixels={max_pixels}. "
            "It is height times width of the largest picture that is decoded."
        )


def _check_servable(directory):
    """Raises a ValueError where a server could not serve what was written."""
    found = [str(finding) for finding in lint(directory) if finding.is_error]
    if found:
        raise ValueError(
            "`model` must be one that TensorFlow Serving 2.20 can serve. Received: a model whose "
            "export has\n" + "\n".join(found)
        )
