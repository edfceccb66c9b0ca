"""The Transformer blocks against KerasHub's, and what is particular to them."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.layers import (
    RotaryPositions,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)

PADDING = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]])
MEMORY_PADDING = np.arange(11) < np.array([[4], [11]])
ORDERS = pytest.mark.parametrize("first", [False, True], ids=["post_norm", "pre_norm"])


def close(first, second, tolerance=1e-6):
    np.testing.assert_allclose(first, second, rtol=0, atol=tolerance)


def sequences(rng):
    return rng.normal(size=(2, 5, 6)), rng.normal(size=(2, 11, 13))


def with_weights_of(block, reference, rng):
    """Gives both random weights, those of the block in the places of KerasHub's."""
    names = ("self_attention", "cross_attention", "feedforward")
    for part in names:
        ours, norm = getattr(block, part, None), getattr(block, f"{part}_layer_norm", None)
        if norm is None:
            continue
        copy_random(norm, getattr(reference, f"_{part}_layer_norm"), ("gamma", "beta"), rng)
        if ours is not None:
            theirs = getattr(reference, f"_{part}_layer")
            for name in ("query", "key", "value", "output"):
                for kind in ("kernel", "bias"):
                    value = rng.normal(size=getattr(ours, f"{name}_{kind}").shape) * 0.4
                    getattr(ours, f"{name}_{kind}").assign(value)
                    getattr(getattr(theirs, f"{name}_dense"), kind).assign(value)
    for part in ("intermediate", "output"):
        dense = getattr(block, f"feedforward_{part}_dense")
        theirs = getattr(reference, f"_feedforward_{part}_dense")
        copy_random(dense, theirs, ("kernel", "bias"), rng)
    assert sum(w.shape.num_elements() for w in block.weights) == reference.count_params()


def copy_random(ours, theirs, names, rng):
    for name in names:
        value = rng.normal(size=getattr(ours, name).shape) * 0.4
        getattr(ours, name).assign(value)
        getattr(theirs, name).assign(value)


@ORDERS
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("masks", ["none", "padding", "attention", "both"])
def test_encoder_equals_keras_hub(rng, first, activation, masks):
    x, _ = sequences(rng)
    shared = {"activation": activation, "normalize_first": first, "layer_norm_epsilon": 1e-3}
    block = TransformerEncoderBlock(7, 3, use_bias=True, **shared)
    reference = keras_hub.layers.TransformerEncoder(7, 3, **shared)
    block(x), reference(x)
    with_weights_of(block, reference, rng)
    call = {}
    if masks in ("padding", "both"):
        call["padding_mask"] = PADDING
    if masks in ("attention", "both"):
        call["attention_mask"] = (rng.random((2, 5, 5)) > 0.4) | (np.arange(5) == 0)
    real = PADDING > 0 if "padding_mask" in call else np.ones((2, 5), bool)
    close(block(x, **call).numpy()[real], reference(x, **call).numpy()[real], 1e-5)
    scores, expected = (
        layer(x, return_attention_scores=True, **call)[1].numpy().swapaxes(1, 2)
        for layer in (block, reference)
    )
    close(scores[real], expected[real], 1e-5)


@ORDERS
@pytest.mark.parametrize("masks", ["none", "padding", "both"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "not_causal"])
@pytest.mark.parametrize("crossed", [True, False], ids=["crossed", "alone"])
def test_decoder_equals_keras_hub(rng, first, masks, causal, crossed):
    x, memory = sequences(rng)
    shared = {"activation": "gelu", "normalize_first": first}
    block = TransformerDecoderBlock(7, 3, use_bias=True, **shared)
    reference = keras_hub.layers.TransformerDecoder(7, 3, **shared)
    arrays = (x, memory) if crossed else (x,)
    block(*arrays), reference(*arrays)
    with_weights_of(block, reference, rng)
    call = {"use_causal_mask": causal}
    if masks != "none":
        call["decoder_padding_mask"] = PADDING
        if crossed:
            call["encoder_padding_mask"] = MEMORY_PADDING
    if masks == "both":
        call["decoder_attention_mask"] = (rng.random((2, 5, 5)) > 0.4) | (np.arange(5) == 0)
        if crossed:
            call["encoder_attention_mask"] = (rng.random((2, 5, 11)) > 0.4) | (np.arange(11) == 0)
    real = PADDING > 0 if masks != "none" else np.ones((2, 5), bool)
    close(block(*arrays, **call).numpy()[real], reference(*arrays, **call).numpy()[real], 1e-5)


