"""What an export that writes can be asked: pictures or texts in, texts out."""

import tensorflow as tf

from tatl_keras.models.artifact.signatures import (
    NO_ROWS,
    served_tensors,
    tensor_specs,
    traced,
)
from tatl_keras.models.generation import texts_written, write
from tatl_keras.models.lint.signature_rules import SERVE

# Modality of the source → signature and its input.
ASKED = {"image": ("caption", "image_bytes"), "text": ("translate", "text")}


def writing_module(model, weights, *, sampler, max_length, max_pixels):
    """A `tf.Module` with the model's variables and one function, and nothing of Keras.

    Args:
        model: a `TextGenerator` that can be exported.
        weights: `ExportedWeights` of it.
        sampler: a sampler whose choice depends on the row alone.
        max_length: int, most tokens of a text.
        max_pixels: int, larger pictures are not decoded.

    Returns:
        The module, and a dict from signature to function.
    """
    (source,) = model.encoders
    signature, name = ASKED[source]
    specs = tensor_specs(model)

    @tf.autograph.experimental.do_not_convert  # nor does Keras, in `generate`
    def about(tensors):
        with weights.applied():
            features = model.encode(tensors, training=False)
            weights.read_ahead(model.decoder.weights)
            found = write(model, features, sampler, max_length, False)
        return written(texts_written(model, found), found)

    def serve(rows):
        some = tf.debugging.assert_positive(tf.size(rows), NO_ROWS)
        with tf.control_dependencies([some]):
            tensors = served_tensors(model, {source: tf.identity(rows)}, max_pixels)
        return about({key: tensors[key] for key in specs})

    module = tf.Module()
    module.write = traced(serve, tf.TensorSpec([None], tf.string, name=name))
    module.model_variables = weights.variables  # those that the function reads
    return module, dict.fromkeys((SERVE, signature), module.write)


def written(texts, found):
    """The outputs of `serving_default`.

    Args:
        texts: strings (B, N), "" where a row is not valid.
        found: dict of what `generation.write` gives.

    Returns:
        Dict of `texts`, `log_probs` and `scores` (B, N), and `valid` (B,). Numbers are always
        finite: where no N-th text is possible they are the least.

    Example:

    >>> found = {name: tf.constant([[-1.5, -float("inf")]]) for name in ("log_probs", "scores")}
    >>> found["valid"] = tf.constant([True])
    >>> written(tf.constant([["a cat", ""]]), found)["log_probs"].numpy().tolist()
    [[-1.5, -3.4028234663852886e+38]]
    """
    names = ("log_probs", "scores")
    numbers = {name: tf.maximum(found[name], tf.float32.min) for name in names}
    return {"texts": texts, **numbers, "valid": found["valid"]}
