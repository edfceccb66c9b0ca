"""The Transformer decoder: its equations in NumPy, its steps, its masks."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import models

V, D, HEADS, T, S, DM = 13, 6, 2, 5, 7, 3


def make(**kwargs):
    options = {"hidden_dim": D, "num_layers": 2, "num_heads": HEADS, "max_length": 11, "seed": 3}
    decoder = models.TransformerDecoder(V, **(options | kwargs))
    decoder(np.zeros((1, 2), "int32"), np.zeros((1, 1, DM), "float32"))
    rng = np.random.default_rng(5)
    for weight in decoder.weights:  # no ones and zeros, which would hide what is left out
        if "seed" not in weight.path:
            weight.assign(weight.numpy() + 0.3 * rng.normal(size=weight.shape))
    return decoder


def example(rows=3, seed=0):
    rng = np.random.default_rng(seed)
    mask = np.ones((rows, S), "int32")
    mask[0, 4:] = 0
    memory = rng.normal(size=(rows, S, DM)).astype("float32")
    return rng.integers(0, V, (rows, T)).astype("int32"), memory, mask


def norm(x, layer):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    gamma, beta = (w.numpy().astype("float64") for w in (layer.gamma, layer.beta))
    return (x - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta


def attend(layer, x, memory, allowed):
    """Y and A of attention with several heads, in float64."""
    kernels = [getattr(layer, f"{name}_kernel").numpy() for name in ("query", "key", "value")]
    pairs = zip((x, memory, memory), kernels, strict=True)
    q, k, v = (np.einsum("btd,dhk->bhtk", y, w) for y, w in pairs)
    scores = np.einsum("bhtk,bhsk->bhts", q, k) / np.sqrt(q.shape[-1])
    weights = np.where(allowed, np.exp(scores - scores.max(-1, keepdims=True)), 0)
    sums = weights.sum(-1, keepdims=True)
    weights = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
    outputs = np.einsum("bhts,bhsk,hkd->btd", weights, v, layer.output_kernel.numpy())
    return outputs, weights


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def reference(decoder, tokens, memory, mask):
    """Logits and scores by the formula."""
    table = decoder.token_embedding.embeddings.numpy().astype("float64")
    memory = norm(memory.astype("float64"), decoder.memory_norm)
    memory = memory @ decoder.memory_dense.kernel.numpy()
    memory = np.where(mask[..., None] > 0, memory, 0)
    positions = decoder.position_embedding.embeddings.numpy()[: tokens.shape[1]]
    x = table[tokens] * np.sqrt(D) + positions
    causal = np.tril(np.ones((tokens.shape[1],) * 2, bool))
    seen = []
    for block in decoder.blocks:
        y = norm(x, block.self_attention_layer_norm)
        x = x + attend(block.self_attention, y, y, causal)[0]
        y = norm(x, block.cross_attention_layer_norm)
        outputs, weights = attend(block.cross_attention, y, memory, mask[:, None, None] > 0)
        x, seen = x + outputs, [*seen, weights.mean(1)]
        hidden = norm(x, block.feedforward_layer_norm) @ block.feedforward_intermediate_dense.kernel
        hidden = gelu(np.asarray(hidden) + block.feedforward_intermediate_dense.bias.numpy())
        dense = block.feedforward_output_dense
        x = x + hidden @ dense.kernel.numpy() + dense.bias.numpy()
    return norm(x, decoder.output_norm) @ table.T, np.mean(seen, axis=0)


def test_the_formula():
    decoder, (tokens, memory, mask) = make(), example()
    logits, scores = decoder(tokens, memory, mask, return_attention_scores=True)
    expected, attention = reference(decoder, tokens, memory, mask)
    np.testing.assert_allclose(logits, expected, atol=2e-4)
    np.testing.assert_allclose(scores, attention, atol=1e-5)


@pytest.mark.parametrize("length", [T, 9], ids=["filled", "longer"])
def test_steps_give_what_the_call_gives(length):
    decoder, (tokens, memory, mask) = make(), example()
    mask[1] = 0  # nothing to attend
    logits, scores = decoder(tokens, memory, mask, return_attention_scores=True)
    fixed, moving = decoder.start(memory, mask, length)
    step = tf.function(decoder.step)
    for index in range(T):
        found, attention, moving = step(tokens[:, index], tf.constant(index), fixed, moving)
        np.testing.assert_allclose(found, logits[:, index], atol=1e-5)
        np.testing.assert_allclose(attention, scores[:, index], atol=1e-6)
    np.testing.assert_array_equal(attention[1], np.zeros(S))


def test_later_tokens_and_masked_memory_do_not_matter():
    decoder, (tokens, memory, mask) = make(), example()
    before = decoder(tokens, memory, mask).numpy()
    tokens[:, 3:] = (tokens[:, 3:] + 1) % V
    memory[0, 4:] = np.inf
    after = decoder(tokens, memory, mask).numpy()
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.isfinite(after).all() and np.abs(after - before)[:, 3:].max() > 1e-3


def test_tokens_go_into_the_logits_of_their_own_place():
    decoder, (tokens, memory, mask) = make(), example()
    before = decoder(tokens, memory, mask).numpy()
    tokens[:, 2] = (tokens[:, 2] + 1) % V
    changed = np.abs(decoder(tokens, memory, mask).numpy() - before).max((0, 2)) > 1e-4
    np.testing.assert_array_equal(changed, [False, False, True, True, True])


def test_config_comes_back():
    decoder = make(dropout=0.25, intermediate_dim=17)
    again = models.TransformerDecoder.from_config(decoder.get_config())
    tokens, memory, mask = example()
    again(tokens, memory)
    again.set_weights(decoder.get_weights())
    np.testing.assert_array_equal(again(tokens, memory, mask), decoder(tokens, memory, mask))


def test_seeds_decide_the_weights_and_no_two_kernels_are_equal():
    first, second, other = (
        models.TransformerDecoder(V, hidden_dim=D, num_heads=2, num_layers=2, seed=seed)
        for seed in (1, 1, 2)
    )
    tokens, memory, mask = example()
    outputs = [decoder(tokens, memory, mask).numpy() for decoder in (first, second, other)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0] - outputs[2]).max() > 1e-3
    kernels = [w.numpy() for w in first.weights if w.path.endswith("query_kernel")]
    assert len(kernels) == 4 and len({k.tobytes() for k in kernels}) == 4


def test_logits_are_float32_under_every_policy():
    decoder = models.TransformerDecoder(
        V, hidden_dim=D, num_heads=2, num_layers=1, dtype="mixed_bfloat16"
    )
    tokens, memory, mask = example()
    assert decoder(tokens, memory, mask).dtype == "float32"
    fixed, moving = decoder.start(memory, mask, 3)
    logits, attention, _ = decoder.step(tokens[:, 0], 0, fixed, moving)
    assert (logits.dtype, attention.dtype) == ("float32", "float32")
    assert decoder(tokens, keras.KerasTensor((None, S, DM))).dtype == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary_size": 0}, "vocabulary_size=0"),
        ({"hidden_dim": 5}, "num_heads=2, hidden_dim=5"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"max_length": None}, "max_length=None"),
        ({"dropout": 1}, "dropout=1"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    given = {"vocabulary_size": V, "hidden_dim": D, "num_heads": 2} | arguments
    with pytest.raises(ValueError, match=message):
        models.TransformerDecoder(**given)


def test_bad_inputs():
    decoder, (tokens, memory, _) = make(), example()
    with pytest.raises(ValueError, match=r"token_ids.shape=\(3, 12\)"):
        decoder(np.zeros((3, 12), "int32"), memory)
    with pytest.raises(ValueError, match=r"memory.shape=\(3, 7, 2\)"):
        decoder(tokens, memory[..., :2])
    with pytest.raises(ValueError, match=r"token_ids.shape=\(None, 12\)"):
        decoder.start(memory, None, 12)
