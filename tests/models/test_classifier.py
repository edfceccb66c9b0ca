"""The classifier on tiny encoders: values, training, caching, freezing, missing inputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, encoders, models, zoo
from tatl_keras.models.features import encoded

CLASSES, ROWS = 3, 24


@pytest.fixture
def examples():
    return data.synthetic.examples(CLASSES, ROWS, seed=1)


def _build(name="test_efficientnet_bert_concat", **kwargs):
    kwargs = {"seed": 0, "sequence_length": 11} | kwargs
    return zoo.build(name, num_classes=CLASSES, **kwargs)


def _tensors(model, examples):
    model.preprocessor.needs_vocabulary and model.fit(examples, epochs=1, verbose=0)
    return next(iter(model.preprocessor.dataset(examples, ROWS)))[0]


def _normalised(x):
    return 16 * x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_logits_follow_the_formula(examples, rng):
    model = _build()
    tensors = _tensors(model, examples)
    model.head.set_weights([rng.normal(size=w.shape) for w in model.head.get_weights()])
    text = {name: tensors[name] for name in ("token_ids", "padding_mask")}
    image = model.image_encoder(tensors["images"])["pooled"].numpy().astype("float64")
    text = model.text_encoder(text)["pooled"].numpy().astype("float64")
    has_text = tensors["has_text"].numpy()
    assert 0 < has_text.sum() < ROWS
    text = np.where(has_text[:, None] == 1, text, 1.0)
    fused = np.concatenate([_normalised(image), _normalised(text) * has_text[:, None]], axis=-1)
    kernel, bias = model.head.get_weights()
    np.testing.assert_allclose(model(tensors), fused @ kernel + bias, atol=3e-5)


def test_untrained_model_gives_equal_probabilities(examples):
    logits = _build("test_efficientnet_image_only").predict(examples, verbose=0)
    np.testing.assert_array_equal(logits, np.zeros((ROWS, CLASSES), "float32"))


def test_learns_and_names_its_classes(examples):
    model = _build()
    history = model.fit(examples, epochs=40, feature_cache="memory", verbose=0)
    assert history.history["accuracy"][-1] > 0.9
    assert model.class_names == examples.class_names
    loss, accuracy = model.evaluate(examples, verbose=0)
    labels = np.array([label for _, label in examples])
    logits = model.predict(examples, verbose=0).astype("float64")
    assert accuracy == pytest.approx((logits.argmax(-1) == labels).mean())
    log_sum = np.log(np.exp(logits).sum(-1))
    assert loss == pytest.approx((log_sum - logits[np.arange(ROWS), labels]).mean(), rel=1e-4)


@pytest.mark.parametrize("name", ["test_efficientnet_bert_concat", "test_efficientnet_bert_cross"])
def test_cached_training_equals_uncached(name, examples, tmp_path):
    histories, predictions = [], []
    for cache in (None, "memory", tmp_path):
        keras.utils.set_random_seed(3)
        model = _build(name)
        history = model.fit(
            examples, epochs=3, batch_size=7, feature_cache=cache, validation_data=examples,
            verbose=0,
        )  # fmt: skip
        histories.append(history.history)
        predictions.append(model.predict(examples, verbose=0))
    for history, predicted in zip(histories[1:], predictions[1:], strict=True):
        for key in ("loss", "val_loss"):  # of shuffled examples: the order is the same too
            np.testing.assert_allclose(histories[0][key], history[key], rtol=1e-5)
        assert histories[0]["val_accuracy"] == history["val_accuracy"]
        np.testing.assert_allclose(predictions[0], predicted, atol=1e-5)
        np.testing.assert_array_equal(predictions[0].argmax(-1), predicted.argmax(-1))


def test_cache_keeps_what_a_trained_encoder_needs(examples):
    model = _build("test_efficientnet_lstm_concat")
    tensors = _tensors(model, examples)
    kept, y, _ = encoded(model, examples, verbose=0).arrays()
    assert y.tolist() == [label for _, label in examples]
    assert sorted(kept) == ["has_image", "has_text", "image_pooled", "padding_mask", "token_ids"]
    np.testing.assert_allclose(model(kept), model(tensors), atol=1e-6)
    before = model.text_encoder.get_weights()
    model.fit(examples, epochs=1, feature_cache="memory", verbose=0)
    after = model.text_encoder.get_weights()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_frozen_encoders_are_bit_identical_after_fit(examples):
    model = _build("test_efficientnet_bert_joint")
    layers = (model.image_encoder, model.text_encoder)
    before = [layer.digest() for layer in layers]
    assert not any(layer.trainable_weights for layer in layers)
    model.fit(examples, epochs=2, verbose=0)
    assert [layer.digest() for layer in layers] == before


def test_sorted_data_is_shuffled(monkeypatch):
    """The first batch of an epoch of single examples is not one class alone."""
    y = np.repeat(np.arange(CLASSES), 40)
    seen = []
    model = _build("test_bert_text_only", compile=False)
    model.compile(run_eagerly=True)
    step = model.train_step
    monkeypatch.setattr(model, "train_step", lambda d: seen.append(d[1].numpy()) or step(d))
    model.fit({"text": ["a red cat"] * len(y)}, y, batch_size=30, verbose=0)
    assert len(set(seen[0])) == CLASSES


def test_unfreezing_the_last_block_changes_it_alone(examples):
    model = _build()
    model.fit(examples, epochs=1, verbose=0)
    model.image_encoder.unfreeze(last_n=1)
    with pytest.raises(ValueError, match="compile` must be called again"):
        model.fit(examples, verbose=0)
    model.compile()
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    chosen = {id(weight) for weight in model.image_encoder.trainable_weights}
    assert chosen
    before = {id(w): w.numpy() for w in model.image_encoder.weights}
    model.fit(examples, epochs=3, verbose=0)
    changed = {id(w) for w in model.image_encoder.weights if (w.numpy() != before[id(w)]).any()}
    assert changed & chosen
    trained_blocks_statistics = {id(w) for w in model.image_encoder.weights if "moving" in w.path}
    assert changed <= chosen | trained_blocks_statistics


def test_a_missing_modality_has_no_effect(examples):
    model = _build("test_efficientnet_bert_cross")
    model.fit(examples, epochs=2, verbose=0)
    tensors = {name: value.numpy() for name, value in _tensors(model, examples).items()}
    tensors["has_image"][::2] = 0
    tensors["has_text"][1::2] = 0
    noisy = dict(tensors)
    noisy["images"] = tensors["images"] + 100.0 * (1 - tensors["has_image"])[:, None, None, None]
    noisy["token_ids"] = np.where(tensors["has_text"][:, None] == 1, tensors["token_ids"], 5)
    np.testing.assert_array_equal(model(noisy), model(tensors))


def test_rows_are_independent(examples):
    model = _build("test_vit_bert_cross")
    model.fit(examples, epochs=1, verbose=0)
    together = model.predict(examples, batch_size=ROWS, verbose=0)
    apart = model.predict(examples, batch_size=5, verbose=0)
    np.testing.assert_allclose(together, apart, atol=1e-5)


def test_sample_weights_of_zero_leave_rows_out(examples):
    x, y = _as_columns(examples)
    weight = np.array([1.0] * 12 + [0.0] * 12)
    model = _build("test_efficientnet_image_only")
    loss = model.evaluate(x, y, sample_weight=weight, batch_size=ROWS, verbose=0)[0]
    logits = model.predict(x, verbose=0)
    assert loss == pytest.approx(np.log(CLASSES) * 12 / ROWS, rel=1e-5)
    history = model.fit(x, y, sample_weight=weight, epochs=30, verbose=0, feature_cache="memory")
    assert np.isfinite(history.history["loss"]).all()
    assert (model.predict(x, verbose=0) != logits).any()


def test_tensors_go_straight_through(examples):
    """With or without a preprocessor, arrays and data sets of tensors are taken as they are."""
    model = _build()
    tensors = {k: v.numpy() for k, v in _tensors(model, examples).items()}
    y = np.array([label for _, label in examples])
    want = model.predict(examples, verbose=0)
    bare = models.TextAssistedClassifier(
        model.image_encoder, model.text_encoder, model.fusion, CLASSES
    )
    bare.head.set_weights(model.head.get_weights())
    for fed in (model, bare):
        np.testing.assert_allclose(fed.predict(tensors, verbose=0), want, atol=1e-5)
        dataset = tf.data.Dataset.from_tensor_slices((tensors, y)).batch(7)
        np.testing.assert_allclose(fed.predict(dataset, verbose=0), want, atol=1e-5)
    bare.fit(tensors, y, epochs=1, batch_size=7, feature_cache="memory", verbose=0)
    with pytest.raises(ValueError, match="preprocessor=None"):
        bare.fit(examples)


def test_defaults_for_has_image_and_has_text(examples):
    model = _build()
    tensors = dict(_tensors(model, examples))
    full = model(tensors | {"has_image": tf.ones(ROWS, tf.int32)})
    del tensors["has_image"], tensors["has_text"]
    np.testing.assert_array_equal(model(tensors), full)


def test_same_seed_same_numbers(examples):
    results = []
    for seed in (5, 5, 6):
        keras.utils.set_random_seed(seed)
        model = _build("test_efficientnet_lstm_concat", seed=seed)
        model.fit(examples, epochs=2, feature_cache="memory", verbose=0)
        results.append(model.predict(examples, verbose=0))
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("test_efficientnet_bert_concat", keras.optimizers.SGD),
        ("test_efficientnet_image_only", keras.optimizers.SGD),
        ("test_efficientnet_bert_gated", keras.optimizers.Adam),
        ("test_efficientnet_lstm_concat", keras.optimizers.Adam),
    ],
)
def test_default_optimizer(name, optimizer):
    assert isinstance(_build(name).optimizer, optimizer)


def test_bad_arguments(examples):
    image, _ = encoders.build_image("test_image")
    with pytest.raises(ValueError, match="num_classes=1"):
        models.TextAssistedClassifier(image, None, "image_only", 1)
    with pytest.raises(ValueError, match=r"\['image'\]. Received: fusion=.*reads"):
        models.TextAssistedClassifier(image, None, "concat", 2)
    with pytest.raises(ValueError, match=r"class_names=\['a', 'a', 'b'\]"):
        _build(class_names=["a", "a", "b"])
    model = _build("test_efficientnet_image_only")
    with pytest.raises(ValueError, match="feature_cache=0.5"):
        model.fit(examples, feature_cache=0.5)
    with pytest.raises(ValueError, match="validation_split"):
        model.fit(examples, validation_split=0.2)
    free = _build("test_efficientnet_image_only", frozen=False)
    with pytest.raises(ValueError, match="no encoder is frozen"):
        free.fit(examples, feature_cache="memory")
    with pytest.raises(ValueError, match=r"Received: inputs with \['token_ids'\]"):
        model({"token_ids": np.zeros((2, 3), "int32")})
    with pytest.raises(ValueError, match=r"Received: \[3, 7\]"):
        model.fit({"image": [""] * 3}, [0, 3, 7])
    model.class_names = ["x", "y", "z"]
    with pytest.raises(ValueError, match="the classes of the model"):
        model.evaluate(examples)


def _as_columns(examples):
    rows = [(x["image"].numpy(), x["text"].numpy(), int(y)) for x, y in examples]
    return {"image": [r[0] for r in rows], "text": [r[1] for r in rows]}, [r[2] for r in rows]


@pytest.mark.parametrize("name", ["test_efficientnet_bert_joint", "test_efficientnet_lstm_concat"])
def test_cached_text_is_as_long_as_the_longest(name):
    model = _build(name, sequence_length=40)
    x = {"image": [""] * 3, "text": ["red cat", "", "a big red cat on a mat"]}
    model.fit(x, [0, 1, 2], epochs=1, verbose=0)
    kept, y, weight = encoded(model, x, verbose=0).arrays()
    mask = kept["text_mask" if "text_mask" in kept else "padding_mask"]
    tensors = model.preprocessor(x)
    lengths = tensors["padding_mask"].numpy().sum(-1)
    assert mask.shape == (3, lengths.max()) and lengths.max() < 40
    assert mask.sum(-1).tolist() == lengths.tolist()
    assert y is None and weight is None
    np.testing.assert_allclose(model(kept), model(tensors), atol=1e-5)


def test_arrays_come_in_a_new_order_each_epoch(examples):
    """As the features of a cache do: with the same seed, both learn the same."""
    found = []
    for cached in (True, False):
        keras.utils.set_random_seed(3)
        model = _build()
        features = encoded(model, examples, learn=True)
        x, y, _ = features.arrays()
        keras.utils.set_random_seed(4)
        if cached:
            model.fit(examples, epochs=4, batch_size=7, feature_cache="memory", verbose=0)
        else:
            model.fit(x, y, epochs=4, batch_size=7, verbose=0)
        found.append(model.head.get_weights())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_arrays_that_do_not_fit_are_refused():
    model = _build("test_efficientnet_image_only")
    x = {"image_pooled": np.ones((4, model.image_encoder.output_dim)), "has_image": np.ones(4)}
    with pytest.raises(ValueError, match=r"must be equally long. Received: lengths \[3, 4\]"):
        model.fit(x, np.zeros(3, int), verbose=0)
