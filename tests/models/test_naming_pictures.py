"""Methods that read pictures name the example of which the picture cannot be decoded."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import zoo
from tests.models import writers

GOOD = tf.io.encode_png(np.full([8, 8, 3], 200, np.uint8)).numpy()
CUT = GOOD[:30]
EXAMPLES = {"image": [GOOD, b"", CUT, GOOD], "text": ["a cat", "a dog", "a cat", "a dog"]}
LABELS = [0, 1, 0, 1]
NAMED = r'`x\["image"\]` must hold readable pictures. Received: example {}: cannot be decoded: '


def data_set(images, labels=LABELS):
    return tf.data.Dataset.from_tensor_slices(({"image": images}, labels))


@pytest.fixture(scope="module")
def classifier():
    model = zoo.build("test_efficientnet_lstm_concat", 2, class_names=["cat", "dog"], seed=0)
    model.preprocessor.adapt(tf.data.Dataset.from_tensor_slices(EXAMPLES["text"]), 50, 1)
    return model


@pytest.mark.parametrize("method", ["predict", "explain"])
def test_answers(classifier, method):
    with pytest.raises(ValueError, match=NAMED.format(2)):
        getattr(classifier, method)(EXAMPLES, verbose=0)


def test_training_and_evaluation(classifier):
    good = {name: column[:2] for name, column in EXAMPLES.items()}
    with pytest.raises(ValueError, match=NAMED.format(2)):
        classifier.evaluate(EXAMPLES, LABELS, verbose=0)
    with pytest.raises(ValueError, match=NAMED.format(2)):
        classifier.fit(EXAMPLES, LABELS, verbose=0)
    with pytest.raises(ValueError, match=NAMED.format(2)):
        classifier.fit(good, LABELS[:2], validation_data=(EXAMPLES, LABELS), verbose=0)


def test_models_that_write():
    model, examples = writers.captioner(rows=2)
    examples = {name: [*column, column[0]] for name, column in examples.items()}
    examples["image"][1] = b"no picture"
    said = r"Received: example 1: not a JPEG, PNG, GIF, BMP or WebP picture\."
    for method in (model.fit, model.evaluate, model.generate):
        with pytest.raises(ValueError, match=said):
            method(examples, verbose=0)


def test_data_sets_name_what_they_hold(classifier):
    examples = data_set(EXAMPLES["image"])
    with pytest.raises(ValueError, match=NAMED.format(2)):
        classifier.predict(examples.batch(3), verbose=0)
    examples.ids = ["p.png", "q.png", "r.png", "s.png"]
    with pytest.raises(ValueError, match=NAMED.format("r.png")):
        classifier.predict(examples, verbose=0)


def test_other_errors_stay_as_they_are(classifier):
    def refuse(x, label):
        with tf.control_dependencies([tf.debugging.Assert(label < 1, ["too many"])]):
            return x, tf.identity(label)

    with pytest.raises(tf.errors.InvalidArgumentError, match="too many"):
        classifier.predict(data_set([GOOD, GOOD, GOOD, CUT]).map(refuse), verbose=0)
    endless = data_set(EXAMPLES["image"]).repeat()
    with pytest.raises(tf.errors.InvalidArgumentError, match="DecodeImage"):
        classifier.predict(endless, steps=2, verbose=0)
