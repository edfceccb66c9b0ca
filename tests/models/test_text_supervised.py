"""Learning with texts, answering without: losses, masks, what is written, what is refused."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, models, zoo

CLASSES, ROWS = 3, 12


@pytest.fixture(scope="module")
def examples():
    return data.synthetic.examples(CLASSES, ROWS, seed=1, missing_text=0.3, missing_image=0.2)


@pytest.fixture(scope="module")
def trained(examples):
    """A model after two epochs, not to be changed, and its history."""
    model = _build(distillation_weight=0.5, temperature=2.0, alignment_weight=0.25)
    return model, model.fit(examples, epochs=2, validation_data=examples, verbose=0).history


def _build(name="test_efficientnet_bert_concat", **kwargs):
    kwargs = {"seed": 0, "sequence_length": 11, "text_at_inference": False} | kwargs
    return zoo.build(name, num_classes=CLASSES, **kwargs)


@pytest.fixture
def features(rng):
    """Features and labels of a batch in which rows lack text, picture or both."""
    x = {
        "image_pooled": rng.normal(size=(ROWS, 24)).astype("float32"),
        "text_pooled": rng.normal(size=(ROWS, 16)).astype("float32"),
        "has_image": np.array([1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1]),
        "has_text": np.array([1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1]),
    }
    return x, rng.integers(CLASSES, size=ROWS)


def _randomised(rng, x, **weights):
    model = _build(text_preset=None, **weights)
    x["image_pooled"] = rng.normal(size=(ROWS, model.image_encoder.output_dim))
    x["text_pooled"] = rng.normal(size=(ROWS, model.text_encoder.output_dim))
    for layer in (model.head, model.text_head):
        layer.set_weights([rng.normal(size=w.shape) / 16 for w in layer.get_weights()])
    return model


def _loss(model, x, y, sample_weight=None):
    return model.compute_loss(x, y, model(x, training=True), sample_weight, training=True)


def _logs(vectors):
    return vectors - np.logaddexp.reduce(vectors, axis=-1, keepdims=True)


def _long(vectors, has=1):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return 16 * vectors / lengths * np.reshape(has, (-1, 1))


def _by_formula(model, x, y, weights):
    """The losses of the class's docstring, one by one, in float64."""
    W, b, U, c, P = (
        np.float64(value)
        for layer in (model.head, model.text_head, model.text_projection)
        for value in layer.get_weights()
    )
    image, text = _long(x["image_pooled"], x["has_image"]), _long(x["text_pooled"], x["has_text"])
    has_image, has_text = x["has_image"] != 0, x["has_text"] != 0
    logits, teacher = image @ W + b, text @ U + c
    logits[~has_image] = np.log(1 / CLASSES)
    rows = np.arange(ROWS)
    found = {"labels": -(weights * _logs(logits)[rows, y]).sum() / ROWS}
    found["teacher"] = -(weights * has_text * _logs(teacher)[rows, y]).sum() / ROWS
    T = model.temperature
    q, p = _logs(teacher / T), _logs(logits / T)
    paired = weights * has_text * has_image
    found["distillation"] = T**2 * (paired * (np.exp(q) * (q - p)).sum(axis=1)).sum() / ROWS
    there = np.flatnonzero(has_text & has_image)
    projected = text @ P
    cosines = _long(image[there]) @ _long(projected[there]).T / 256 / 0.07
    both = np.diag(_logs(cosines)) + np.diag(_logs(cosines.T))
    found["alignment"] = -(weights[there] * both / 2).sum() / ROWS
    written = np.flatnonzero(has_text)
    pseudo = _logs(_long(projected[written]) @ W + b)[np.arange(len(written)), y[written]]
    found["alignment"] -= (weights[written] * pseudo).sum() / ROWS
    return found


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_the_sum_of_its_parts(features, rng, weighted):
    x, y = features
    given = {"distillation_weight": 0.7, "temperature": 3.0, "alignment_weight": 0.4}
    model = _randomised(rng, x, **given)
    weights = rng.random(ROWS) if weighted else np.ones(ROWS)
    found = _by_formula(model, x, y, weights)
    wanted = found["labels"] + found["teacher"]
    wanted += 0.7 * found["distillation"] + 0.4 * found["alignment"]
    loss = _loss(model, x, y, weights.astype("float32") if weighted else None)
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    assert min(abs(value) for value in found.values()) > 0.01
    plain = model.compute_loss(x, y, model(x), None, training=False)
    np.testing.assert_allclose(plain, _by_formula(model, x, y, np.ones(ROWS))["labels"], rtol=1e-5)


