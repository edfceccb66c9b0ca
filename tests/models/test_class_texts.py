"""Classes known by their texts: heads that start from them, classes that are added, exports."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, fusion, models, serving, zoo
from tatl_keras.models.class_texts import with_class_texts

NAMES = ["blue circle", "green triangle", "red square"]
TEXTS = {"blue circle": "a blue circle", 1: ["green", "three corners"], "red square": ["a square"]}
PAIRS = [(0, "a blue circle"), (1, "green"), (1, "three corners"), (2, "a square")]
STAR = {"star": ["a star", "five points"]}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def encoded(model, texts):
    """Unit text features in float64."""
    tensors = model.preprocessor.text_tensors(tf.constant(texts))
    return unit(model.text_encoder(tensors)["pooled"].numpy().astype("float64"))


def embeddings(model, *texts):
    return np.stack([unit(encoded(model, some).mean(axis=0)) for some in texts])


@pytest.fixture(scope="module")
def readers():
    """A class-text head and a linear head on text alone, described, not trained."""
    found = []
    for head in ("class_texts", "linear"):
        model = zoo.build("test_bert_text_only", 3, head=head, class_texts=TEXTS, seed=0)
        assert model.class_texts == TEXTS  # waits for the names
        texts = tf.data.Dataset.from_tensor_slices([*NAMES, *(text for _, text in PAIRS)])
        model.preprocessor.adapt(texts, model.text_encoder.vocabulary_size)
        model.class_names = NAMES
        found.append(model)
    return found


def test_an_untrained_model_takes_the_nearest_class_text(readers):
    x = ["a blue square", "corners", "green circle a"]
    for model in readers:
        e = embeddings(model, ["a blue circle"], ["green", "three corners"], ["a square"])
        expected = 20 * encoded(model, x) @ e.T
        np.testing.assert_allclose(model.predict({"text": x}, verbose=0), expected, atol=1e-4)
        assert model.class_texts == {0: ["a blue circle"], 1: TEXTS[1], 2: ["a square"]}
    assert readers[0].head.embeddings.shape == (3, 16)
    assert not readers[0].head.embeddings.trainable and readers[0].head.kernel.trainable


def test_class_texts_are_examples_behind_the_others(readers):
    for weights in (None, [0.5, 3.0]):
        x = {"image": [b"", b""], "text": ["one", "two"]}
        examples = tf.data.Dataset.from_tensor_slices((x, [2, 0], *([weights] * bool(weights))))
        rows = list(with_class_texts(readers[1], examples).as_numpy_iterator())
        assert all(x["image"] == b"" for x, *_ in rows)
        assert [x["text"].decode() for x, *_ in rows] == ["one", "two"] + [t for _, t in PAIRS]
        assert [y for _, y, _ in rows] == [2, 0] + [label for label, _ in PAIRS]
        assert [w for *_, w in rows] == [*(weights or [1, 1]), 1, 0.5, 0.5, 1]
        assert with_class_texts(readers[0], examples) is examples  # its head knows them already
    with pytest.raises(ValueError, match=r"one by one, .*Received: x with .*shape=\(None,\)"):
        with_class_texts(readers[1], examples.batch(2))
    with pytest.raises(ValueError, match="raw examples for class texts.*Received: tensors"):
        readers[1].fit({"text_pooled": np.ones((2, 16)), "has_text": [1, 1]}, [0, 1], verbose=0)


def test_fit_weighs_the_texts_of_a_class_as_one_example():
    """A step of gradient descent on all rows at once, in NumPy."""
    model = zoo.build("test_bert_text_only", 3, seed=0, class_names=NAMES, compile=False)
    model.compile(keras.optimizers.SGD(0.1))
    x, y = ["a red thing", "green thing"], [2, 1]
    model.fit({"text": x}, y, class_texts=TEXTS, batch_size=6, verbose=0)
    rows = 16 * encoded(model, x + [text for _, text in PAIRS])
    targets = np.eye(3)[y + [label for label, _ in PAIRS]]
    weights = np.array([1, 1, 1, 0.5, 0.5, 1])[:, None]
    start = 20 / 16 * embeddings(model, ["a blue circle"], TEXTS[1], ["a square"]).T
    logits = rows @ start
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    expected = start - 0.1 / 6 * rows.T @ (weights * (shares - targets))
    np.testing.assert_allclose(model.head.kernel, expected, atol=1e-4)
    np.testing.assert_allclose(model.prior.counts, [1, 2, 2])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A class-text head on pictures and text, far from its start; raw examples; an export."""
    examples = data.synthetic.examples(3, 6, seed=1, missing_text=0.3)
    model = zoo.build("test_efficientnet_bert_concat", 3, head="class_texts", seed=0)
    assert model.class_texts == "names"
    texts = examples.map(lambda x, y: x["text"])
    model.preprocessor.adapt(texts, model.text_encoder.vocabulary_size)
    model.class_names = examples.class_names
    rng = np.random.default_rng(0)
    for name, size in (("kernel", 0.3), ("projection_bias", 1.0)):
        weight = getattr(model.head, name)
        weight.assign(size * rng.normal(size=weight.shape))
    model.head.new_class_bias.assign(0.7)
    directory = tmp_path_factory.mktemp("exported") / "1"
    model.export(directory)
    return model, examples, directory


