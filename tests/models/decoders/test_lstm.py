"""The LSTM decoder: its equations in NumPy, its steps, its masks, its graphs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import models

V, D, DE, A, T, S, DM = 13, 6, 5, 3, 5, 7, 2
SIZES = {"hidden_dim": D, "embedding_dim": DE, "attention_dim": A}
GRAPH = [
    tf.TensorSpec((None, None), tf.int32),
    tf.TensorSpec((None, None, DM)),
    tf.TensorSpec((None, None), tf.int32),
]


def make(**kwargs):
    decoder = models.LSTMDecoder(V, **({"seed": 3} | SIZES | kwargs))
    decoder(np.zeros((1, 2), "int32"), np.zeros((1, 1, DM), "float32"))
    rng = np.random.default_rng(5)
    for weight in decoder.weights:  # no zeros, which would hide what is left out
        weight.assign(weight.numpy() + 0.4 * rng.normal(size=weight.shape))
    return decoder


def example(rows=3, seed=0):
    """Tokens, memory and its mask: a part of the first row is masked, and all of the second."""
    rng = np.random.default_rng(seed)
    mask = np.ones((rows, S), "int32")
    mask[0, 4:], mask[1] = 0, 0
    memory = rng.normal(size=(rows, S, DM)).astype("float32")
    return rng.integers(0, V, (rows, T)).astype("int32"), memory, mask


def dense(layer, x):
    kernel, *bias = (w.numpy().astype("float64") for w in layer.weights)
    return x @ kernel + (bias[0] if bias else 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cell(layer, x, h, c):
    """The LSTM with its gates i, f, candidate and o, in float64."""
    kernel, recurrent, bias = (w.numpy().astype("float64") for w in layer.weights)
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def reference_row(decoder, tokens, memory):
    """Logits (T, V) and scores (T, S') of one row by the formula, without its masked places."""
    table = decoder.token_embedding.embeddings.numpy().astype("float64")
    mean = memory.mean(0) if len(memory) else np.zeros(DM)
    h, c = (np.tanh(dense(one, mean)) for one in (decoder.first_hidden, decoder.first_carry))
    logits, scores = [], []
    for x in table[tokens]:
        hidden = np.tanh(dense(decoder.memory_dense, memory) + dense(decoder.query_dense, h))
        weights = np.exp(hidden @ decoder.attention_kernel.numpy()[:, 0])
        weights = weights / weights.sum()
        z = sigmoid(dense(decoder.gate_dense, h)) * (weights @ memory)
        h, c = cell(decoder.cell, np.concatenate([x, z]), h, c)
        output = x + dense(decoder.output_hidden, h) + dense(decoder.output_context, z)
        logits.append(dense(decoder.output_logits, np.tanh(output)))
        scores.append(weights)
    return np.array(logits), np.array(scores)


def test_the_formula():
    decoder, (tokens, memory, mask) = make(), example()
    logits, scores = decoder(tokens, memory, mask, return_attention_scores=True)
    for row in range(3):
        real = mask[row] == 1
        expected, attention = reference_row(decoder, tokens[row], memory[row, real])
        np.testing.assert_allclose(logits[row], expected, atol=2e-5)
        np.testing.assert_allclose(scores.numpy()[row][:, real], attention, atol=1e-6)
        np.testing.assert_array_equal(scores.numpy()[row][:, ~real], 0)
    np.testing.assert_array_equal(decoder(tokens, memory, mask), logits)


def test_steps_give_what_the_call_gives():
    decoder, (tokens, memory, mask) = make(), example()
    logits, scores = decoder(tokens, memory, mask, return_attention_scores=True)
    fixed, moving = decoder.start(memory, mask, T)
    assert {len(x) for x in tf.nest.flatten([fixed, moving])} == {3}  # the batch stands first
    step = tf.function(decoder.step)
    for index in range(T):
        found, attention, moving = step(tokens[:, index], tf.constant(index), fixed, moving)
        np.testing.assert_allclose(found, logits[:, index], atol=1e-5)
        np.testing.assert_allclose(attention, scores[:, index], atol=1e-6)
    np.testing.assert_array_equal(attention[1], np.zeros(S))


def test_rows_go_their_own_ways_from_a_repeated_start():
    decoder, (tokens, memory, mask) = make(), example()
    fixed, moving = tf.nest.map_structure(
        lambda x: tf.repeat(x, 2, axis=0), decoder.start(memory, mask, T)
    )
    for index in range(2):
        logits, _, moving = decoder.step(tokens.reshape(-1)[index::2][:6], index, fixed, moving)
    of_rows = np.stack([tokens.reshape(-1)[index::2][:6] for index in range(2)], 1)
    expected = decoder(of_rows, np.repeat(memory, 2, 0), np.repeat(mask, 2, 0))
    np.testing.assert_allclose(logits, expected[:, 1], atol=1e-5)


def test_a_token_matters_from_its_own_place_on():
    decoder, (tokens, memory, mask) = make(), example()
    before = decoder(tokens, memory, mask).numpy()
    tokens[:, 2] = (tokens[:, 2] + 1) % V
    difference = np.abs(decoder(tokens, memory, mask).numpy() - before).max((0, 2))
    np.testing.assert_array_equal(difference[:2], [0, 0])
    assert difference[2:].min() > 1e-4


def test_masked_memory_does_not_matter_and_gets_no_gradient():
    decoder, (tokens, memory, mask) = make(), example()
    before = decoder(tokens, memory, mask).numpy()
    memory[mask == 0] = np.inf
    given = tf.constant(memory)
    with tf.GradientTape() as tape:
        tape.watch(given)
        logits = decoder(tokens, given, mask)
        loss = tf.reduce_sum(logits**2)
    np.testing.assert_array_equal(logits, before)
    gradients = tape.gradient(loss, [given, *decoder.trainable_variables])
    assert all(np.isfinite(tf.convert_to_tensor(one)).all() for one in gradients)
    np.testing.assert_array_equal(gradients[0].numpy()[mask == 0], 0)
    assert np.abs(gradients[0].numpy()[mask == 1]).min() > 0


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_graphs_of_unknown_sizes_give_the_same_values_and_gradients(jit_compile):
    decoder, given = make(), example()

    def values(tokens, memory, mask):
        with tf.GradientTape() as tape:
            logits, scores = decoder(tokens, memory, mask, return_attention_scores=True)
            loss = tf.reduce_sum(logits**2) + tf.reduce_sum(scores**2)
        gradients = tape.gradient(loss, decoder.trainable_variables)
        return [logits, *(tf.convert_to_tensor(one) for one in gradients)]

    graph = tf.function(values, input_signature=GRAPH, jit_compile=jit_compile)
    for rows, length in ((3, T),) if jit_compile else ((3, T), (2, 1)):
        part = given[0][:rows, :length], given[1][:rows], given[2][:rows]
        for found, expected in zip(graph(*part), values(*part), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert graph.experimental_get_tracing_count() == 1


def test_gradients_are_those_of_differences():
    decoder, (tokens, memory, mask) = make(dtype="float64"), example()

    @tf.function
    def loss():
        return tf.reduce_sum(tf.sin(tf.cast(decoder(tokens, memory, mask), "float64")))

    with tf.GradientTape() as tape:
        value = loss()
    for weight, gradient in zip(
        decoder.trainable_variables,
        tape.gradient(value, [w.value for w in decoder.trainable_variables]),
        strict=True,
    ):
        before = weight.numpy()
        direction = np.random.default_rng(1).normal(size=before.shape)
        weight.assign(before + 1e-3 * direction)
        above = float(loss())
        weight.assign(before - 1e-3 * direction)
        found = (above - float(loss())) / 2e-3
        weight.assign(before)
        expected = float(np.sum(tf.convert_to_tensor(gradient) * direction))
        assert found == pytest.approx(expected, rel=2e-2, abs=2e-3), weight.path


def test_dropout_acts_in_training_only_and_by_the_seed():
    tokens, memory, mask = example()
    first, again = (make(dropout=0.5) for _ in range(2))
    plain = first(tokens, memory, mask).numpy()
    np.testing.assert_array_equal(make()(tokens, memory, mask), plain)
    dropped = first(tokens, memory, mask, training=True).numpy()
    assert np.abs(dropped - plain).max() > 1e-2
    assert np.abs(first(tokens, memory, mask, training=True).numpy() - dropped).max() > 1e-2
    np.testing.assert_array_equal(again(tokens, memory, mask, training=True), dropped)


def test_a_saved_model_comes_back(tmp_path):
    inputs = keras.Input((None,), dtype="int32"), keras.Input((None, DM)), keras.Input((None,))
    mask = keras.ops.cast(inputs[2], "int32")
    decoder = models.LSTMDecoder(V, dropout=0.25, max_length=11, seed=3, **SIZES)
    model = keras.Model(inputs, decoder(inputs[0], inputs[1], mask))
    assert model.output_shape == (None, None, V)
    given = example()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    model.fit(given, given[0], verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(given), model(given))
    again = next(layer for layer in loaded.layers if isinstance(layer, models.LSTMDecoder))
    assert again.get_config() == decoder.get_config()
    assert again.max_length == 11 and again.frozen is False


def test_seeds_decide_the_weights():
    tokens, memory, mask = example()
    first, second, other = (
        models.LSTMDecoder(V, seed=seed, **SIZES)(tokens, memory, mask).numpy()
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3
    decoder = models.LSTMDecoder(V, hidden_dim=D, embedding_dim=D, attention_dim=D, seed=1)
    decoder(tokens, np.zeros((3, S, D), "float32"))
    kernels = [w.numpy() for w in decoder.weights if w.shape == (D, D)]
    assert len(kernels) == 6 and len({kernel.tobytes() for kernel in kernels}) == 6


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_logits_and_scores_are_float32_under_every_policy(policy):
    decoder, same, (tokens, memory, mask) = make(dtype=policy), make(), example()
    decoder.set_weights(same.get_weights())
    logits, scores = decoder(tokens, memory, mask, return_attention_scores=True)
    assert (logits.dtype, scores.dtype) == ("float32", "float32")
    np.testing.assert_allclose(scores.numpy().sum(-1)[[0, 2]], 1, atol=1e-6)
    expected = same(tokens, memory, mask).numpy()
    atol = (1e-6 if policy == "float64" else 0.05) * np.abs(expected).max()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=atol)
    fixed, moving = decoder.start(memory, mask, T)
    found, attention, _ = decoder.step(tokens[:, 0], 0, fixed, moving)
    assert (found.dtype, attention.dtype) == ("float32", "float32")
    np.testing.assert_allclose(found, logits[:, 0], rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary_size": 0}, "vocabulary_size=0"),
        ({"hidden_dim": 0}, "hidden_dim=0"),
        ({"embedding_dim": 2.5}, "embedding_dim=2.5"),
        ({"attention_dim": True}, "attention_dim=True"),
        ({"dropout": 1}, "dropout=1"),
        ({"max_length": 0}, "max_length=0"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.LSTMDecoder(**({"vocabulary_size": V} | SIZES | arguments))


def test_bad_inputs():
    decoder, (tokens, memory, _) = make(max_length=4), example()
    with pytest.raises(ValueError, match=r"T of at most 4.*token_ids.shape=\(3, 5\)"):
        decoder(tokens, memory)
    with pytest.raises(ValueError, match=r"memory.shape=\(3, 7, 1\)"):
        decoder(tokens[:, :4], memory[..., :1])
