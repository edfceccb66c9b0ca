"""`model.explain` on whole models."""

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, zoo
from tatl_keras.models.explanation.answers import Answers, functions_of
from tatl_keras.models.explanation.maps import maps_of
from tatl_keras.models.explanation.players import Text
from tatl_keras.models.explanation.rollout import attention_scores

CLASSES = 3
TEXT = "a Größer  red circle"


@pytest.fixture(scope="module")
def raw():
    rows = [row for row, _ in data.synthetic.examples(CLASSES, 8, seed=1, missing_text=0)]
    return {name: [row[name].numpy() for row in rows] for name in ("image", "text")}


def built(name, raw, **kwargs):
    model = zoo.build(name, CLASSES, seed=0, sequence_length=24, **kwargs)
    model.fit(raw, [0, 1, 2, 0, 1, 2, 0, 1], epochs=1, verbose=0)
    rng = np.random.default_rng(0)
    for weight in model.head.trainable_weights:
        weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


@pytest.fixture(scope="module")
def model(raw):
    return built("test_efficientnet_bert_cross", raw)


@pytest.fixture(scope="module")
def rows(raw):
    picture = raw["image"][0]
    return [
        {"image": picture, "text": TEXT},
        {"image": b"", "text": TEXT},
        {"image": picture, "text": ""},
        {"image": b"", "text": ""},
    ]


@pytest.fixture(scope="module")
def found(model, rows):
    return model.explain(rows, regions=(2, 2), samples=40, verbose=0)


def softmax(logits):
    return np.array(tf.nn.softmax(logits))


def test_everything_adds_up(model, rows, found):
    probabilities = softmax(model.predict(rows, verbose=0))
    for one, expected in zip(found, probabilities, strict=True):
        np.testing.assert_allclose(one.probabilities, expected, atol=1e-5)
        assert one.class_index == expected.argmax() and one.class_name == str(one.class_index)
        answer = one.probabilities[one.class_index]
        assert one.baseline + one.regions.sum() + one.word_values.sum() == pytest.approx(answer)
        assert one.baseline + sum(one.modality.values()) == pytest.approx(answer)
        assert json.loads(json.dumps(one.to_dict(), allow_nan=False))["evidence"] == one.evidence
        assert all(TEXT[word["start"] : word["end"]] == word["text"] for word in one.words)
    assert [one.evidence for one in found] == ["image and text", "text", "image", "none"]
    assert [len(one.words) for one in found] == [4, 4, 0, 0]


def test_a_missing_modality_has_no_value(found):
    _, text, image, nothing = found
    assert text.modality["image"] == image.modality["text"] == 0
    assert not text.regions.any() and text.word_values.any() and text.probability_error is None
    assert image.regions.any() and image.probability_error.shape == (CLASSES,)
    assert nothing.modality == {"image": 0.0, "text": 0.0} and nothing.grades == {}
    assert nothing.baseline == nothing.probabilities[nothing.class_index] and not nothing.maps


def test_values_are_those_of_all_coalitions(model, raw):
    one = model.explain(
        [{"image": raw["image"][0], "text": "red circle"}], regions=(1, 2), samples=60, verbose=0,
        grade=False, class_name=1,
    )[0]  # fmt: skip
    size = model.preprocessor.image_converter.image_size
    image = model.preprocessor({"image": np.array(raw["image"][:1])})["images"][0].numpy()
    members = list(itertools.product([0, 1], repeat=4))
    shown = np.tile(image, (16, 1, 1, 1))
    for row, (left, right, _, _) in zip(shown, members, strict=True):
        half, mean = size[1] // 2, image.mean(axis=(0, 1))
        row[:, :half] = row[:, :half] if left else mean
        row[:, half:] = row[:, half:] if right else mean
    texts = [" ".join(["red"] * first + ["circle"] * second) for *_, first, second in members]
    tensors = model.preprocessor({"text": np.array([text.encode() for text in texts])})
    tensors |= {"images": shown, "has_image": np.array([one[0] or one[1] for one in members])}
    worth = dict(zip(members, softmax(model(tensors, training=False))[:, 1], strict=True))
    orders, values = list(itertools.permutations(range(4))), np.zeros(4)
    for order in orders:
        members = [0] * 4
        for player in order:
            before = worth[tuple(members)]
            members[player] = 1
            values[player] += (worth[tuple(members)] - before) / len(orders)
    np.testing.assert_allclose([*one.regions.ravel(), *one.word_values], values, atol=2e-6)
    assert not one.regions_error.any() and not one.word_errors.any()