def test_classes_are_added_by_their_texts_alone(trained, tmp_path):
    model, examples, directory = trained
    x = model.encode(next(iter(model.preprocessor.dataset(examples, 6)))[0])
    z = model.fusion(x).numpy().astype("float64")
    z = z @ model.head.kernel.numpy() + model.head.projection_bias.numpy()
    images, texts = ([row[key].numpy() for row, _ in examples] for key in ("image", "text"))
    answer = serving.load(directory).classify_with_texts(images, texts, [*NAMES, STAR["star"]])

    copy = type(model).from_config(model.get_config())  # the fixture stays as it is
    copy.preprocessor.tokenizer.set_vocabulary(model.preprocessor.tokenizer.vocabulary)
    copy.set_weights(model.get_weights())
    before = copy.predict(x, verbose=0)
    copy.fit(x, np.zeros(6), verbose=0, sample_weight=np.zeros(6))
    copy.add_classes(STAR)
    after = copy.predict(x, verbose=0)
    np.testing.assert_array_equal(after[:, :3], before)
    expected = 20 / 16 * z @ embeddings(model, STAR["star"])[0] + 0.7
    np.testing.assert_allclose(after[:, 3], expected, atol=1e-3)
    np.testing.assert_allclose(answer["logits"], after, atol=1e-3)
    named = [*NAMES, "a star"]
    assert [label.decode() for label in answer["label"]] == [named[i] for i in after.argmax(1)]
    assert copy.class_names == [*NAMES, "star"] and copy.class_texts[3] == STAR["star"]
    assert copy.num_classes == 4 and copy.prior.counts.numpy()[3] == 0
    copy.save(tmp_path / "model.keras")
    copy.save_to_preset(tmp_path / "preset")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for other in (loaded, zoo.from_preset(tmp_path / "preset")):
        np.testing.assert_array_equal(other.predict(x, verbose=0), after)
        assert other.class_names == copy.class_names and other.class_texts == copy.class_texts
    copy.add_classes({"ring": "a ring"}, bias=-2.0)
    np.testing.assert_array_equal(copy.head.bias, np.array([0, 0, 0, 0.7, -2], "float32"))
    copy.fit(x, np.full(6, 4), verbose=0)  # the traced step and the optimizer know the new head
    assert copy.prior.counts.numpy().tolist() == [0, 0, 0, 0, 6]


def test_an_export_says_what_is_wrong_with_class_texts(trained):
    *_, directory = trained
    loaded = tf.saved_model.load(directory)
    assert {"classify_with_texts", "serving_default"} < set(loaded.signatures)
    rows = {"image_bytes": tf.constant([b""] * 3), "text": tf.constant(["a", "b", ""])}
    ask = loaded.signatures["classify_with_texts"]
    one = ask(**rows, class_texts=tf.constant([[["a"], ["b"]]] * 3))
    same = ask(**rows, class_texts=tf.constant([[["b"], ["a"]]]))
    np.testing.assert_allclose(one["logits"], same["logits"][:, ::-1], atol=1e-5)
    np.testing.assert_array_equal(one["logits"][2], [0, 0])  # of which nothing is known
    np.testing.assert_array_equal(one["probabilities"][2], [0, 0])
    assert one["valid"].numpy().tolist() == [True, True, False]
    assert one["evidence"].numpy().tolist() == [b"text", b"text", b"none"]
    for texts, message in (
        ([[["a"], [" "]]], "a text for each class"),
        ([[["a"]], [["b"]]], "one row, or one for each picture"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            ask(**rows, class_texts=tf.constant(texts))
    with pytest.raises(ValueError, match=r"none of them blank. Received: class_texts=\['a', ' '\]"):
        serving.load(directory).classify_with_texts([b""], ["a"], ["a", " "])


def test_refusals(readers):
    head, linear = readers
    with pytest.raises(ValueError, match="Received: head=Dense"):
        linear.add_classes(STAR)
    with pytest.raises(ValueError, match=r"Received: \['blue circle'\]"):
        head.add_classes({"blue circle": "blue"})
    with pytest.raises(ValueError, match="Received: ' ' for class 'star'"):
        head.add_classes({"star": [" "]})
    with pytest.raises(ValueError, match=r"no text for \['red square'\]"):
        head.class_texts = {0: "a", 1: "b"}
    with pytest.raises(ValueError, match="Received: head='class_texts' with no text encoder"):
        zoo.build("test_efficientnet_image_only", 2, head="class_texts")
    with pytest.raises(ValueError, match="reads no text. Received: class_texts='names'"):
        zoo.build("test_efficientnet_image_only", 2, class_texts="names")
    with pytest.raises(ValueError, match="Received: scale=0"):
        models.ClassTextHead(2, scale=0)
    with pytest.raises(ValueError, match="5.*Received: projection_dim=7"):
        models.ClassTextHead(2, 7, text_start=True).build((None, 5))
    with pytest.raises(ValueError, match="Received: text_start=True"):
        models.ClassTextHead(2, text_start=True)
    with pytest.raises(ValueError, match=r"2 rows of 3 .*shape=\(2, 4\)"):
        built = models.ClassTextHead(2)
        built.build((None, 3))
        built.embed(np.eye(4)[:2])


def test_text_may_be_there_for_the_class_texts_alone(readers):
    text_encoder = readers[0].text_encoder
    image_encoder = zoo.build("test_efficientnet_image_only", 2).image_encoder
    head = models.ClassTextHead(3, text_encoder.output_dim)
    single = fusion.SingleModality("image")
    model = models.TextAssistedClassifier(
        image_encoder, text_encoder, single, 3, head=head, class_names=NAMES, class_texts=TEXTS,
        preprocessor=readers[0].preprocessor,
    )  # fmt: skip
    assert list(model.encoders) == ["image"] and model.head.has_embeddings
    features = {"image_pooled": np.ones((1, 24)), "has_image": np.array([1])}
    np.testing.assert_array_equal(model(features), np.zeros((1, 3)))  # pictures: to be learned
    with pytest.raises(ValueError, match=r"must read what the encoders give.*reads \['image'\]"):
        models.TextAssistedClassifier(
            image_encoder, text_encoder, fusion.SingleModality("image"), 3
        )
