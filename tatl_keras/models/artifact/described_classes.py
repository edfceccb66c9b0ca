"""Classes that a request describes."""

import tensorflow as tf

from tatl_keras.data.tokenizers import is_byte_pair
from tatl_keras.fusion.normalization import LENGTH
from tatl_keras.models.class_text_head import ClassTextHead
from tatl_keras.models.evidence import present

# Of cosines: a class text that is one of the model's own. An export in integers and bfloat16 makes
# vectors that differ by up to 7e-4 from the model's.
_SAME = 2e-3


def embeds_texts(model):
    """Whether a `TextAssistedClassifier` can make embeddings of class texts in the graph."""
    known = isinstance(model.head, ClassTextHead) and model.text_encoder is not None
    return known and not is_byte_pair(model.preprocessor.tokenizer)


def described_logits(model, features, class_texts):
    """Logits and label of rows among classes that are described now.

    Args:
        model: one for which `embeds_texts` holds.
        features: dict of the rows' features.
        class_texts: strings (B or 1, C, K), K texts of each of C classes, "" for none.

    Returns:
        Floats (B, C), and strings (B,), the first text of the most probable class.
    """
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
    logits = _likeness(model, features, embeddings)
    first = tf.broadcast_to(class_texts[:, :, 0], tf.shape(logits)[:2])
    return logits, tf.gather(first, tf.argmax(logits, axis=-1), batch_dims=1)


def _likeness(model, features, embeddings):
    """Logits (B, C) of rows and embeddings of classes (B or 1, C, De); 0 for a row of nothing."""
    head = model.head
    own = tf.matmul(embeddings, tf.convert_to_tensor(head.embeddings), transpose_b=True)
    bias = tf.gather(tf.convert_to_tensor(head.bias), tf.argmax(own, axis=-1))
    bias = tf.where(tf.reduce_max(own, axis=-1) > 1 - _SAME, bias, head.new_class_bias)
    z = head.project(model.fusion(features, training=False))
    logits = head.scale / LENGTH * tf.reduce_sum(z[:, None] * embeddings, axis=-1) + bias
    some = present(features)
    return logits if some is None else tf.where(some[:, None], logits, 0.0)


def _pooled(model, texts):
    """The text encoder's pooled vectors (texts, De), of at least one text."""
    tensors = model.preprocessor.text_tensors(texts)
    return tf.cast(model.text_encoder(tensors, training=False)["pooled"], tf.float32)
