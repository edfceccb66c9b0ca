"""Rows of a request are answered by themselves, whatever the others hold."""

import gc
import itertools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import serving, zoo
from tatl_keras.models.artifact.signatures import served_tensors
from tatl_keras.models.export import MAX_PIXELS
from tests.data import nasty

BAD = (b"no picture", nasty.encode(nasty.noise(), "PNG")[:300], nasty.bomb())


@pytest.fixture(scope="module")
def served(directory):
    return serving.load(directory)


@pytest.fixture(scope="module")
def good():
    images = list(nasty.pictures().values())[:6]
    return images, ["a red cat", "", "dog", "猫", "a b c", ""]


def softmax(logits):
    exponent = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponent / exponent.sum(axis=-1, keepdims=True)


def same(one, other):
    """Every output of every row, bit for bit."""
    assert sorted(one) == ["evidence", "label", "logits", "probabilities", "valid"]
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_nasty_pictures_and_texts_get_the_models_numbers(model, served):
    images, texts = list(nasty.pictures().values()), list(nasty.TEXTS)
    images, texts = images + [b""] * len(texts), [b""] * len(images) + texts
    images, texts = images + images[: len(nasty.TEXTS)], texts + list(nasty.TEXTS)
    answer = served.answer(images, texts, batch_size=len(texts))
    logits = model.predict({"image": images, "text": texts}, verbose=0)
    assert np.ptp(logits, axis=0).min() > 1e-3
    np.testing.assert_allclose(answer["logits"], logits, atol=1e-5)
    valid = answer["valid"][:, None]
    np.testing.assert_allclose(answer["probabilities"], softmax(logits) * valid, atol=1e-6)
    assert 0 < (~valid).sum() < len(nasty.TEXTS)


def test_the_graph_makes_the_tensors_of_training(model, tmp_path):
    spec = [tf.TensorSpec([None], tf.string)] * 2
    module = tf.Module()
    module.make = tf.function(
        lambda image, text: served_tensors(model, {"image": image, "text": text}, MAX_PIXELS),
        input_signature=spec,
    )
    tf.saved_model.save(module, str(tmp_path / "1"))
    images = list(nasty.pictures().values())
    texts = [*nasty.TEXTS, *[b"a"] * (len(images) - len(nasty.TEXTS))]
    made = tf.saved_model.load(str(tmp_path / "1")).make(tf.constant(images), tf.constant(texts))
    rows = tf.data.Dataset.from_tensor_slices({"image": images, "text": texts})
    (trained,) = model.preprocessor.dataset(rows, len(images))
    assert sorted(made) == sorted(trained)
    for name, value in trained.items():
        np.testing.assert_array_equal(made[name], value, err_msg=name)
    assert len(np.unique(made["token_ids"], axis=0)) > 8


def test_a_bad_row_anywhere_changes_no_bit_of_the_others(served, good):
    images, texts = good
    before = served.answer(images, texts)
    assert before["valid"].all() and len(np.unique(before["logits"], axis=0)) == 6
    for place, bad in itertools.product(range(6), BAD):
        answer = served.answer([*images[:place], bad, *images[place + 1 :]], texts)
        others = [row for row in range(6) if row != place]
        same(*({name: v[others] for name, v in a.items()} for a in (answer, before)))
        missing = served.answer([*images[:place], b"", *images[place + 1 :]], texts)
        same(answer, missing)
        assert answer["evidence"][place] == (b"text" if texts[place] else b"none")


def test_of_an_invalid_row_only_the_logits_are_the_models(model, served):
    answer = served.answer([*BAD, b""], [b"", b" ", b"\0", b""])
    assert not answer["valid"].any() and not answer["probabilities"].any()
    assert set(answer["label"]) == {b""} and set(answer["evidence"]) == {b"none"}
    counts = model.prior.counts.numpy() + 1
    np.testing.assert_allclose(softmax(answer["logits"]), [counts / counts.sum()] * 4, rtol=1e-6)
    same(served.answer([BAD[0]], [""]), {name: value[:1] for name, value in answer.items()})


def test_a_model_of_pictures_has_no_text_to_fall_back_on(fitted, tmp_path):
    fitted("test_efficientnet_image_only").export(tmp_path / "1", max_pixels=23 * 17)
    picture = nasty.encode(nasty.noise(), "PNG")
    larger = nasty.encode(nasty.noise(size=(23, 18)), "PNG")
    answer = serving.load(tmp_path / "1").answer([larger, picture, b""], ["a cat"] * 3)
    assert answer["valid"].tolist() == [False, True, False]
    assert answer["evidence"].tolist() == [b"none", b"image", b"none"]
    np.testing.assert_allclose(answer["probabilities"].sum(axis=1), [0, 1, 0], atol=1e-6)


def test_any_order_and_any_batch(served, good, rng):
    images, texts = [*good[0], *BAD], [*good[1], "", "a", ""]
    answer = served.answer(images, texts)
    order = rng.permutation(len(images))
    again = served.answer([images[i] for i in order], [texts[i] for i in order])
    for name in ("valid", "evidence", "label"):
        np.testing.assert_array_equal(again[name], answer[name][order])
    np.testing.assert_allclose(again["logits"], answer["logits"][order], atol=1e-6)
    for batch_size in (1, 2, 7):
        again = served.answer(images, texts, batch_size=batch_size)
        np.testing.assert_array_equal(again["valid"], answer["valid"])
        np.testing.assert_allclose(again["logits"], answer["logits"], atol=1e-6)


def test_mutated_pictures_leave_the_others_alone(served, good):
    images, texts = good
    before = served.answer(images + [b""] * 50, texts + [""] * 50, batch_size=56)
    for seed in (7, 8):
        answer = served.answer(images + nasty.mutated(50, seed), texts + [""] * 50, batch_size=56)
        same(*({name: value[:6] for name, value in a.items()} for a in (answer, before)))
        assert 0 < answer["valid"][6:].sum() < 50
        invalid = ~answer["valid"]
        assert np.isfinite(answer["logits"]).all() and not answer["probabilities"][invalid].any()


def test_classes_of_the_request_have_valid_rows_too(tmp_path):
    model = zoo.build("test_vit_bert_cross", 3, seed=0, head="class_texts")
    model.preprocessor.adapt(tf.data.Dataset.from_tensors("a cat a dog a star"), 100)
    model.class_names = ["cat", "dog", "star"]
    model.export(tmp_path / "1")
    loaded, picture = serving.load(tmp_path / "1"), nasty.pictures()["PNG"]
    before = loaded.classify_with_texts([picture] * 3, ["", "a", ""], ["a moon", "a ring"])
    answer = loaded.classify_with_texts([picture, *BAD[:2]], ["", "a", ""], ["a moon", "a ring"])
    assert answer["valid"].tolist() == [True, True, False] and before["valid"].all()
    assert answer["label"][2] == b"" and not answer["probabilities"][2].any()
    np.testing.assert_array_equal(answer["probabilities"][0], before["probabilities"][0])
    np.testing.assert_allclose(answer["probabilities"][:2].sum(axis=1), 1, rtol=1e-6)


@pytest.mark.large
@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_no_request_leaves_anything_behind(served):
    """New words and new pictures, readable and not, in 300 requests after 600 others."""

    def ask(number):
        images = nasty.mutated(3, number) + [nasty.encode(nasty.noise(seed=number), "PNG")]
        served.answer(images, [f"word{number}x{row} 猫{number}" for row in range(4)])

    def mebibytes():
        gc.collect()
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    for number in range(600):
        ask(number)
    before = mebibytes()
    for number in range(600, 900):
        ask(number)
    assert mebibytes() - before < 3