def test_examples_do_not_influence_each_other(model, rows, found):
    again = model.explain(rows[1:2], regions=(2, 2), samples=40, verbose=0, grade=False)[0]
    np.testing.assert_array_equal(again.word_values, found[1].word_values)


def test_maps_and_grades(found):
    both, text, image, _ = found
    heads = {"attention_head_text_1", "attention_head_text_2"}
    assert set(both.maps) == {"gradient", "attention", "attention_rollout", *heads}
    assert both.maps["attention"].word_to_region.shape == (4, 4, 4)
    assert both.maps["attention"].values.sum() == pytest.approx(1, abs=1e-5)
    assert both.maps["attention_rollout"].values is None  # a convolutional encoder has no attention
    assert set(text.maps) == {"gradient", "attention_rollout", *heads}
    assert set(image.maps) == {"gradient"}
    assert set(both.grades) == {"shapley", *both.maps} - heads
    for grades in both.grades.values():
        assert grades["random_deletion"] == grades["random_insertion"]
        assert isinstance(grades["refused"], bool)
        unknown = grades["random_weights_correlation"] is None
        assert bool(grades["reason"]) == (grades["refused"] or unknown)


def test_classes_by_number_name_and_array(model, rows):
    options = {"x": rows[3:] * 3, "grade": False, "verbose": 0}
    for class_name in ([2, "0", None], np.array([2, 0, 1]), np.array(["2", "0", "1"])):
        found = model.explain(class_name=class_name, **options)
        assert [one.class_index for one in found[:2]] == [2, 0]


def test_a_vocabulary_that_is_not_learned():
    model = zoo.build("test_efficientnet_bert_concat", CLASSES)
    with pytest.raises(ValueError, match=r"after the vocabulary is learned") as raised:
        model.explain([{"image": bytes(1000), "text": "a cat"}], verbose=0)
    assert len(str(raised.value)) < 200


@keras.saving.register_keras_serializable(package="tests")
class _Plain(keras.layers.Layer):
    """A user's own fusion: both pooled vectors as they are."""

    uses = ("image_pooled", "has_image", "text_pooled", "has_text")

    def build(self, features_shape):
        self.built = True

    def call(self, features, training=None):
        parts = [
            features[f"{m}_pooled"] * keras.ops.cast(features[f"has_{m}"], "float32")[:, None]
            for m in ("image", "text")
        ]
        return keras.ops.concatenate(parts, axis=-1)

    def compute_output_shape(self, features_shape):
        return (None, features_shape["image_pooled"][1] + features_shape["text_pooled"][1])


class _Row:
    """What `maps_of` asks of a game, with features that are given."""

    def __init__(self, answers, features, words):
        self.answers, self._features = answers, features
        self.counts = {"image": 4, "text": words}
        self.text = Text("", np.zeros(0), np.zeros(0), None)
        self.text._tokens = [np.array([1]), np.array([2, 3])]

    def whole(self, modality):
        return {name: value for name, value in self._features.items() if modality in name}

    def attention_scores(self, modality):
        return []


def test_gradients_of_a_linear_model_in_closed_form(raw, rng):
    model = zoo.compose(CLASSES, image="test_image", text="test_text", fusion=_Plain(), seed=0)
    weights = rng.normal(size=model.head.kernel.shape).astype("float32")
    model.head.kernel.assign(weights)
    features = {
        "image_tokens": rng.normal(size=(1, 16, 24)), "image_pooled": np.zeros((1, 24)),
        "text_tokens": rng.normal(size=(1, 5, 16)), "text_pooled": np.zeros((1, 16)),
    }  # fmt: skip
    features = {name: value.astype("float32") for name, value in features.items()}
    features |= {"image_mask": np.ones((1, 16), "int32"), "has_image": np.ones(1, "int32")}
    features |= {"text_mask": np.ones((1, 5), "int32"), "has_text": np.ones(1, "int32")}
    gradient = maps_of(_Row(Answers(model), features, 2), 1)["gradient"]
    # logit = mean of the tokens · w: each token's gradient is w / number of tokens.
    of_image = np.maximum(features["image_tokens"][0] @ weights[:24, 1] / 16, 0).reshape(4, 4)
    of_text = features["text_tokens"][0] @ weights[24:, 1] / 5
    np.testing.assert_allclose(gradient.values, of_image, rtol=1e-4, atol=1e-6)
    expected = [of_text[1], of_text[2] + of_text[3]]
    np.testing.assert_allclose(gradient.word_values, expected, rtol=1e-4, atol=1e-6)