def test_texts_that_are_not_there_change_nothing(features, rng):
    x, y = features
    model = _randomised(rng, x, alignment_weight=1.0)
    before = float(_loss(model, x, y))
    changed = x | {"text_pooled": x["text_pooled"].copy()}
    changed["text_pooled"][x["has_text"] == 0] = 1e6
    assert float(_loss(model, changed, y)) == before
    with tf.GradientTape() as tape:
        loss = _loss(model, x | {"has_text": np.zeros(ROWS, int)}, y)
    teacher = [*model.text_head.weights, *model.text_projection.weights]
    gradients = tape.gradient(loss, [model.head.kernel.value, *(w.value for w in teacher)])
    assert all(g is None or not np.any(g) for g in gradients[1:])
    with tf.GradientTape() as tape:
        pictures = {name: x[name] for name in ("image_pooled", "has_image")}
        loss = _loss(model, pictures, y)
    alone = tape.gradient(loss, model.head.kernel.value)
    np.testing.assert_allclose(gradients[0], alone, atol=1e-6)


def test_a_weight_of_zero_turns_a_loss_off(features, rng):
    x, y = features
    model = _randomised(rng, x, distillation_weight=0, alignment_weight=0)
    found = _by_formula(model, x, y, np.ones(ROWS))
    np.testing.assert_allclose(_loss(model, x, y), found["labels"] + found["teacher"], rtol=1e-5)


def test_answers_and_reported_losses_are_of_pictures_alone(examples, trained):
    model, history = trained
    assert model.text_head.kernel.numpy().any()
    pictures = examples.map(lambda x, y: ({"image": x["image"]}, y))
    logits = model.predict(examples, verbose=0)
    np.testing.assert_array_equal(model.predict(pictures, verbose=0), logits)
    labels = np.array([y for _, y in examples])
    loss = -_logs(logits.astype("float64"))[np.arange(ROWS), labels].mean()
    np.testing.assert_allclose(model.evaluate(pictures, verbose=0)[0], loss, rtol=1e-5)
    np.testing.assert_allclose(history["val_loss"][-1], loss, rtol=1e-5)
    assert history["loss"][-1] > loss + 0.1  # the teacher's loss is in it


def test_a_cache_changes_nothing(examples):
    histories = []
    for cache in (None, "memory"):
        keras.utils.set_random_seed(3)
        model = _build(alignment_weight=0.1)
        fit = model.fit(examples, epochs=2, batch_size=5, feature_cache=cache, verbose=0)
        histories.append(fit.history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)


