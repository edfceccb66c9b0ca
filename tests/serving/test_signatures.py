"""What each signature answers, worked out in NumPy from the Keras model's own tensors."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.models.artifact.attention_maps import attention_maps
from tests.data import nasty

TEXTS = ["a red cat", "", "dog", "a small blue bird", ""]
BROKEN = 4  # the row with nothing that can be read


@pytest.fixture(scope="module")
def images():
    good = nasty.encode(nasty.noise(), "PNG"), nasty.encode(nasty.noise(size=(40, 30)), "JPEG")
    return [good[0], good[1], b"", good[1], b"no picture"]


@pytest.fixture(scope="module")
def ask(directory):
    served = tf.saved_model.load(directory).signatures

    def ask(name, **inputs):
        answer = served[name](**{key: tf.constant(value) for key, value in inputs.items()})
        return {key: value.numpy() for key, value in answer.items()}

    return ask


@pytest.fixture(scope="module")
def rows(images):
    return {"image_bytes": images, "text": TEXTS}


@pytest.fixture(scope="module")
def tensors(model, images):
    """What training would read, without the picture that cannot be decoded."""
    raw = {"image": tf.constant([*images[:BROKEN], b""]), "text": tf.constant(TEXTS)}
    return model.preprocessor(raw)


@pytest.fixture(scope="module")
def features(model, tensors):
    return {name: np.asarray(value) for name, value in model.encode(tensors).items()}


def softmax(logits):
    exponent = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponent / exponent.sum(axis=-1, keepdims=True)


def test_the_answer_is_the_models(model, tensors, rows, ask):
    logits = model.predict(tensors, verbose=0)
    answer = ask("serving_default", **rows)
    assert sorted(answer) == ["evidence", "label", "logits", "probabilities", "valid"]
    np.testing.assert_allclose(answer["logits"], logits, atol=1e-5)
    expected = softmax(logits)
    expected[BROKEN] = 0
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
    assert answer["valid"].tolist() == [True] * BROKEN + [False]
    labels = [model.class_names[place] for place in logits.argmax(-1)[:BROKEN]]
    assert [label.decode() for label in answer["label"]] == [*labels, ""]


def test_classes_come_in_the_order_of_their_probabilities(model, rows, ask):
    all_of_them = ask("serving_default", **rows)["probabilities"]
    answer = ask("classify", **rows)
    order = np.argsort(-all_of_them[:BROKEN], axis=-1, kind="stable")
    names = np.array([name.encode() for name in model.class_names], object)
    assert answer["labels"][:BROKEN].tolist() == names[order].tolist()
    assert answer["labels"][BROKEN].tolist() == [b""] * 3
    expected = np.take_along_axis(all_of_them[:BROKEN], order, axis=-1)
    np.testing.assert_array_equal(answer["probabilities"][:BROKEN], expected)
    assert not answer["probabilities"][BROKEN].any() and not answer["valid"][BROKEN]


def test_examples_are_classified_alike(rows, images, ask):
    serialized = []
    for image, text in zip(images, TEXTS, strict=True):
        columns = {"image_bytes": image, "text": text.encode()}
        lists = {k: tf.train.BytesList(value=[v]) for k, v in columns.items() if v}
        each = {name: tf.train.Feature(bytes_list=value) for name, value in lists.items()}
        example = tf.train.Example(features=tf.train.Features(feature=each))
        serialized.append(example.SerializeToString())
    classes, answer = ask("classify", **rows), ask("classify_examples", inputs=serialized)
    np.testing.assert_array_equal(answer["classes"], classes["labels"])
    np.testing.assert_array_equal(answer["scores"], classes["probabilities"])
    torn = ask("classify_examples", inputs=[serialized[0], b"\xff" * 9, serialized[2]])
    np.testing.assert_array_equal(torn["scores"][[0, 2]], answer["scores"][[0, 2]])
    assert not torn["scores"][1].any()


def test_vectors_are_the_encoders_and_the_fusions(model, features, rows, ask):
    answer = ask("embed", **rows)
    for name in ("image", "text"):
        expected = features[f"{name}_pooled"] * features[f"has_{name}"][:, None]
        np.testing.assert_allclose(answer[name], expected, atol=1e-5)
        assert not answer[name][BROKEN].any()
    fused = np.asarray(model.fusion(features))
    np.testing.assert_allclose(answer["fused"][:BROKEN], fused[:BROKEN], atol=1e-5)
    assert not answer["fused"][BROKEN].any() and not answer["valid"][BROKEN]


def test_tensors_get_the_same_answer(tensors, rows, ask):
    names = ("images", "has_image", "token_ids", "padding_mask")
    answer = ask("tensors", **{name: tensors[name].numpy() for name in names})
    expected = ask("serving_default", **rows)
    assert sorted(answer) == ["logits", "probabilities", "valid"]
    for name, value in answer.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)


def normalised(tokens, layer):
    tokens = tokens.astype(np.float64)
    centred = tokens - tokens.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * np.asarray(layer.gamma) + np.asarray(layer.beta)


def looked_at(queries, attended, layer):
    """The talk's attention of one row, for tokens that are there."""
    keys = attended @ np.asarray(layer.key_kernel, np.float64)
    return softmax(queries @ keys.T / np.sqrt(queries.shape[-1]))


