"""The numbers of the text encoders, against NumPy in float64."""

import keras
import keras_hub
import numpy as np
import pytest

from tatl_keras import encoders
from tests.encoders.cases import TRANSFORMER, inputs_of, ready


def numpy(features):
    return {
        name: keras.ops.convert_to_numpy(value).astype("float64")
        for name, value in features.items()
    }


def weights(layer):
    return [w.numpy().astype("float64") for w in layer.weights]


def masked_mean(tokens, mask):
    rows = [row[keep == 1] for row, keep in zip(tokens, mask, strict=True)]
    return np.stack([r.mean(0) if len(r) else np.zeros(tokens.shape[-1]) for r in rows])


def hidden_states(encoder, inputs):
    """The backbone alone, called as its documentation says."""
    given = dict(inputs)
    if "segment_ids" in encoder.backbone.input:
        given["segment_ids"] = np.zeros_like(inputs["token_ids"])
    output = encoder.backbone.predict(given, verbose=0)
    return (output["sequence_output"] if isinstance(output, dict) else output).astype("float64")


@pytest.mark.parametrize("name", ["test_text", "distil_bert"])
def test_mean_of_hidden_states(name):
    encoder, inputs = ready(name), inputs_of(name)
    features, states = numpy(encoder(inputs)), hidden_states(encoder, inputs)
    np.testing.assert_allclose(features["tokens"], states, rtol=1e-4, atol=1e-5)
    expected = masked_mean(states, inputs["padding_mask"])
    np.testing.assert_allclose(features["pooled"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", ["BertBackbone", "DistilBertBackbone"])
def test_cls_pooling_takes_the_first_state(backbone):
    encoder = encoders.TransformerTextEncoder(
        getattr(keras_hub.models, backbone)(**TRANSFORMER), pooling="cls"
    )
    inputs = inputs_of("test_text")
    features = numpy(encoder(inputs))
    expected = features["tokens"][:, 0] * np.array([[1], [1], [0]])
    np.testing.assert_array_equal(features["pooled"], expected)
    assert np.abs(features["tokens"][2, 0]).max() > 0  # the text of the last row is empty
    assert encoder.get_config()["pooling"] == "cls"


def test_too_long_texts_are_refused():
    inputs = {
        "token_ids": np.ones((2, 65), "int32"),
        "padding_mask": np.ones((2, 65), "int32"),
    }
    with pytest.raises(ValueError, match=r"at most 64 tokens.*token_ids.shape=\(2, 65\)"):
        ready("test_text")(inputs)


def test_sizes_are_told():
    encoder = ready("distil_bert")
    assert (encoder.vocabulary_size, encoder.max_sequence_length) == (31, 19)
    assert (ready("lstm").vocabulary_size, ready("lstm").max_sequence_length) == (31, None)
    assert ready("embed").vocabulary_size == 31


def test_wrong_pooling_is_refused():
    with pytest.raises(ValueError, match="pooling='max'"):
        encoders.TransformerTextEncoder(ready("test_text").backbone, pooling="max")


def further_input():
    inputs = {
        name: keras.Input((None,), dtype="int32", name=name)
        for name in ("token_ids", "padding_mask", "extra_ids")
    }
    return keras.Model(inputs, keras.layers.Embedding(5, 3)(inputs["token_ids"]))


def logits_only():
    inputs = {
        name: keras.Input((None,), dtype="int32", name=name)
        for name in ("token_ids", "padding_mask")
    }
    states = keras.layers.Embedding(5, 3)(inputs["token_ids"])
    return keras.Model(inputs, {"logits": states})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ready("test_image").backbone, "EfficientNetBackbone with input <KerasTensor"),
        (further_input, r"input \['extra_ids', 'padding_mask', 'token_ids'\]"),
        (logits_only, r"output \['logits'\]"),
        (lambda: "bert_base", "str with input None"),
    ],
)
def test_backbones_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        encoders.TransformerTextEncoder(make())


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_states(x, kernel, recurrent, bias):
    """Hidden states of one text (T, D), step by step: gates i, f, candidate, o."""
    units = recurrent.shape[0]
    h = c = np.zeros(units)
    states = []
    for step in x:
        i, f, g, o = np.split(step @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.reshape(states, (len(x), units))


def test_lstm_agrees_with_numpy():
    encoder, inputs = encoders.LSTMTextEncoder(31, embedding_dim=5, units=3, seed=2), None
    rng = np.random.default_rng(1)
    for weight in encoder.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.7)
    inputs = inputs_of("lstm")
    features = numpy(encoder(inputs))
    (table,) = weights(encoder.token_embedding)
    ahead, back = weights(encoder.forward_lstm), weights(encoder.backward_lstm)
    for row, length in enumerate((7, 3, 0)):
        x = table[inputs["token_ids"][row, :length]]
        forward, backward = lstm_states(x, *ahead), lstm_states(x[::-1], *back)[::-1]
        tokens = np.zeros((7, 6))
        tokens[:length] = np.concatenate([forward, backward], 1)
        np.testing.assert_allclose(features["tokens"][row], tokens, rtol=1e-4, atol=1e-5)
        pooled = np.concatenate([forward[-1], backward[0]]) if length else np.zeros(6)
        np.testing.assert_allclose(features["pooled"][row], pooled, rtol=1e-4, atol=1e-5)