def test_class_texts_teach_the_teacher(examples):
    model = _build(class_texts="names", class_text_weight=0.5)
    model.fit(examples, epochs=1, verbose=0)  # a vocabulary
    model.text_head.set_weights([np.zeros_like(w) for w in model.text_head.get_weights()])
    blank = examples.map(lambda x, y: ({"image": x["image"], "text": ""}, y))
    model.fit(blank, epochs=1, verbose=0)
    names = {"text": tf.constant(examples.class_names)}
    tensors = model.preprocessor.text_tensors(names["text"])
    wanted = model.text_encoder(tensors)["pooled"].numpy()
    found = model.class_embeddings.numpy()
    cosines = (found * wanted).sum(axis=1) / np.linalg.norm(wanted, axis=1)
    np.testing.assert_allclose(cosines / np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert model.text_head.kernel.numpy().any()  # from the class texts: there were no others


def test_encoders_that_learn_hear_the_texts(examples):
    model = _build("test_efficientnet_lstm_concat", alignment_weight=1.0)
    model.image_encoder.unfreeze()
    model.compile(run_eagerly=True)
    before = model.text_encoder.digest()
    model.fit(examples, epochs=1, verbose=0)
    assert model.preprocessor.tokenizer.vocabulary_size() > 5
    assert model.text_encoder.digest() != before
    x, y = next(iter(model.preprocessor.dataset(examples, ROWS)))
    model.head.set_weights([np.zeros_like(w) for w in model.head.get_weights()])
    with tf.GradientTape() as tape:  # a head of zeros hands no gradient down
        loss = _loss(model, x, y)
    weights = [variable.value for variable in model.image_encoder.trainable_weights]
    assert any(g is not None and np.any(g) for g in tape.gradient(loss, weights))


def test_training_goes_on_after_loading(examples, trained, tmp_path):
    model, _ = trained
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is models.TextSupervisedClassifier
    assert (loaded.distillation_weight, loaded.temperature) == (0.5, 2.0)
    assert (loaded.alignment_weight, loaded.class_text_weight) == (0.25, 0.0)
    for part in ("image_encoder", "text_encoder", "head", "text_head", "text_projection", "prior"):
        parts = [getattr(one, part).get_weights() for one in (model, loaded)]
        assert all(np.array_equal(a, b) for a, b in zip(*parts, strict=True))
    assert loaded.optimizer.iterations.numpy() == model.optimizer.iterations.numpy() > 0
    loaded.fit(examples, epochs=1, verbose=0)
    for name in ("head", "text_head", "text_projection"):
        parts = [getattr(one, name).get_weights()[0] for one in (model, loaded)]
        assert not np.array_equal(*parts)


def test_a_preset_needs_no_text(examples, trained, tmp_path):
    model, _ = trained
    model.save_to_preset(tmp_path / "preset")
    with np.load(tmp_path / "preset/weights.npz") as arrays:
        assert not any("text" in name for name in arrays)
    assert not list((tmp_path / "preset/assets").iterdir())
    loaded = zoo.from_preset(tmp_path / "preset")
    assert type(loaded) is models.TextAssistedClassifier and loaded.text_encoder is None
    np.testing.assert_array_equal(
        loaded.predict(examples, verbose=0), model.predict(examples, verbose=0)
    )


def test_the_export_holds_no_text_encoder(examples, trained, tmp_path):
    model, _ = trained
    model.export(tmp_path / "1")
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    serve = loaded.signatures["serving_default"]
    kept = sum(int(np.prod(v.shape)) for v in serve.variables)
    parts = (model.image_encoder, model.head, model.prior)
    assert kept <= sum(w.size for part in parts for w in part.get_weights())
    graph = serve.graph.as_graph_def()
    ops = {node.op for f in (graph, *graph.library.function) for node in _nodes(f)}
    assert not [op for op in ops if "ordpiece" in op or "Unicode" in op]
    rows = [(x["image"].numpy(), x["text"].numpy()) for x, _ in examples]
    images, texts = (list(column) for column in zip(*rows, strict=True))
    scores = [
        serve(image_bytes=tf.constant(images), text=tf.constant(some))["logits"].numpy()
        for some in (texts, [b""] * ROWS)
    ]
    np.testing.assert_array_equal(*scores)
    np.testing.assert_allclose(scores[0], model.predict(examples, verbose=0), atol=1e-4)


def _nodes(graph):
    return graph.node if hasattr(graph, "node") else graph.node_def


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("distillation_weight", -0.1), ("alignment_weight", float("nan")),
        ("class_text_weight", "1"), ("temperature", 0),
    ],
)  # fmt: skip
def test_weights_are_checked(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be.*Received: {argument}={value!r}"):
        _build(**{argument: value})


def test_parts_are_checked(examples):
    model = _build()
    with pytest.raises(ValueError, match="`text_encoder` must be.*Received: text_encoder=None"):
        models.TextSupervisedClassifier(model.image_encoder, None, num_classes=2)
    with pytest.raises(ValueError, match="`image_encoder` must be.*image_encoder=None"):
        models.TextSupervisedClassifier(None, model.text_encoder, num_classes=2)
    with pytest.raises(ValueError, match="`fusion` must be.*Received: fusion=gated"):
        models.TextSupervisedClassifier(
            model.image_encoder, model.text_encoder, "gated", num_classes=2
        )
    with pytest.raises(ValueError, match="`class_text_weight` must be 0.*texts for 0 of 3"):
        _build(class_text_weight=1.0).fit(examples, epochs=1, verbose=0)


def test_replicas_learn_from_their_own_texts(two_devices, features, rng):
    x, y = features
    found = []
    for scope in (contextlib.nullcontext(), two_devices.scope()):
        with scope:
            model = _randomised(np.random.default_rng(5), x)
            model.compile()
            model.fit(x, y, batch_size=ROWS, epochs=1, shuffle=False, verbose=0)
        found.append([*model.head.get_weights(), *model.text_head.get_weights()])
    for alone, together in zip(*found, strict=True):
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_alignment_takes_one_replica(examples, two_devices):
    with two_devices.scope():
        model = _build(alignment_weight=0.25)
    with pytest.raises(ValueError, match="alignment_weight=0.25, 2 replicas"):
        model.fit(examples, verbose=0)
