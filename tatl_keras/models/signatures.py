"""What an exported model can be asked: the functions of a SavedModel."""

import tensorflow as tf

from tatl_keras.data.served_pictures import isolated_image_tensors
from tatl_keras.data.tokenizers import is_byte_pair
from tatl_keras.fusion.normalization import LENGTH
from tatl_keras.models.class_text_head import ClassTextHead
from tatl_keras.models.evidence import EVIDENCE, evidence, present

SERVE = "serving_default"
CLASSIFY_WITH_TEXTS = "classify_with_texts"
_ROWS = {
    "image_bytes": tf.TensorSpec([None], tf.string, name="image_bytes"),
    "text": tf.TensorSpec([None], tf.string, name="text"),
}
_CLASS_TEXTS = tf.TensorSpec([None, None, None], tf.string, name="class_texts")
_SAME = 1e-4  # of cosines: a class text that is one of the model's own


def serving_module(model, max_pixels):
    """A `tf.Module` with the model's variables and functions, and nothing of Keras.

    All signatures go through one function from bytes and strings to features.

    Args:
        model: a `TextAssistedClassifier` that can be exported.
        max_pixels: int, larger pictures are not decoded.

    Returns:
        The module, and a dict from signature to function.
    """
    names = model.class_names or [str(label) for label in range(model.num_classes)]
    module = tf.Module()
    module.model_variables = [variable.value for variable in model.variables]
    module.class_names = tf.function(lambda: tf.constant(names), input_signature=[])

    @tf.function(input_signature=[*_ROWS.values()])
    def features(image_bytes, text):
        rows = tf.size(image_bytes)
        checks = [
            tf.debugging.assert_equal(
                rows, tf.size(text), "image_bytes and text must have equally many rows"
            ),
            tf.debugging.assert_positive(rows, "the request must have at least one row"),
        ]
        with tf.control_dependencies(checks):
            raw = {"image": tf.identity(image_bytes), "text": tf.identity(text)}
        return model.encode(served_tensors(model, raw, max_pixels), training=False)

    @tf.function(input_signature=[*_ROWS.values()])
    def serve(image_bytes, text):
        found = features(image_bytes, text)
        logits = model(found, training=False)
        return _answer(logits, tf.gather(tf.constant(names), tf.argmax(logits, axis=-1)), found)

    module.serve = serve
    signatures = {SERVE: serve}
    if _embeds_texts(model):

        @tf.function(input_signature=[*_ROWS.values(), _CLASS_TEXTS])
        def classify_with_texts(image_bytes, text, class_texts):
            found = features(image_bytes, text)
            return _classify(model, found, class_texts)

        module.classify_with_texts = classify_with_texts
        signatures[CLASSIFY_WITH_TEXTS] = classify_with_texts
    return module, signatures


def served_tensors(model, raw, max_pixels):
    """What `model.preprocessor` makes of a batch; pictures it cannot read count as missing.

    Args:
        model: a `TextAssistedClassifier`.
        raw: dict of string tensors (B,), `image` and `text`.
        max_pixels: int, larger pictures are not decoded.
    """
    tensors = model.preprocessor.tensors(raw, {*model.encoders} - {"image"})
    if "image" in model.encoders:
        tensors |= isolated_image_tensors(model.preprocessor, raw["image"], max_pixels)
    return tensors


def _embeds_texts(model):
    """Whether the model can make embeddings of class texts in the graph."""
    known = isinstance(model.head, ClassTextHead) and model.text_encoder is not None
    return known and not is_byte_pair(model.preprocessor.tokenizer)


def _answer(logits, label, features):
    found = evidence(features)
    valid = found > 0
    return {
        "probabilities": tf.where(valid[:, None], tf.nn.softmax(logits), 0.0),
        "label": tf.where(valid, label, ""),
        "scores": logits,
        "evidence": tf.gather(tf.constant(EVIDENCE), found),
        "valid": valid,
    }


def _classify(model, features, class_texts):
    """As `serving_default`, among classes that the request describes."""
    rows = tf.shape(features[next(iter(features))])[0]
    shape = tf.shape(class_texts)
    is_text = tf.strings.length(tf.strings.strip(class_texts)) > 0
    checks = [
        tf.debugging.Assert(
            (shape[0] == rows) | (shape[0] == 1),
            ["class_texts must have one row, or one for each picture"],
        ),
        tf.debugging.assert_positive(
            tf.reduce_min(tf.reduce_sum(tf.cast(is_text, tf.int32), axis=-1)),
            "class_texts must hold a text for each class",
        ),
    ]
    with tf.control_dependencies(checks):
        unique, places = tf.unique(tf.reshape(class_texts, [-1]))
    units = tf.math.l2_normalize(_pooled(model, unique), axis=-1)
    units = tf.reshape(tf.gather(units, places), tf.concat([shape, units.shape[1:]], axis=0))
    sums = tf.reduce_sum(units * tf.cast(is_text, tf.float32)[..., None], axis=2)
    embeddings = tf.math.l2_normalize(sums, axis=-1)  # (B or 1, C, De)
    head = model.head
    likeness = tf.matmul(embeddings, head.embeddings, transpose_b=True)
    known = tf.gather(head.bias, tf.argmax(likeness, axis=-1))
    bias = tf.where(tf.reduce_max(likeness, axis=-1) > 1 - _SAME, known, head.new_class_bias)
    z = head.project(model.fusion(features, training=False))
    logits = head.scale / LENGTH * tf.reduce_sum(z[:, None] * embeddings, axis=-1) + bias
    some = present(features)
    logits = logits if some is None else tf.where(some[:, None], logits, 0.0)
    first = tf.broadcast_to(class_texts[:, :, 0], tf.shape(logits)[:2])
    label = tf.gather(first, tf.argmax(logits, axis=-1), batch_dims=1)
    return _answer(logits, label, features)


def _pooled(model, texts):
    """The text encoder's pooled vectors (texts, De), of at least one text."""
    tensors = model.preprocessor.text_tensors(texts)
    return tf.cast(model.text_encoder(tensors, training=False)["pooled"], tf.float32)
