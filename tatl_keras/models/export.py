"""The SavedModel: raw bytes and strings in, labels and probabilities out."""

import math
import numbers

import tensorflow as tf

from tatl_keras.data.tokenizers import is_byte_pair
from tatl_keras.models.artifact.batching import write_batching
from tatl_keras.models.artifact.class_names import write_class_names
from tatl_keras.models.artifact.manifest import write_manifest
from tatl_keras.models.artifact.placing import check_place, placed
from tatl_keras.models.artifact.signatures import name_methods, serving_module
from tatl_keras.models.artifact.warm_up import write_warm_up
from tatl_keras.models.artifact.weights import ExportedWeights
from tatl_keras.models.few_shot_head import CLASS_TEXT_HEADS

MAX_PIXELS = 2**26
_MEANING = {
    "max_pixels": "It is height times width of the largest picture that is decoded.",
    "top_k": "It is how many classes the signature `classify` tells.",
}


def export(
    model, filepath, overwrite=False, max_pixels=MAX_PIXELS, *, top_k=5, temperature=1.0,
    freeze=False, bfloat16=False, quantize=False, examples=None, training_config=None, metrics=None,
):  # fmt: skip
    """Writes a SavedModel that TensorFlow Serving, or any TensorFlow, loads without this library.

    Its signature `serving_default` takes

        image_bytes    (B,) string   encoded pictures, b"" where there is none
        text           (B,) string   UTF-8, b"" where there is none

    and gives, in any order of rows and batches the same for each row,

        probabilities  (B, num_classes) float32, softmax(logits / temperature)
        logits         (B, num_classes) float32
        label          (B,) string   the most probable class
        evidence       (B,) string   what of the row the model could read: "image+text", "image",
                                     "text" or "none"
        valid          (B,) bool     the answer rests on something of the row: evidence ≠ "none"

    A row is answered by itself. A picture that cannot be decoded, or is too large, counts as
    missing: where the model reads texts too and the row has one, the answer rests on that. Where
    nothing is left, `valid` is false, the probabilities are 0 and the label is "". The `logits` of
    such a row are still the model's: their softmax is how frequent each class was in training.
    Whatever a row holds, no bit of another row's answer changes.

    Further signatures, each with the batch as first dimension of all that comes and goes:

        classify             labels, probabilities (B, top_k), the most probable first, and valid
        classify_examples    of `inputs` (B,), serialised `tf.Example`s with bytes `image_bytes` and
                             `text`: classes, scores (B, top_k), for the Classify API
        classify_with_texts  of `class_texts` too, as `serving_default` gives; only of a model with
                             a `ClassTextHead`
        embed                image (B, Di), text (B, Dt), fused (B, D), valid
        explain              attention to regions and words; only where the fusion has it
        tensors              of what the preprocessor makes, `images` (B, H, W, 3) and `has_image`
                             (B,), `token_ids` and `padding_mask` (B, L): probabilities, logits,
                             valid

    `class_texts` are strings (B, C, K), K texts of each of C classes, "" where a class has fewer;
    or (1, C, K), the same for all rows. The label is the first text of the most probable class. A
    class is one of the model's own where its texts are; to others applies what `add_classes` says
    of the bias. With B rows of class texts it can be asked by row in REST, and requests can be
    batched. `explain` gives `words` (B, L), the pieces of the text; `word_attention` (B, L) and
    `region_attention` (B, h, w), how much of the fusion's attention each got; `word_to_region`
    (B, L, h, w), what each piece looked at; and `probabilities`, `label`, `valid`.

    Decoding, resizing, normalising and tokenising happen in the graph, with the code that training
    used. The process that loads it must import `tensorflow_text` for a model with a text encoder.
    Loaded in Python, `class_names()` gives the order of the probabilities. Batch normalisation of
    the encoders becomes part of their convolutions.

    Beside the SavedModel lie `class_names.json`, `batching_params.pbtxt`, warm-up requests in
    `assets.extra`, and `MANIFEST.json`: versions, inputs and outputs, constants of preprocessing,
    the SHA-256 of each file. All is written beside, checked by `serving.lint`, the warm-up requests
    are asked, and then the directory appears, whole or not at all.

    Args:
        model: a `TextAssistedClassifier` with a preprocessor.
        filepath: directory to write; for TensorFlow Serving `<model>/<integer version>`.
        overwrite: bool, replace what is there.
        max_pixels: int ≥ 1, pictures with more pixels (of a GIF, in all frames together; of a JPEG
            with many scans, as often as these cost) are rejected by their header. Decoding takes
            about 16 bytes a pixel, up to four pictures of a request at once. Defaults to
            67,108,864, above the cameras of 61 megapixels.
        top_k: int ≥ 1, how many classes `classify` tells at most.
        temperature: float > 0, by which logits are divided before the softmax; see
            `serving.fit_temperature`.
        freeze: bool, weights become constants of the graph: fewer copies, but more memory.
        bfloat16: bool, encoders compute in bfloat16, and their weights take half the space.
        quantize: bool, large weights are held as 8-bit integers with a scale for each channel, in a
            quarter of the space; what is computed stays float32.
        examples: list of dicts with `image` (bytes) and `text` (str), the warm-up requests; they
            are part of the export. `None` makes some up.
        training_config, metrics: dicts of JSON values for `MANIFEST.json`.

    Raises:
        ValueError: the model has no preprocessor, or one whose vocabulary is not learned yet,
            or reads texts with the byte-pair tokenizer of CLIP, whose table of words would grow in
            a server; its head is made of class texts that it does not know; an argument is out of
            its bounds; `serving.lint` finds what TensorFlow Serving 2.20 could not serve.
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
    _check_model(model)
    check_counts(max_pixels=max_pixels, top_k=top_k)
    _check_temperature(temperature)
    filepath = check_place(filepath, overwrite)
    forms = {"freeze": freeze, "bfloat16": bfloat16, "quantize": quantize}
    limits = {"max_pixels": max_pixels, "top_k": top_k, "temperature": temperature}
    weights = ExportedWeights(model, **forms)
    with placed(filepath) as beside:
        module, signatures = serving_module(model, weights, **limits)
        tf.saved_model.save(module, beside, signatures=signatures)
        name_methods(beside)
        write_class_names(beside, model)
        write_batching(beside)
        write_warm_up(beside, examples)
        about = {"options": forms, "training_config": training_config, "metrics": metrics}
        write_manifest(beside, model, **limits, **about)


def check_preprocessor(model):
    """Raises a ValueError where there is no preprocessor that a server could run."""
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


def check_counts(**counts):
    """Raises a ValueError where one of `max_pixels` and `top_k` is no positive integer."""
    for name, value in counts.items():
        if not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(
                f"`{name}` must be a positive integer. Received: {name}={value}. {_MEANING[name]}"
            )


def _check_model(model):
    """Raises a ValueError where there is nothing that could be served."""
    check_preprocessor(model)
    if isinstance(model.head, CLASS_TEXT_HEADS) and not model.head.has_embeddings:
        raise ValueError(
            "`model` must know its class texts before it is exported. Received: "
            f"class_names={model.class_names}, class_texts={model.class_texts}. Set "
            "`model.class_names`, or `model.class_texts`."
        )


def _check_temperature(temperature):
    if not isinstance(temperature, numbers.Real) or not 0 < temperature < math.inf:
        raise ValueError(
            "`temperature` must be a positive number. "
            f"Received: temperature={temperature}. serving.fit_temperature finds one."
        )