@ORDERS
@pytest.mark.parametrize("steps", [[1] * 5, [2, 1, 2]], ids=str)
@pytest.mark.parametrize("position", [None, RotaryPositions()], ids=["plain", "rotary"])
def test_decoding_with_caches_equals_the_whole(rng, first, steps, position):
    x, memory = (array.astype("float32") for array in sequences(rng))
    block = TransformerDecoderBlock(
        7, 3, normalize_first=first, position=position, use_bias=True, seed=1
    )
    masks = {"encoder_padding_mask": MEMORY_PADDING}
    whole, scores = block(x, memory, return_attention_scores=True, **masks)
    own, other = np.zeros((2, 2, 5, 3, 2), "float32"), np.zeros((2, 2, 11, 3, 2), "float32")
    start = 0
    for size in steps:
        y, found, own, other = block(
            x[:, start : start + size],
            memory,
            self_attention_cache=own,
            self_attention_cache_update_index=start,
            cross_attention_cache=other,
            cross_attention_cache_update_index=None if start else 0,
            return_attention_scores=True,
            **masks,
        )
        rows = slice(start, start + size)
        close(y, whole[:, rows])
        close(found["self"], scores["self"][:, :, rows])
        close(found["cross"], scores["cross"][:, :, rows])
        start += size


def test_decoding_alone_in_a_graph_loop_under_left_padding(rng):
    x = sequences(rng)[0].astype("float32")
    mask = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    block = TransformerDecoderBlock(7, 3, seed=1)
    whole = block(x, decoder_padding_mask=mask).numpy()

    @tf.function
    def decode(x):
        def step(index, cache, outputs):
            y, cache = block(
                x[:, index : index + 1],
                decoder_padding_mask=mask,
                self_attention_cache=cache,
                self_attention_cache_update_index=index,
            )
            return index + 1, cache, outputs.write(index, y[:, 0])

        start = (0, tf.zeros((2, 2, 5, 3, 2)), tf.TensorArray(tf.float32, 5))
        outputs = tf.while_loop(lambda index, *_: index < 5, step, start)[2]
        return tf.transpose(outputs.stack(), (1, 0, 2))

    close(decode(x).numpy()[mask > 0], whole[mask > 0])


def test_implicit_masks(rng):
    ids = np.array([[1, 2, 0, 3, 0], [3, 1, 2, 1, 4]])
    other = np.array([[1, 0, 2], [0, 0, 3]])
    embed = keras.layers.Embedding(5, 6, mask_zero=True)
    encoder, decoder = TransformerEncoderBlock(7, 3), TransformerDecoderBlock(7, 3)
    outputs = encoder(embed(ids))
    close(outputs, encoder(embed(ids).numpy(), padding_mask=ids > 0), 0)
    np.testing.assert_array_equal(outputs._keras_mask, ids > 0)
    assert not outputs.numpy()[ids == 0].any() and outputs.numpy()[ids > 0].all()
    outputs = decoder(embed(ids), embed(other))
    masks = {"decoder_padding_mask": ids > 0, "encoder_padding_mask": other > 0}
    close(outputs, decoder(embed(ids).numpy(), embed(other).numpy(), **masks), 0)
    np.testing.assert_array_equal(outputs._keras_mask, ids > 0)


def test_scores_of_the_decoder(rng):
    x, memory = sequences(rng)
    block = TransformerDecoderBlock(7, 3)
    outputs, scores = block(
        x, memory, encoder_padding_mask=MEMORY_PADDING, return_attention_scores=True
    )
    close(outputs, block(x, memory, encoder_padding_mask=MEMORY_PADDING))
    assert list(scores) == ["self", "cross"]
    seen = np.broadcast_to(np.tri(5, dtype=bool), (2, 3, 5, 5))
    np.testing.assert_array_equal(scores["self"].numpy() > 0, seen)
    seen = np.broadcast_to(MEMORY_PADDING[:, None, None], (2, 3, 5, 11))
    np.testing.assert_array_equal(scores["cross"].numpy() > 0, seen)
    alone = TransformerDecoderBlock(7, 3)
    assert list(alone(x, return_attention_scores=True)[1]) == ["self"]


