"""Solved heads in whole models: what goes in, what is loaded, and what each error says."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, fusion, training, zoo
from tatl_keras.training import head_rows
from tatl_keras.training.head_rows import feature_batches, gather_rows

CLASSES = 3
LABELS = np.arange(24) % CLASSES


@pytest.fixture(scope="module")
def tiny():
    """A model with random frozen encoders, and features of 24 examples; some lack a modality."""
    keras.utils.set_random_seed(0)
    model = zoo.build("test_efficientnet_bert_concat", num_classes=CLASSES, seed=0)
    rng = np.random.default_rng(1)
    dims = {name: encoder.output_dim for name, encoder in model.encoders.items()}
    x = {}
    for name, dim in dims.items():
        centres = rng.normal(size=(CLASSES, dim))
        x[f"{name}_pooled"] = (centres[LABELS] + rng.normal(size=(24, dim))).astype("float32")
        x[f"has_{name}"] = np.ones(24, "int32")
    x["has_text"][::5] = 0
    x["has_image"][3] = 0
    return model, x


def fused(x):
    """What the fusion makes of features, by its formula."""
    parts = []
    for name in ("image", "text"):
        pooled = x[f"{name}_pooled"].astype("float64")
        length = np.linalg.norm(pooled, axis=1, keepdims=True)
        parts.append(16 * pooled / length * (x[f"has_{name}"][:, None] != 0))
    return np.concatenate(parts, axis=1)


def softmax(logits):
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1)[:, None])


def test_rows_are_the_fused_features(tiny):
    model, x = tiny
    rows = gather_rows(model, feature_batches(model, x, LABELS, None, 5, "memory", 0))
    np.testing.assert_allclose(rows.x, fused(x), atol=1e-4)
    np.testing.assert_array_equal(rows.labels, LABELS)
    assert rows.modalities == ("image", "text") and rows.image_dim == x["image_pooled"].shape[1]
    assert not rows.x[0, rows.image_dim :].any() and not rows.x[3, : rows.image_dim].any()


@pytest.mark.parametrize("solver", ["exact", "logistic", "auto"])
def test_the_model_has_the_solution(tiny, solver):
    model, x = tiny
    solution = training.solve_head(model, x, LABELS, solver=solver, verbose=0)
    assert solution.solver in (("exact", "logistic") if solver == "auto" else (solver,))
    kernel, bias = model.head.get_weights()
    assert kernel.dtype == np.float32
    expected = softmax(fused(x) @ kernel.astype("float64") + bias)
    np.testing.assert_allclose(softmax(model.predict(x, verbose=0)), expected, atol=1e-5)
    loss, accuracy = model.evaluate(x, LABELS, verbose=0)
    assert loss == pytest.approx(-np.log(expected[np.arange(24), LABELS]).mean(), rel=1e-4)
    assert accuracy == (expected.argmax(1) == LABELS).mean() > 0.9
    assert loss < solution.log_loss < np.log(CLASSES)


def test_the_loaded_head_is_the_calibrated_ridge(tiny):
    model, x = tiny
    solution = training.solve_head(model, x, LABELS, solver="exact", fusion="concat", verbose=0)
    s = np.sqrt(2 * np.array([1 - solution.text_share, solution.text_share]))
    s = np.repeat(s, [x[f"{name}_pooled"].shape[1] for name in ("image", "text")])
    scaled = fused(x) * s
    centred = scaled - scaled.mean(axis=0)
    penalty = solution.regularization * np.square(centred).sum() / 24
    inverse = np.linalg.inv(centred.T @ centred + penalty * np.eye(len(s)))
    kernel = s[:, None] * (inverse @ centred.T @ np.eye(CLASSES)[LABELS])
    np.testing.assert_allclose(
        model.head.get_weights()[0], solution.scales[0] * kernel, rtol=1e-3, atol=1e-5
    )


def test_training_goes_on_from_there(tiny):
    model, x = tiny
    training.solve_head(model, x, LABELS, verbose=0)
    before = model.evaluate(x, LABELS, verbose=0)[0]
    history = model.fit(x, LABELS, epochs=2, verbose=0)
    assert history.history["loss"][0] < before * 1.05 + 1e-3
    assert model.evaluate(x, LABELS, verbose=0)[0] < before * 1.05


def test_raw_examples_with_class_texts_and_export(tmp_path):
    examples = data.synthetic.examples(CLASSES, 24, seed=1)
    model = zoo.build("test_efficientnet_bert_concat", num_classes=CLASSES, seed=0)
    texts = {examples.class_names[0]: ["a blue circle", "round and blue"], 2: "red square"}
    rows = gather_rows(
        model,
        feature_batches(model, examples, None, None, None, "memory", 0),
        class_texts=[(0, "a blue circle"), (0, "round and blue"), (2, "red square")],
    )
    assert not rows.class_x[:, : rows.image_dim].any()
    tokens = model.preprocessor.text_tensors(tf.constant(["a blue circle", "red square"]))
    names = ("token_ids", "padding_mask")
    pooled = model.text_encoder({name: tokens[name] for name in names})["pooled"].numpy()
    expected = 16 * pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(rows.class_x[[0, 2], rows.image_dim :], expected, atol=1e-3)
    np.testing.assert_array_equal(rows.class_weights, [0.5, 0.5, 1])
    solution = training.solve_head(model, examples, class_texts=texts, solver="exact", verbose=0)
    used = {row["class_text_weight"] for row in solution.choices}
    assert used == {0.0, 1.0, 2.0, 4.0, 8.0}
    assert "class texts × 8" in solution.report() and solution.reason in solution.report()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    logits = model.predict(examples, verbose=0)
    np.testing.assert_allclose(again.predict(examples, verbose=0), logits, atol=1e-5)
    model.export(str(tmp_path / "1"))
    serve = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    x, _ = next(iter(examples.batch(24)))
    served = serve(image_bytes=x["image"], text=x["text"])["probabilities"].numpy()
    expected = softmax(logits.astype("float64"))
    np.testing.assert_allclose(served, expected, atol=1e-4)


@pytest.mark.parametrize("batch", [5, 24])
def test_more_rows_than_memory(tiny, monkeypatch, batch):
    model, x = tiny
    dataset = tf.data.Dataset.from_tensor_slices((x, LABELS)).batch(batch)
    whole = gather_rows(model, dataset)
    monkeypatch.setattr(head_rows, "MOST_ROWS", 12)
    streamed = gather_rows(model, dataset)
    assert (streamed.total, len(streamed.x)) == (24, 12)
    np.testing.assert_array_equal(streamed.x, whole.x[::2])
    np.testing.assert_array_equal(streamed.counts, [8, 8, 8])
    for share in (0.0, 0.3):
        some, every = streamed.ridge(share, 0.0), whole.ridge(share, 0.0)
        for penalty in (0.01, 1.0):
            for part, expected in zip(
                some.head(penalty * some.size), every.head(penalty * every.size), strict=True
            ):
                np.testing.assert_allclose(part, expected, atol=1e-7)
        found = next(some.leave_one_out([some.size]))
        np.testing.assert_allclose(found, next(every.leave_one_out([some.size]))[::2], atol=1e-8)
    solution = training.solve_head(model, dataset, verbose=0)
    assert (solution.solver, solution.num_examples) == ("exact", 24)
    assert "12 of 24 examples" in solution.reason
    with pytest.raises(ValueError, match="more than 12 examples.*'logistic' and 24 examples"):
        training.solve_head(model, dataset, solver="logistic", verbose=0)


def test_weights_of_classes_and_examples_multiply(tiny):
    model, x = tiny
    weights = np.linspace(0, 2, 24)
    batches = feature_batches(model, x, LABELS, weights, None, "memory", 0)
    rows = gather_rows(model, batches, {1: 3.0})
    expected = np.where(LABELS == 1, 3, 1) * weights
    np.testing.assert_allclose(rows.weights, expected[1:], rtol=1e-6)  # the first weighs nothing
    assert (rows.total, rows.counts.tolist()) == (23, [7, 8, 8])


@pytest.mark.parametrize("name", ["test_efficientnet_image_only", "test_bert_text_only"])
def test_one_modality(tiny, name):
    _, x = tiny
    model = zoo.build(name, num_classes=CLASSES, seed=0)
    solution = training.solve_head(model, x, LABELS, verbose=0)
    assert name.endswith(solution.fusion)
    assert model.evaluate(x, LABELS, verbose=0)[1] > 0.7


def test_one_example_a_class(tiny):
    model, x = tiny
    few = {name: values[1:4] for name, values in x.items()}
    solution = training.solve_head(model, few, LABELS[1:4], verbose=0)
    assert np.isnan(solution.log_loss) and solution.choices == []
    assert "none can be left out" in solution.reason
    assert model.evaluate(few, LABELS[1:4], verbose=0)[1] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solver": "sgd"}, "`solver` must be one of.*Received: solver='sgd'"),
        ({"fusion": "gated"}, "`fusion` must be one of.*Received: fusion='gated'"),
        (
            {"fusion": "late", "solver": "logistic"},
            "for late fusion. Received: solver='logistic', fusion='late'",
        ),
        (
            {"fusion": "image_only", "class_texts": "names"},
            "reads no text. Received: class_texts='names', fusion='image_only'",
        ),
        ({"y": None}, "`y` must hold the labels. Received: y=None"),
        ({"y": LABELS + 1}, "from 0 to 2.*Received: labels from 1 to 3"),
        ({"y": LABELS / 2}, r"Received: y of shape \(24,\), dtype float64"),
        ({"y": np.eye(3, dtype=int)[LABELS]}, r"Received: y of shape \(24, 3\)"),
        ({"y": LABELS % 2}, r"Received: no example of \[2\]"),
        ({"sample_weight": np.full(24, -0.5)}, r"Received: \[-0.5, "),
        ({"class_weight": {0: -1.0}}, r"at least 0. Received: \{0: -1.0\}"),
        ({"class_weight": {7: 1.0}}, "`class_weight` must have keys.*Received: 7"),
        ({"class_weight": {2: 0.0}}, r"Received: no example of \[2\]"),
        ({"class_texts": "names"}, "has no class names. Received: class_texts='names'"),
        ({"class_texts": ["a", "b", "c"]}, r"Received: class_texts=\['a', 'b', 'c'\]"),
        ({"class_texts": {0: " "}}, "Received: ' ' for class 0"),
        ({"class_texts": {"dog": "a dog"}}, "`class_texts` must have keys.*Received: 'dog'"),
        ({"feature_cache": 3}, "Received: feature_cache=3"),
        ({"feature_cache": None}, "Received: feature_cache=None"),
    ],
)
def test_errors(tiny, change, message):
    model, x = tiny
    arguments = {"y": LABELS, "verbose": 0} | change
    before = model.head.get_weights()[0]
    with pytest.raises(ValueError, match=message):
        training.solve_head(model, x, arguments.pop("y"), **arguments)
    np.testing.assert_array_equal(model.head.get_weights()[0], before)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("test_efficientnet_bert_cross", {}, "must be linear.*Received: fusion=.*cross.*fit"),
        ("test_efficientnet_lstm_concat", {}, r"frozen encoders.*Received: \['text'\] not frozen"),
    ],
)
def test_models_that_cannot_be_solved(name, options, message):
    model = zoo.build(name, num_classes=CLASSES, **options)
    with pytest.raises(ValueError, match=message):
        training.solve_head(model, {"text": ["a"]}, [0], verbose=0)


def test_a_hidden_layer_and_other_models_cannot_be_solved(tiny):
    model, x = tiny
    with pytest.raises(ValueError, match="Received: model of type Sequential"):
        training.solve_head(keras.Sequential(), x, LABELS)
    hidden = type(model)(
        model.image_encoder, model.text_encoder, fusion.ConcatFusion(hidden_dim=8), CLASSES
    )
    with pytest.raises(ValueError, match="hidden_dim=8"):
        training.solve_head(hidden, x, LABELS, verbose=0)


def test_features_that_are_not_finite(tiny):
    model, x = tiny
    broken = x | {"image_pooled": x["image_pooled"].copy()}
    broken["image_pooled"][4] = np.nan
    with pytest.raises(ValueError, match="Received: 1 of 24 rows with inf or NaN"):
        training.solve_head(model, broken, LABELS, verbose=0)
