"""Batches of one size: what a TPU needs, on this machine with a model that is told it is on one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import tree

from tatl_keras import data, training, zoo
from tatl_keras.models import features, static

ROWS, SIZE = 13, 4
WAYS = ("raw", "cached", "tensors")


@pytest.fixture
def fixed(monkeypatch):
    """Call it to have every model told that it is on a TPU."""
    return lambda: monkeypatch.setattr(static, "has_fixed_shapes", lambda model: True)


@pytest.fixture
def examples():
    return data.synthetic.examples(3, ROWS, seed=1)


def _model(examples, name="test_bert_text_only", **options):
    keras.utils.set_random_seed(5)
    model = zoo.build(name, 3, seed=0, sequence_length=7, class_names=examples.class_names)
    model.head.kernel.assign(np.random.default_rng(0).normal(size=model.head.kernel.shape))
    model.preprocessor.adapt(examples.map(lambda x, *_: x["text"]), 100)
    model.compile("sgd", **options)
    return model


def _arguments(model, examples, way):
    """Examples as a data set, the same with a cache, or as arrays of tensors."""
    if way != "tensors":
        return {"x": examples, "feature_cache": "memory" if way == "cached" else None}
    x, y = next(iter(model.preprocessor.dataset(examples, ROWS)))
    return {"x": {name: value.numpy() for name, value in x.items()}, "y": y.numpy()}


@pytest.mark.parametrize("way", WAYS)
def test_no_shape_is_unknown(fixed, examples, way):
    model = _model(examples, "test_efficientnet_bert_gated")
    arguments = {"feature_cache": None} | _arguments(model, examples, way)
    fixed()
    for learn, batches in ((True, ROWS // SIZE), (False, -(-ROWS // SIZE))):
        given = features.inputs_of(
            model, arguments["x"], arguments.get("y"), batch_size=SIZE, verbose=0, learn=learn,
            feature_cache=training.FeatureCache.get(arguments["feature_cache"]), shuffle=learn,
        )  # fmt: skip
        specs = tree.flatten(given["x"].element_spec)
        assert all(tuple(spec.shape)[:1] == (SIZE,) and None not in spec.shape for spec in specs)
        assert int(given["x"].cardinality()) == len(list(given["x"])) == batches


@pytest.mark.parametrize(
    ("way", "weighted"), [("raw", False), ("raw", True), ("cached", False), ("tensors", False)]
)
def test_rows_that_fill_up_do_not_count(fixed, examples, way, weighted):
    if weighted:
        pairs = zip(examples, np.linspace(0.5, 2, ROWS, dtype="float32"), strict=True)
        columns = [(x["image"], x["text"], y, w) for (x, y), w in pairs]
        image, text, y, w = (tf.stack(column) for column in zip(*columns, strict=True))
        names = examples.class_names
        examples = tf.data.Dataset.from_tensor_slices(({"image": image, "text": text}, y, w))
        examples.class_names = names
    metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    options = {"metrics": None, "weighted_metrics": [metric]} if weighted else {}
    model = _model(examples, **options)
    arguments = _arguments(model, examples, way)
    expected = model.evaluate(**arguments, batch_size=SIZE, verbose=0)
    logits = model.predict(arguments["x"], batch_size=SIZE, verbose=0)
    fixed()
    model = _model(examples, **options)
    found = model.evaluate(**arguments, batch_size=SIZE, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    again = model.predict(arguments["x"], batch_size=SIZE, verbose=0)
    assert again.shape == logits.shape == (ROWS, 3)
    np.testing.assert_allclose(again, logits, atol=1e-5)


def test_an_epoch_is_its_whole_batches(fixed, examples, caplog):
    whole = ROWS // SIZE * SIZE
    expected = _model(examples)
    expected.fit(examples.take(whole), batch_size=SIZE, shuffle=False, verbose=0)
    validated = expected.evaluate(examples, batch_size=SIZE, verbose=0)
    fixed()
    caplog.set_level("INFO", logger="absl")
    model = _model(examples)
    options = {"batch_size": SIZE, "verbose": 0, "validation_data": examples}
    history = model.fit(examples, shuffle=False, **options).history
    for ours, theirs in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)
    assert model.prior.counts.numpy().sum() == whole
    assert "leaves out 1 of 13 examples" in caplog.text
    np.testing.assert_allclose([history["val_loss"][0], history["val_accuracy"][0]], validated,
                               rtol=1e-5)  # fmt: skip


def test_what_has_no_one_size_is_refused(fixed, examples):
    model = _model(examples)
    fixed()
    with pytest.raises(ValueError, match="`batch_size` must be at most.*batch_size=14 for 13"):
        model.fit(examples, batch_size=14, verbose=0)
    with pytest.raises(ValueError, match=r"`x` must have batches of one size.*shape \(None,"):
        model.fit(examples.batch(SIZE), verbose=0)
    batches = tf.data.Dataset.range(8).batch(6)
    with pytest.raises(ValueError, match="multiple of 4, .*batch_size=6"):
        static.static_batches(batches, 6, 8, replicas=4)
