"""The Transformer that learns from scratch, against NumPy in float64, and in a classifier."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import encoders, zoo
from tests.encoders.cases import ALL, eagerly, inputs_of, ready

D, HEADS = 6, 2


def array(weight):
    return weight.numpy().astype("float64")


def dense(layer, x):
    return x @ array(layer.kernel) + array(layer.bias)


def norm(layer, x):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + layer.epsilon) * array(layer.gamma) + array(layer.beta)


def attend(layer, x):
    """Attention of each of the T rows of x to all, head by head."""
    mixed = 0
    for head in range(HEADS):
        q, k, v = (
            x @ array(getattr(layer, f"{n}_kernel"))[:, head] for n in ("query", "key", "value")
        )
        weights = np.exp(q @ k.T / np.sqrt(D // HEADS))
        weights = weights / weights.sum(-1, keepdims=True)
        mixed = mixed + weights @ v @ array(layer.output_kernel)[head]
    return mixed


def gelu(x):
    return x * np.vectorize(lambda value: 0.5 * (1 + math.erf(value / math.sqrt(2))))(x)


def read(encoder, ids):
    """Tokens (T, D) of one text without padding."""
    x = array(encoder.token_embedding.embeddings)[ids] * math.sqrt(D)
    for t in range(len(ids)):
        for i in range(D):
            angle = t / 10000 ** (i // 2 * 2 / D)
            x[t, i] += math.cos(angle) if i % 2 else math.sin(angle)
    for block in encoder.blocks:
        x = x + attend(block.self_attention, norm(block.self_attention_layer_norm, x))
        hidden = dense(block.feedforward_intermediate_dense, norm(block.feedforward_layer_norm, x))
        x = x + dense(block.feedforward_output_dense, gelu(hidden))
    return norm(encoder.output_norm, x)


def test_it_agrees_with_numpy():
    encoder, inputs = ALL["transformer"](seed=2), inputs_of("transformer")
    rng = np.random.default_rng(1)
    for weight in encoder.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.7)
    features = {name: value.numpy() for name, value in encoder(inputs).items()}
    for row, length in enumerate((7, 3, 0)):
        expected = np.zeros((7, D))
        if length:
            expected[:length] = read(encoder, inputs["token_ids"][row, :length])
        np.testing.assert_allclose(features["tokens"][row], expected, rtol=1e-4, atol=2e-5)
        pooled = expected[:length].mean(0) if length else np.zeros(D)
        np.testing.assert_allclose(features["pooled"][row], pooled, rtol=1e-4, atol=1e-5)


def test_seeds_decide_the_weights_and_no_two_kernels_are_equal():
    first, again, other = (ALL["transformer"](seed=seed) for seed in (2, 2, 3))
    assert first.digest() == again.digest() != other.digest()
    kernels = [w.numpy().tobytes() for w in first.weights if w.path.endswith("kernel")]
    assert len(kernels) == len(set(kernels)) == 2 * 6


def test_embedded_tokens_and_positions_are_of_one_size():
    encoder = encoders.TextTransformer(997, seed=1)
    embedded = encoder.token_embedding(np.arange(997)) * 16
    assert float(keras.ops.std(embedded)) == pytest.approx(1, rel=0.02)


def test_dropout_acts_in_training_only():
    encoder, inputs = ready("transformer"), inputs_of("transformer")
    first, second, plain, default = (
        encoder(inputs, training=training)["pooled"].numpy()
        for training in (True, True, False, None)
    )
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(plain, default)


def test_a_longest_text_may_be_set():
    encoder = encoders.TextTransformer(31, hidden_dim=6, num_heads=2, max_sequence_length=5)
    assert encoder.max_sequence_length == 5 and ready("transformer").max_sequence_length is None
    with pytest.raises(ValueError, match=r"at most 5 tokens.*token_ids.shape=\(3, 7\)"):
        encoder(inputs_of("transformer"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dim": 7, "num_heads": 2}, "num_heads=2, hidden_dim=7"),
        ({"dropout": -0.1}, "dropout=-0.1"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        encoders.TextTransformer(31, **arguments)


def test_a_classifier_of_it_tells_orders_of_words_apart():
    model = zoo.compose(2, text="transformer", sequence_length=5, seed=0)
    encoder, texts = model.text_encoder, ["red blue", "blue red"]
    assert isinstance(encoder, encoders.TextTransformer) and not encoder.frozen
    model.preprocessor.adapt(tf.data.Dataset.from_tensor_slices(texts), encoder.vocabulary_size)
    first, second = encoder(eagerly(model.preprocessor, text=texts))["pooled"].numpy()
    assert np.abs(first - second).max() > 1e-2  # a bag of words would see no difference