def test_symbolic_results_of_the_decoder(rng, tmp_path):
    x, memory = sequences(rng)
    inputs = [
        keras.Input((None, 6)),
        keras.Input((None, 13)),
        keras.Input((2, 5, 3, 2)),
        keras.Input((2, 11, 3, 2)),
    ]
    block = TransformerDecoderBlock(7, 3)
    results = block(
        *inputs[:2],
        self_attention_cache=inputs[2],
        self_attention_cache_update_index=1,
        cross_attention_cache=inputs[3],
        cross_attention_cache_update_index=0,
        return_attention_scores=True,
    )
    model = keras.Model(inputs, results)
    model.save(tmp_path / "model.keras")
    arrays = [x[:, :3], memory, np.zeros((2, 2, 5, 3, 2)), np.zeros((2, 2, 11, 3, 2))]
    found = keras.saving.load_model(tmp_path / "model.keras")(arrays)
    assert list(found[1]) == ["self", "cross"] and len(found) == 4
    for symbolic, a, b in zip(
        *map(keras.tree.flatten, (results, found, model(arrays))), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        assert all(s in (None, n) for s, n in zip(symbolic.shape, a.shape, strict=True))


@ORDERS
def test_dropout_of_every_branch(rng, first):
    x, memory = sequences(rng)
    make = {"normalize_first": first, "seed": 1}
    plain = TransformerDecoderBlock(7, 3, **make)(x, memory).numpy()
    for rates in (
        {"dropout": 0.3},
        {"attention_dropout": 0.3},
        {"dropout": 0.3, "attention_dropout": 0.0},
    ):
        block, again = (TransformerDecoderBlock(7, 3, **make, **rates) for _ in range(2))
        close(block(x, memory), plain, 0)
        dropped = block(x, memory, training=True).numpy()
        np.testing.assert_array_equal(dropped, again(x, memory, training=True))
        assert (dropped != plain).any()
    assert block.self_attention.dropout == block.cross_attention.dropout == 0.0
    block = TransformerDecoderBlock(7, 3, dropout=0.3, **make)
    block(x, memory)
    names = ("self_attention", "cross_attention", "feedforward")
    droppers = [getattr(block, f"{name}_dropout") for name in names]
    droppers += [block.self_attention, block.cross_attention]
    seeds = {tuple(layer.seed_generator.state.numpy()) for layer in droppers}
    assert len(seeds) == 5


def test_defaults():
    encoder, decoder = TransformerEncoderBlock(7, 3), TransformerDecoderBlock(7, 3)
    encoder.build((None, None, 6))
    decoder.build((None, None, 6), (None, None, 6))
    assert encoder.count_params() == 4 * 36 + (6 * 7 + 7) + (7 * 6 + 6) + 2 * 12
    assert decoder.count_params() == encoder.count_params() + 4 * 36 + 12
    assert encoder.activation is keras.activations.relu and not encoder.normalize_first
    norms = [encoder.self_attention_layer_norm, encoder.feedforward_layer_norm]
    assert [norm.epsilon for norm in norms] == [1e-5, 1e-5]


@pytest.mark.parametrize(
    "arguments", [{}, {"seed": 3}, {"kernel_initializer": keras.initializers.HeNormal(seed=3)}]
)
def test_kernels_of_a_block_differ(arguments):
    block, again = (TransformerDecoderBlock(6, 3, **arguments) for _ in range(2))
    for one in (block, again):
        one.build((None, None, 6), (None, None, 6))
    found = [w.numpy().ravel() for w in block.weights if "kernel" in w.name]
    assert len(found) == 10
    assert all((a != b).any() for i, a in enumerate(found) for b in found[:i])
    same = all(
        (a.numpy() == b.numpy()).all() for a, b in zip(block.weights, again.weights, strict=True)
    )
    assert same == bool(arguments)
