"""Against PyTorch: decoders of equal weights go on and search as `make_decoder_golden.py` wrote.

What both Transformers agree on: the exact GELU, and epsilons of 1e-5 in the blocks and 1e-3 in the
norms of the memory and of the output, as Keras has it.
"""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import models
from tatl_keras.models import samplers
from tests.goldens import equal_weights

PATH = pathlib.Path(__file__).parents[2] / "goldens" / "decoders.npz"
V, D, HEADS, LENGTH = 17, 12, 3, 7
BEAMS, PENALTY, START, PAD = 3, 0.6, 1, 0


def golden(case):
    with np.load(PATH) as file:
        return {n.split("/")[1]: file[n] for n in file.files if n.startswith(f"{case}/")}


def drawn(name, *shape):
    return equal_weights.drawn(name, shape)


def fill_norm(layer, name):
    layer.gamma.assign(drawn(f"{name}.weight", *layer.gamma.shape))
    layer.beta.assign(drawn(f"{name}.bias", *layer.beta.shape))


def fill_dense(layer, name):
    inputs, outputs = layer.kernel.shape
    layer.kernel.assign(drawn(f"{name}.weight", outputs, inputs).T)
    if layer.use_bias:
        layer.bias.assign(drawn(f"{name}.bias", outputs))


def fill_attention(layer, name):
    together = np.split(drawn(f"{name}.in_proj_weight", 3 * D, D), 3)
    kernels = dict(zip(("query", "key", "value"), together, strict=True))
    kernels["output"] = drawn(f"{name}.out_proj.weight", D, D)
    for which, kernel in kernels.items():
        variable = getattr(layer, f"{which}_kernel")
        variable.assign(kernel.T.reshape(variable.shape))


def transformer(memory):
    decoder = models.TransformerDecoder(
        V, hidden_dim=D, num_layers=2, num_heads=HEADS, intermediate_dim=20, max_length=LENGTH
    )
    decoder(np.zeros((len(memory), 1), "int32"), memory)
    decoder.token_embedding.embeddings.assign(drawn("token_embedding.weight", V, D) / 4)
    decoder.position_embedding.embeddings.assign(drawn("position_embedding.weight", LENGTH, D))
    fill_norm(decoder.memory_norm, "memory_norm")
    fill_norm(decoder.output_norm, "output_norm")
    fill_dense(decoder.memory_dense, "memory_dense")
    for index, block in enumerate(decoder.blocks):
        name = f"blocks.{index}"
        fill_attention(block.self_attention, f"{name}.self_attn")
        fill_attention(block.cross_attention, f"{name}.multihead_attn")
        fill_dense(block.feedforward_intermediate_dense, f"{name}.linear1")
        fill_dense(block.feedforward_output_dense, f"{name}.linear2")
        for which, branch in enumerate(("self_attention", "cross_attention", "feedforward"), 1):
            fill_norm(getattr(block, f"{branch}_layer_norm"), f"{name}.norm{which}")
    return decoder


def lstm(memory):
    decoder = models.LSTMDecoder(V, hidden_dim=D, embedding_dim=8, attention_dim=6)
    decoder(np.zeros((len(memory), 1), "int32"), memory)
    decoder.token_embedding.embeddings.assign(drawn("token_embedding.weight", V, 8))
    decoder.attention_kernel.assign(drawn("attention.weight", 1, 6).T)
    cell = decoder.cell
    cell.kernel.assign(drawn("cell.weight_ih", 4 * D, cell.kernel.shape[0]).T)
    cell.recurrent_kernel.assign(drawn("cell.weight_hh", 4 * D, D).T)
    cell.bias.assign(drawn("cell.bias_ih", 4 * D) + drawn("cell.bias_hh", 4 * D))
    for name in (
        "first_hidden", "first_carry", "memory_dense", "query_dense", "gate_dense",
        "output_hidden", "output_context", "output_logits",
    ):  # fmt: skip
        fill_dense(getattr(decoder, name), name)
    decoder.output_logits.kernel.assign(4 * decoder.output_logits.kernel)
    return decoder


DECODERS = {"transformer": transformer, "lstm": lstm}


@pytest.mark.parametrize("case", DECODERS)
def test_a_step_after_three_tokens(case):
    token_ids, memory, mask = golden("inputs").values()
    token_ids, expected = token_ids.astype("int32"), golden(case)["logits"]
    decoder = DECODERS[case](memory)
    fixed, moving = decoder.start(memory, mask, LENGTH)
    for index in range(token_ids.shape[1]):
        logits, _, moving = decoder.step(token_ids[:, index], index, fixed, moving)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(decoder(token_ids, memory, mask)[:, -1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", ["gelu_tanh", "epsilon"])
def test_another_convention_would_be_seen(variant):
    other = golden(f"transformer_{variant}")["logits"]
    assert np.abs(other - golden("transformer")["logits"]).max() > 1e-4


@pytest.mark.parametrize("case", DECODERS)
def test_a_search(case):
    _, memory, mask = golden("inputs").values()
    expected, decoder = golden(case), DECODERS[case](memory)
    end = int(expected["end_id"])

    @tf.function
    def search():
        fixed, moving = tf.nest.map_structure(
            lambda x: tf.repeat(x, BEAMS, axis=0), decoder.start(memory, mask, LENGTH)
        )

        def step(token_ids, index, moving):
            logits, attention, moving = decoder.step(token_ids, index, fixed, moving)
            return tf.nn.log_softmax(logits), attention, moving

        sampler = samplers.BeamSampler(BEAMS, length_penalty=PENALTY, num_return=BEAMS)
        return sampler(
            step, moving, 2, start_id=START, end_id=end, pad_id=PAD, length=LENGTH
        )._asdict()

    found = search()
    np.testing.assert_array_equal(found["token_ids"], expected["token_ids"])
    ended = (expected["token_ids"] == end).any(-1)
    np.testing.assert_array_equal(found["finished"], ended)
    for name in ("log_probs", "scores"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-4)
