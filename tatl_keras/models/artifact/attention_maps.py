"""Where a fusion looked: its attention scores as shares of regions and words."""

import inspect

import numpy as np
import tensorflow as tf


def gives_attention(fusion):
    """Whether a fusion layer returns attention scores of regions and words."""
    return "return_attention_scores" in inspect.signature(fusion.call).parameters


def attention_maps(fusion, features, grid):
    """How much attention the fusion gave to each region of the picture and to each word.

        region_attention[j] = mean over the queries i that are there of A[i, j]

    and likewise `word_attention`, A being the attention scores (softmax over the keys). In
    `CrossAttentionFusion` regions are attended from words and words from regions, so each map sums
    to 1; in `JointAttentionFusion` all attend to all, and both maps together sum to 1. Where
    nothing is attended, as for a missing text, a map is zero.

    Args:
        fusion: a layer for which `gives_attention` holds.
        features: dict of features of B rows.
        grid: (h, w) of the T = h·w regions.

    Returns:
        Dict of float32 `region_attention` (B, h, w), `word_attention` (B, L) and
        `word_to_region` (B, L, h, w), what each word looked at, zeros for padding.
    """
    _, scores = fusion(features, training=False, return_attention_scores=True)
    regions = tf.cast(features["image_mask"], tf.float32)
    words = tf.cast(features["text_mask"], tf.float32)
    if "joint" in scores:
        attended = _mean(scores["joint"], tf.concat([regions, words], axis=1))
        count = regions.shape[1]
        looked = scores["joint"][:, count:, :count]
        to_regions, to_words = attended[:, :count], attended[:, count:]
    else:
        looked = scores["text_to_image"]
        to_regions, to_words = _mean(looked, words), _mean(scores["image_to_text"], regions)
    looked *= words[..., None]
    return {
        "region_attention": tf.reshape(to_regions, [-1, *grid]),
        "word_attention": to_words,
        "word_to_region": tf.reshape(looked, [-1, looked.shape[1], *grid]),
    }


def grid_of(model):
    """(rows, columns) of the image tokens of a `TextAssistedClassifier`."""
    size = model.preprocessor.image_converter.image_size
    return model.image_encoder.grid or tuple(
        model.image_encoder.backbone.compute_output_shape((None, *size, 3))[1:3]
    )


def words_of(tokenizer, token_ids, padding_mask):
    """The pieces (B, L) into which texts were cut, as strings; "" for padding."""
    vocabulary = np.array([piece.encode() for piece in tokenizer.get_vocabulary()], object)
    return tf.where(padding_mask > 0, tf.gather(tf.constant(vocabulary), token_ids), "")


def _mean(scores, queries):
    """Mean over the queries that are there, (B, Q, S) and (B, Q) to (B, S); 0 if none is."""
    count = tf.maximum(tf.reduce_sum(queries, axis=1, keepdims=True), 1.0)
    return tf.einsum("bqs,bq->bs", scores, queries) / count