def test_attention_of_regions_and_words_is_the_formulas(model, features, rows, ask):
    answer = ask("explain", **rows)
    fusion = model.fusion
    assert answer["words"][0, :4].tolist() == [b"[CLS]", b"a", b"r", b"##e"]
    for row in (0, 3):
        real = features["text_mask"][row].astype(bool)
        words = normalised(features["text_tokens"][row][real], fusion.text_norm)
        regions = normalised(features["image_tokens"][row], fusion.image_norm)
        seen = looked_at(words, regions, fusion.text_to_image)
        read = looked_at(regions, words, fusion.image_to_text)
        np.testing.assert_allclose(answer["region_attention"][row].ravel(), seen.mean(0), atol=1e-6)
        np.testing.assert_allclose(answer["word_attention"][row][real], read.mean(0), atol=1e-6)
        np.testing.assert_allclose(
            answer["word_to_region"][row][real].reshape(seen.shape), seen, atol=1e-6
        )
        assert not answer["word_attention"][row][~real].any()
    for row in (1, 2, BROKEN):  # one of the two is missing: nothing looks at nothing
        for name in ("region_attention", "word_attention", "word_to_region"):
            assert not answer[name][row].any()
    assert answer["words"][1].tolist() == [b""] * answer["words"].shape[1]


def test_all_that_attends_to_all_shares_one_attention():
    rng = np.random.default_rng(0)
    scores = rng.random((2, 5, 5)).astype("float32")
    scores /= scores.sum(-1, keepdims=True)
    masks = {"image_mask": np.array([[1, 1], [1, 1]]), "text_mask": np.array([[1, 1, 0], [0] * 3])}

    def fusion(features, training, return_attention_scores):
        return None, {"joint": tf.constant(scores)}

    found = attention_maps(fusion, {k: tf.constant(v) for k, v in masks.items()}, (1, 2))
    for row, there in enumerate(([0, 1, 2, 3], [0, 1])):
        mean = sum(scores[row, query].astype(np.float64) for query in there) / len(there)
        np.testing.assert_allclose(found["region_attention"][row].numpy().ravel(), mean[:2], 1e-6)
        np.testing.assert_allclose(found["word_attention"][row], mean[2:], 1e-6)
    np.testing.assert_allclose(found["word_to_region"][0, 1, 0], scores[0, 3, :2], 1e-6)
    assert not found["word_to_region"][1].numpy().any()


@pytest.mark.parametrize(
    ("name", "inputs", "message"),
    [
        ("classify", {"image_bytes": [b"", b""], "text": ["a"]}, "equally many rows"),
        ("embed", {"image_bytes": [], "text": []}, "at least one row"),
        ("classify_examples", {"inputs": []}, "at least one row"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(ask, name, inputs, message):
    inputs = {key: np.array(value, object) for key, value in inputs.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ask(name, **{key: tf.constant(value, tf.string) for key, value in inputs.items()})