def test_lstm_directions_start_from_different_weights():
    encoder = encoders.LSTMTextEncoder(31, embedding_dim=5, units=3, seed=2)
    ahead, back = weights(encoder.forward_lstm), weights(encoder.backward_lstm)
    assert np.abs(ahead[0] - back[0]).max() > 0.1 and np.abs(ahead[1] - back[1]).max() > 0.1
    again = encoders.LSTMTextEncoder(31, embedding_dim=5, units=3, seed=2)
    assert again.digest() == encoder.digest()
    other = encoders.LSTMTextEncoder(31, embedding_dim=5, units=3, seed=3)
    assert other.digest() != encoder.digest()


def test_lstm_over_given_embeddings():
    table = np.random.default_rng(0).normal(size=(11, 5)).astype("float32")
    encoder = encoders.LSTMTextEncoder(
        token_embedding=table, units=3, frozen=False, unfrozen_last_n=1
    )
    assert (encoder.vocabulary_size, encoder.embedding_dim) == (11, 5)
    np.testing.assert_array_equal(encoder.token_embedding.embeddings.numpy(), table)
    assert encoder.token_embedding.trainable_weights == []
    assert len(encoder.trainable_weights) == 6


def test_lstm_dropout_acts_in_training_only():
    encoder, inputs = ready("lstm"), inputs_of("lstm")
    first, second = (numpy(encoder(inputs, training=True))["pooled"] for _ in range(2))
    assert np.abs(first - second).max() > 1e-4
    np.testing.assert_array_equal(
        numpy(encoder(inputs))["pooled"], numpy(encoder(inputs, training=False))["pooled"]
    )


def test_bag_of_embeddings_agrees_with_numpy():
    encoder, inputs = ready("embed"), inputs_of("embed")
    features = numpy(encoder(inputs))
    (table,) = weights(encoder)
    tokens = table[inputs["token_ids"]]
    np.testing.assert_allclose(features["tokens"], tokens, rtol=1e-6)
    expected = masked_mean(tokens, inputs["padding_mask"])
    np.testing.assert_allclose(features["pooled"], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (encoders.LSTMTextEncoder, "embedding_dim"),
        (encoders.BagOfEmbeddings, "embedding_dim"),
        (encoders.TextTransformer, "hidden_dim"),
        (encoders.TextTransformer, "num_layers"),
        (encoders.TextTransformer, "num_heads"),
        (encoders.TextTransformer, "intermediate_dim"),
        (encoders.TextTransformer, "max_sequence_length"),
    ],
)
@pytest.mark.parametrize("value", [0, -3, 2.5, True, "8"])
def test_wrong_sizes_are_refused(make, name, value):
    with pytest.raises(ValueError, match=f"`vocabulary_size`.*vocabulary_size={value!r}"):
        make(value)
    with pytest.raises(ValueError, match=f"`{name}`.*{name}={value!r}"):
        make(**{name: value})


def test_wrong_lstm_arguments_are_refused():
    with pytest.raises(ValueError, match="`units`.*units=0"):
        encoders.LSTMTextEncoder(units=0)
    with pytest.raises(ValueError, match=r"`dropout`.*dropout=1.0"):
        encoders.LSTMTextEncoder(dropout=1.0)
    with pytest.raises(ValueError, match=r"token_embedding.shape=\(3,\)"):
        encoders.LSTMTextEncoder(token_embedding=np.ones(3))
