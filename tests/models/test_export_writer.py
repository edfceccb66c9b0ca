"""Forms of the weights, several devices, and what is refused where a model writes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import models, serving, zoo
from tatl_keras.models.artifact.quantization import channel_axes, is_quantized, to_int8
from tests.models import writers

PAIRS = writers.reversal(12)


@pytest.fixture(scope="module")
def translator():
    """One that writes differently of each row. Do not change it."""
    return writers.scramble(writers.translator("transformer"))


def written(model, rows=12, **how):
    """(texts, log-probabilities) of the model itself."""
    found = model.generate({"text": PAIRS["text"][:rows]}, return_details=True, **how)
    return [one.text for one in found], np.array([one.log_prob for one in found])


def served(directory, rows=12):
    answer = serving.load(directory).answer(PAIRS["text"][:rows])
    return [text.decode() for text in answer["texts"][:, 0]], answer["log_probs"][:, 0]


def test_integers_write_what_rounded_weights_write(translator, tmp_path):
    """As constants; the loop is given what was multiplied outside of it."""
    translator.export(tmp_path / "1", quantize=True, freeze=True, max_length=5)
    rounded = writers.translator("transformer")
    axes = channel_axes(translator._flatten_layers())
    changed = 0
    for ours, theirs in zip(translator.weights, rounded.weights, strict=True):
        value = ours.numpy()
        if is_quantized(ours.shape, ours.dtype):
            integers, scales = to_int8(value, axes.get(id(ours), (value.ndim - 1,)))
            value, changed = integers * scales, changed + 1
        theirs.assign(value)
    texts, log_probs = written(rounded, max_length=5)
    assert changed > 5 and len(set(texts)) > 3
    found = served(tmp_path / "1")
    assert found[0] == texts
    np.testing.assert_allclose(found[1], log_probs, atol=1e-5)
    assert np.abs(log_probs - written(translator, max_length=5)[1]).max() > 1e-3


def test_encoders_in_bfloat16_leave_the_decoder_as_it_is(translator, tmp_path):
    """And a user's requests warm it up, in which there is no picture."""
    (tmp_path / "1").mkdir()
    options = {"overwrite": True, "max_length": 5, "examples": [{"text": "c a b"}]}
    translator.export(tmp_path / "1", bfloat16=True, **options)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    halved = [v for v in loaded.model_variables if v.dtype == tf.bfloat16]
    matrices = [v for v in translator.text_encoder.weights if len(v.shape) > 1]
    assert len(halved) == len(matrices) and len(loaded.model_variables) > len(halved) + 10
    texts, log_probs = served(tmp_path / "1")
    own = written(translator, max_length=5)
    same = [ours == theirs for ours, theirs in zip(texts, own[0], strict=True)]
    assert np.mean(same) > 0.5 and np.isfinite(log_probs).all()
    np.testing.assert_allclose(log_probs[same], own[1][same], atol=0.3)
    requests = (tmp_path / "1/assets.extra/tf_serving_warmup_requests").read_bytes()
    assert requests.count(b"c a b") == 1 + 8 + 32 + 1


def test_two_devices_write_what_one_writes(two_devices, tmp_path):
    """Nine rows in batches of four: at the end one replica has a row and the other none."""
    alone = writers.scramble(writers.translator("lstm"))
    with two_devices.scope():
        mirrored = writers.translator("lstm")
    for ours, theirs in zip(mirrored.weights, alone.weights, strict=True):
        ours.assign(theirs.numpy())
    how = {"sampler": models.BeamSampler(2), "batch_size": 4}
    texts, log_probs = written(mirrored, rows=9, **how)
    own = written(alone, rows=9, **how)
    assert texts == own[0] and len(set(texts)) > 3
    np.testing.assert_allclose(log_probs, own[1], atol=1e-5)
    mirrored.export(tmp_path / "1", sampler=how["sampler"])
    texts, log_probs = served(tmp_path / "1", rows=9)
    assert texts == own[0]
    np.testing.assert_allclose(log_probs, own[1], atol=1e-5)


@pytest.mark.large
def test_two_devices_learn_to_write_as_one_does(two_devices):
    made = []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        with strategy.scope():
            model = writers.translator("transformer")
            model.compile(keras.optimizers.SGD(0.1))
        model.fit(PAIRS, batch_size=5, shuffle=False, verbose=0)
        made.append(model.get_weights())
    for ours, theirs in zip(*made, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "random"}, "`sampler` must be .*Received: sampler=RandomSampler"),
        ({"sampler": models.RandomSampler(seed=1)}, "Received: sampler=RandomSampler"),
        ({"sampler": "greedily"}, "Received: identifier='greedily'"),
        ({"max_length": 0}, "max_length=0"),
        ({"max_length": 8}, "`max_length` must be at most 7, .*Received: max_length=8"),
        ({"max_pixels": 0}, "Received: max_pixels=0. It is height"),
        ({"freeze": 1}, "`freeze` must be True or False. Received: freeze=1"),
        ({"metrics": {"bleu": float("nan")}}, "`metrics` must be a dict of JSON values"),
    ],
)
def test_options_that_are_refused(translator, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        translator.export(tmp_path / "1", **options)
    assert list(tmp_path.iterdir()) == []


def test_models_that_are_refused(translator, tmp_path):
    learning = zoo.build("test_transformer_translate")
    with pytest.raises(ValueError, match="vocabulary is not learned yet. Call `fit`"):
        learning.export(tmp_path / "1")
    learning.preprocessor.adapt(tf.data.Dataset.from_tensors("a b"), 40)
    with pytest.raises(ValueError, match="target vocabulary is not learned yet"):
        learning.export(tmp_path / "1")
    (tmp_path / "1").mkdir()
    with pytest.raises(FileExistsError, match="/1'. Choose the next version"):
        translator.export(tmp_path / "1")
