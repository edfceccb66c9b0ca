"""Solved no-harm models beside the models they are made of, and the share of wrong texts."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import fusion, training, zoo
from tatl_keras.training import head_rows
from tatl_keras.training.estimate_corruption import most_likely_share

CLASSES = 3
LABELS = np.append(np.arange(27) % CLASSES, [0, 0, 0])


def _features(model, rows=30, seed=1, spread=1.5):
    rng = np.random.default_rng(seed)
    x = {}
    for name, encoder in model.encoders.items():
        centres = np.random.default_rng(5).normal(size=(CLASSES, encoder.output_dim))
        noise = spread * rng.normal(size=(rows, encoder.output_dim))
        x[f"{name}_pooled"] = (centres[np.resize(LABELS, rows)] + noise).astype("float32")
        x[f"has_{name}"] = np.ones(rows, "int32")
    return x


@pytest.fixture(scope="module")
def tiny():
    keras.utils.set_random_seed(0)
    model = zoo.build("test_efficientnet_bert_no_harm", num_classes=CLASSES, seed=0)
    return model, _features(model)


def _without(x, *modalities):
    return {**x, **{f"has_{name}": np.zeros_like(x[f"has_{name}"]) for name in modalities}}


def _logs(model, x):
    logits = model.predict(x, verbose=0).astype("float64")
    return logits - np.logaddexp.reduce(logits, axis=1)[:, None]


def _solve(name, x, **kwargs):
    model = zoo.build(name, num_classes=CLASSES, seed=0)
    used = {key: value for key, value in x.items() if key in model.fusion.uses}
    training.solve_head(model, used, LABELS, verbose=0, **kwargs)
    return model, used


@pytest.mark.parametrize("solver", ["exact", "auto"])
def test_it_is_made_of_the_models_solved_one_by_one(tiny, solver):
    model, x = tiny
    x = {**x, "has_text": x["has_text"].copy()}
    x["has_text"][4::9] = 0
    solution = training.solve_head(model, x, LABELS, solver=solver, verbose=0)
    logs = {}
    for part, name in (
        ("joint", "test_efficientnet_bert_concat"),
        ("image", "test_efficientnet_image_only"),
        ("text", "test_bert_text_only"),
    ):
        other, used = _solve(name, x, solver=solver)
        logs[part] = _logs(other, used)
    prior = np.log((np.bincount(LABELS) + 1) / (len(LABELS) + CLASSES))
    agreement = np.logaddexp.reduce(logs["image"] + logs["text"] - prior, axis=1)
    r = 1 / (1 + 0.1 / 0.9 * np.exp(-agreement))[:, None]
    mixed = np.log(r * np.exp(logs["joint"]) + (1 - r) * np.exp(logs["image"]))
    expected = np.where(x["has_text"][:, None], mixed, logs["image"])
    np.testing.assert_allclose(_logs(model, x), expected, atol=2e-3)
    np.testing.assert_allclose(_logs(model, _without(x, "text")), logs["image"], atol=2e-3)
    text = x["has_text"] > 0
    np.testing.assert_allclose(
        _logs(model, _without(x, "image"))[text], logs["text"][text], atol=2e-3
    )
    np.testing.assert_allclose(_logs(model, _without(x, "image", "text"))[:1], [prior], atol=1e-5)
    assert "On the image alone" in solution.reason and "On the text alone" in solution.reason


def test_sums_over_many_rows_give_the_same_head(tiny, monkeypatch):
    model, x = tiny
    weights = np.linspace(0.5, 2, len(LABELS))
    options = {"solver": "exact", "sample_weight": weights, "class_weight": {0: 3.0}, "verbose": 0}
    training.solve_head(model, x, LABELS, **options)
    expected = np.asarray(model.head.prior).copy()
    monkeypatch.setattr(head_rows, "MOST_ROWS", 29)
    training.solve_head(model, x, LABELS, **options)
    weights[LABELS == 0] *= 3
    counts = 30 * np.bincount(LABELS, weights) / weights.sum() + 1
    np.testing.assert_allclose(np.exp(model.head.prior), counts / counts.sum(), rtol=1e-5)
    np.testing.assert_allclose(model.head.prior, expected, rtol=1e-5)


def test_one_picture_a_class_gives_a_head_of_defaults(tiny):
    model, x = tiny
    few = {name: value[:CLASSES] for name, value in x.items()}
    solution = training.solve_head(model, few, LABELS[:CLASSES], verbose=0)
    assert "none can be left out" in solution.reason and "nan" not in solution.reason
    for some in (few, _without(few, "text"), _without(few, "image")):
        assert (_logs(model, some).argmax(1) == LABELS[:CLASSES]).all()


def test_a_class_known_by_text_alone_is_found_by_its_text(tiny):
    """Its pictures are unknown to the image expert, which must not rule it out."""
    _, x = tiny
    model = zoo.build("test_efficientnet_bert_no_harm", num_classes=CLASSES, seed=0)
    keep = LABELS != 2
    known = {name: value[keep] for name, value in x.items()}
    raw = ["first words", "second words", "entirely different third thing"]
    written = tf.data.Dataset.from_tensor_slices(raw)
    model.preprocessor.adapt(written, model.text_encoder.vocabulary_size)
    texts = training.encode(written.map(lambda text: {"text": text}), model, verbose=0)
    texts, _, _ = texts.arrays()
    known["text_pooled"] = texts["text_pooled"][LABELS[keep]]
    options = {"class_texts": dict(enumerate(raw)), "verbose": 0}
    training.solve_head(model, known, LABELS[keep], **options)
    asked = {name: value[~keep] for name, value in x.items()}
    asked["text_pooled"] = np.repeat(
        np.asarray(texts["text_pooled"])[2:], len(asked["has_text"]), 0
    )
    assert (np.exp(_logs(model, asked))[:, 2] > 0.3).all()


def test_only_linear_inner_fusions_are_solved():
    inner = fusion.NoHarmFusion("gated")
    model = zoo.compose(CLASSES, image="test_image", text="test_text", fusion=inner)
    with pytest.raises(ValueError, match=r"`model.fusion` must be linear.*fusion=gated_fusion"):
        training.solve_head(model, _features(model), LABELS, verbose=0)


def _agreements(rng, wrong, rows):
    """Of a world in which all probabilities are known: classes, noisy views of them, swaps."""
    right = np.array([[0.85, 0.1, 0.05], [0.05, 0.85, 0.1], [0.1, 0.05, 0.85]])  # P(view | class)
    label, other = rng.integers(3, size=(2, rows))
    shown = np.where(rng.random(rows) < wrong, other, label)
    image, text = (
        (rng.random((rows, 1)) > right[c].cumsum(1)).sum(1) for c in (label, shown)
    )  # fmt: skip
    posterior = right / right.sum(0)  # the prior is even
    return np.log((posterior[:, image] * posterior[:, text] * 3).sum(0))


@pytest.mark.parametrize("wrong", [0.02, 0.3, 0.95])
def test_the_share_of_wrong_texts_is_found_and_its_interval_is_honest(wrong):
    rng = np.random.default_rng(7)
    found = np.array([most_likely_share(_agreements(rng, wrong, 2000)) for _ in range(200)])
    best, low, high = found.T
    assert (low < best).all() and (best < high).all()
    assert best.mean() == pytest.approx(wrong, abs=0.02)
    assert 0.9 < ((low <= wrong) & (wrong <= high)).mean() <= 1


def test_the_most_likely_share_is_a_maximum():
    agreements = _agreements(np.random.default_rng(3), 0.4, 60)
    shares = np.linspace(1e-4, 1 - 1e-4, 20001)
    likelihood = np.log((1 - shares[:, None]) * np.exp(agreements) + shares[:, None]).sum(1)
    likelihood += 0.1 * np.log(shares) + 0.9 * np.log(1 - shares)
    best, low, high = most_likely_share(agreements)
    assert best == pytest.approx(shares[likelihood.argmax()], abs=1e-4)
    inside = shares[2 * (likelihood.max() - likelihood) <= 3.841459]
    assert (low, high) == pytest.approx((inside[0], inside[-1]), abs=2e-4)


def test_texts_of_other_pictures_are_told_by_many_rows(tiny):
    model, x = tiny
    training.solve_head(model, x, LABELS, solver="exact", verbose=0)
    new = _features(model, rows=300, seed=2)
    right = training.estimate_corruption(model, new, verbose=0)
    assert model.head.corruption == pytest.approx(right.corruption, rel=1e-5)
    order = np.random.default_rng(1).permutation(300)
    swapped = {**new, "text_pooled": new["text_pooled"][order]}
    wrong = training.estimate_corruption(model, swapped, verbose=0)
    assert right.corruption < 0.1 and wrong.corruption > 0.7 and wrong.low > right.high
    near = np.abs(np.exp(_logs(model, swapped)) - np.exp(_logs(model, _without(new, "text"))))
    model.head.corruption = right.corruption
    far = np.abs(np.exp(_logs(model, swapped)) - np.exp(_logs(model, _without(new, "text"))))
    assert near.mean() < far.mean() / 3
    assert (right.num_examples, wrong.num_examples) == (300, 300)
    assert "% of 300 texts do not seem" in wrong.report()


def test_rows_that_lack_something_are_not_counted(tiny):
    model, x = tiny
    some = {**x, "has_image": x["has_image"].copy()}
    some["has_image"][10:] = 0
    first = {name: value[:10] for name, value in x.items()}
    few = training.estimate_corruption(model, some, verbose=0)
    alone = training.estimate_corruption(model, first, verbose=0)
    # Products of matrices round otherwise in batches of another size.
    assert dataclasses.astuple(few) == pytest.approx(dataclasses.astuple(alone), rel=1e-5)
    assert few.num_examples == 10
    with pytest.raises(ValueError, match="`x` must hold examples with picture and text"):
        training.estimate_corruption(model, _without(x, "text"), verbose=0)


def test_other_heads_have_no_corruption():
    model = zoo.build("test_efficientnet_bert_concat", num_classes=2)
    with pytest.raises(ValueError, match=r"`model` must be .* with head of type Dense\."):
        training.estimate_corruption(model, {})
    with pytest.raises(ValueError, match=r"`model` must be .* model of type int"):
        training.estimate_corruption(3, {})