def test_gradients_are_finite_differences(model, rng):
    shapes = {"image_tokens": (1, 16, 24), "text_tokens": (1, 5, 16)}
    tokens = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    masks = {"image_mask": np.ones((1, 16), "int32"), "text_mask": np.ones((1, 5), "int32")}
    masks |= {"has_image": np.ones(1, "int32"), "has_text": np.ones(1, "int32")}
    index, step = 1, 1e-2

    def logit(tokens):
        pooled = {name.replace("tokens", "pooled"): v.mean(axis=1) for name, v in tokens.items()}
        return float(model(tokens | pooled | masks, training=False)[0, index])

    pooled = {name.replace("tokens", "pooled"): value[:, 0] for name, value in tokens.items()}
    features = {name: tf.constant(value) for name, value in (tokens | pooled | masks).items()}
    found = functions_of(model).gradients([], features, tf.constant(index))
    for name, value in tokens.items():
        direction = rng.normal(size=value.shape).astype("float32")
        direction /= np.linalg.norm(direction)
        ends = [logit(tokens | {name: value + sign * step * direction}) for sign in (1, -1)]
        slope = float((found[name].numpy() * direction).sum())
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-3)


def test_maps_of_heads_are_those_of_the_last_layer(model, found):
    encoder = model.text_encoder
    tensors = model.preprocessor({"text": np.array([TEXT.encode()])})
    length = int(tensors["padding_mask"].numpy().sum())
    inputs = {name: tensors[name][:, :length] for name in ("token_ids", "padding_mask")}
    last = attention_scores(encoder, inputs)[-1].numpy()[0]
    tokens = Text(TEXT, *(tensors[name][0] for name in inputs), model.preprocessor).tokens
    for number, scores in enumerate(last, 1):
        read = scores.astype("float64").mean(axis=0)  # the encoder's vector is the mean of tokens
        expected = [read[places].sum() for places in tokens]
        values = found[1].maps[f"attention_head_text_{number}"].word_values
        np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["test_vit_bert_cross", "pictures alone"])
def test_other_models(name, raw):
    options = {}
    if name == "pictures alone":
        name, options = "test_efficientnet_bert_concat", {"text_at_inference": False}
    one = built(name, raw, **options).explain(
        {key: values[:1] for key, values in raw.items()}, samples=20, grade=False, verbose=0
    )[0]
    total = one.baseline + one.regions.sum() + one.word_values.sum()
    assert total == pytest.approx(one.probabilities.max())
    if options:
        assert one.evidence == "image" and not one.words and one.modality["text"] == 0
    else:
        assert one.maps["attention_rollout"].values.shape == one.maps["attention"].values.shape
        heads = [n for n in one.maps if n.startswith("attention_head_image_")]
        assert len(heads) > 1
        assert all(0 < one.maps[n].values.sum() <= 1 for n in heads)  # the rest is the class token


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regions": (0, 3)}, r"regions=\(0, 3\)"),
        ({"regions": 3}, "regions=3"),
        ({"samples": 3}, "samples=3"),
        ({"seed": -1}, "seed=-1"),
        ({"grade": "yes"}, "grade='yes'"),
        ({"class_name": "owl"}, "class_name='owl'"),
        ({"class_name": [0, 1]}, r"class_name=\[0, 1\]"),
        ({"class_name": np.array([0, 1])}, r"class_name=\[0, 1\]"),
        ({"x": {"images": np.zeros((1, 32, 32, 3))}}, "with tensors"),
    ],
)
def test_what_is_refused(model, rows, options, message):
    with pytest.raises(ValueError, match=message):
        model.explain(**({"x": rows[:1], "verbose": 0} | options))


def test_the_real_encoders(repo):
    model = zoo.build("efficientnet_lite0_minilm_concat", 2, class_names=["cat", "dog"])
    kernel = np.random.default_rng(0).normal(0, 0.05, model.head.kernel.shape)
    model.head.kernel.assign(kernel)
    picture = np.random.default_rng(1).integers(0, 255, (40, 60, 3), "uint8")
    x = [{"image": picture, "text": "The photograph of an Ünïcorn"}]
    one = model.explain(x, samples=40, grade=False, verbose=0)[0]
    assert [word["text"] for word in one.words] == x[0]["text"].split()
    assert one.maps["gradient"].values.shape == (7, 7)
    total = one.baseline + one.regions.sum() + one.word_values.sum()
    assert total == pytest.approx(softmax(model.predict(x, verbose=0)).max(), abs=1e-5)
