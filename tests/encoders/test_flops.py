"""Operations of text encoders and transformers, by hand, traced, and by TensorFlow's profiler."""

import keras
import pytest
import tensorflow as tf

from tatl_keras import encoders
from tatl_keras.training.proofs.traced_flops import traced_flops

L = 7


def transformer(tokens, layers, dim, hidden):
    """Multiplications: four square projections, the two products of attention, two dense layers."""
    return layers * (tokens * (4 * dim * dim + 2 * dim * hidden) + 2 * tokens**2 * dim)


BY_HAND = {
    "test_text": transformer(L, 2, 16, 32),
    "test_clip_text": transformer(L, 2, 16, 32) + L * 16 * 12,
    # filled up to 64 places, and each of them projected
    "test_siglip_text": transformer(64, 2, 12, 32) + 64 * 12 * 12,
    "lstm": L * 2 * 4 * 128 * (128 + 128),
    "embed": 0,
    "transformer": transformer(L, 2, 256, 1024),
    # 16 patches of 8 × 8 × 3, and a class token
    "test_vit": 16 * 192 * 16 + transformer(17, 2, 16, 32),
    "test_clip": 16 * 192 * 16 + transformer(17, 2, 16, 32) + 17 * 16 * 12,
    # one probe: keys and values of all patches, one query, one output, one pass of the MLP
    "test_siglip": 16 * 192 * 12
    + transformer(16, 2, 12, 32)
    + 16 * 2 * 12 * 12
    + 2 * 16 * 12
    + 2 * 12 * 12
    + 2 * 12 * 32,
}


def build(name):
    kind = "text" if name in encoders.names("text") else "image"
    return (encoders.build_text if kind == "text" else encoders.build_image)(name)[0], kind


def trace(encoder, kind):
    """The concrete function of an encoder for one example."""
    spec = tf.TensorSpec((1, L), tf.int32)
    inputs = {"token_ids": spec, "padding_mask": spec}
    inputs = inputs if kind == "text" else tf.TensorSpec((1, 32, 32, 3))
    function = tf.function(lambda given: list(encoder(given).values()))
    return function.get_concrete_function(inputs)


@pytest.mark.parametrize("name", BY_HAND)
def test_operations_of_encoders_by_hand_and_traced(name):
    encoder, kind = build(name)
    counted = encoders.count_flops(encoder, **{"sequence_length": L} if kind == "text" else {})
    assert counted == 2 * BY_HAND[name]
    if name == "lstm":
        with pytest.raises(ValueError, match=r"must have no loops.*While"):
            traced_flops(trace(encoder, kind))
    else:
        assert traced_flops(trace(encoder, kind)) == counted


def test_a_network_of_convolutions_for_a_size_and_by_the_profiler():
    encoder, kind = build("test_image")
    counted = encoders.count_flops(encoder, image_size=(32, 32))
    function = trace(encoder, kind)
    assert traced_flops(function) == counted
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options = tf.compat.v1.profiler.ProfileOptionBuilder(options).with_empty_output().build()
    with function.graph.as_default():
        by_type = tf.compat.v1.profiler.profile(function.graph, cmd="op", options=options)
    found = {child.name: child.total_float_ops for child in by_type.children}
    while by_type.children:
        by_type = by_type.children[0]
        found[by_type.name] = by_type.float_ops
    assert found["Conv2D"] + found["DepthwiseConv2dNative"] == counted
    more = encoders.count_flops(encoder, image_size=(64, 32))
    assert more == 2 * counted  # every map is twice as high
    with pytest.raises(ValueError, match=r"known sizes.*\(None, None, 3\)"):
        encoders.count_flops(encoder)
    with pytest.raises(ValueError, match=r"known sizes.*\(None,\)"):
        encoders.count_flops(encoders.build_text("lstm")[0])


def test_what_no_output_depends_on_counts_nothing():
    bert, _ = build("test_text")
    with_pooler = encoders.count_flops(bert.backbone, sequence_length=L)
    assert with_pooler - encoders.count_flops(bert, sequence_length=L) == 2 * 16 * 16

    def idle(x):
        tf.matmul(x, x)
        return tf.matmul(x, x, transpose_a=True)

    function = tf.function(idle).get_concrete_function(tf.TensorSpec((3, 3)))
    assert traced_flops(function) == 2 * 27


def test_traced_products_of_every_kind():
    def count(function, *shapes):
        specs = [tf.TensorSpec(shape) for shape in shapes]
        return traced_flops(tf.function(function).get_concrete_function(*specs))

    assert count(tf.matmul, (2, 3), (3, 5)) == 2 * 2 * 3 * 5
    assert count(lambda a, b: tf.matmul(a, b, transpose_a=True), (3, 2), (3, 5)) == 2 * 2 * 3 * 5
    assert count(lambda a, b: tf.matmul(a, b, adjoint_a=True), (7, 3, 2), (7, 3, 5)) == 2 * 7 * 30
    assert count(lambda a, b: tf.einsum("abc,cd->abd", a, b), (2, 3, 5), (5, 7)) == 2 * 210
    dense = keras.layers.Dense(7)
    assert count(tf.function(lambda x: dense(x)), (2, 3, 5)) == 2 * 2 * 3 * 5 * 7
    with pytest.raises(ValueError, match=r"known sizes.*\(None, 3\)"):
        count(tf.matmul, (None, 3), (3, 5))
