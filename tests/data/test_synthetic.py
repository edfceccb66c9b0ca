"""Synthetic examples: deterministic, learnable, and the same as files or in memory."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data
from tatl_keras.data import synthetic


def arrays(dataset):
    images, texts, labels = zip(
        *((x["image"].numpy(), x["text"].numpy(), int(y)) for x, y in dataset), strict=True
    )
    return list(images), list(texts), list(labels)


def test_the_form_of_load():
    made = synthetic.examples(num_classes=3, num_examples=10, size=17)
    assert made.element_spec == (
        {"image": tf.TensorSpec([], tf.string), "text": tf.TensorSpec([], tf.string)},
        tf.TensorSpec([], tf.int32),
    )
    assert len(made) == 10 and len(made.class_names) == 3 and len(set(made.ids)) == 10
    assert made.summary["class_counts"] == dict(zip(made.class_names, [4, 3, 3], strict=True))
    image = tf.io.decode_png(next(iter(made))[0]["image"])
    assert image.shape == (17, 17, 3)


def test_seeds():
    first, again, other = (arrays(synthetic.examples(4, 12, seed)) for seed in (5, 5, 6))
    assert first == again and first[0] != other[0] and first[2] == other[2]
    prints = [synthetic.examples(4, 12, s).summary["fingerprint"] for s in (5, 5, 6)]
    assert prints[0] == prints[1] != prints[2]


def test_class_names_are_different_and_stable():
    for number in (2, 8, 9, 32):
        names = synthetic.class_names(number)
        assert len(set(names)) == number and names == sorted(names)
    for number in (1, 33):
        with pytest.raises(ValueError, match=f"`num_classes` must be .*num_classes={number}"):
            synthetic.examples(num_classes=number)


@pytest.mark.parametrize("kind", ["copy", "reverse"])
def test_pairs_follow_their_rule(kind):
    made = synthetic.pairs(kind, 400, seed=3, length=(2, 5), vocabulary=7)
    texts = [x["text"].numpy().decode().split() for x in made]
    targets = [x["target"].numpy().decode().split() for x in made]
    assert targets == ([text[::-1] for text in texts] if kind == "reverse" else texts)
    assert len(set(map(tuple, texts))) == len(made) == len(set(made.ids)) == 400
    lengths = np.bincount([len(text) for text in texts])
    assert set(np.flatnonzero(lengths)) == {2, 3, 4, 5}
    assert len({word for text in texts for word in text}) == 7
    again = synthetic.pairs(kind, 400, seed=3, length=(2, 5), vocabulary=7)
    assert again.summary == made.summary and again.rows.equals(made.rows)
    assert len(synthetic.pairs(kind, 4, length=2, vocabulary=2)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "sort"}, "`kind` must be 'copy' or 'reverse'. .*kind='sort'"),
        ({"vocabulary": 1}, "`vocabulary` must be .*vocabulary=1"),
        ({"vocabulary": 96}, "`vocabulary` must be from 2 to 95.*vocabulary=96"),
        ({"length": 0}, "`length` must be .*length=0"),
        ({"length": (3, 2)}, r"`length` must be .*length=\(3, 2\)"),
        ({"num_examples": 5, "length": 2, "vocabulary": 2}, "num_examples=5 of vocabulary=2"),
    ],
)
def test_wrong_arguments_of_pairs(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic.pairs(**arguments)


def test_missing_shares():
    made = synthetic.examples(2, 1000, missing_text=0.2, missing_image=0.3, size=16)
    images, texts, _ = arrays(made)
    no_text, no_image = ([not v for v in values] for values in (texts, images))
    assert made.summary["missing_text"] == sum(no_text)
    assert abs(np.mean(no_text) - 0.2) < 0.05 and abs(np.mean(no_image) - 0.3) < 0.06
    assert not any(a and b for a, b in zip(no_text, no_image, strict=True))


def test_texts_tell_colour_or_shape_or_neither():
    made = synthetic.examples(8, 600, missing_text=0, size=16)
    _, texts, labels = arrays(made)
    found = {"colour": 0, "shape": 0, "neither": 0}
    for text, label in zip(texts, labels, strict=True):
        colour, shape = made.class_names[label].split()
        words = text.decode().replace(",", "").split()
        assert not (colour in words and shape in words)
        kind = "colour" if colour in words else "shape" if shape in words else "neither"
        found[kind] += 1
    assert all(abs(count - 200) < 60 for count in found.values()), found


def test_pictures_can_be_learned():
    """The nearest class mean of a few colour statistics, learned on one seed, holds on another."""

    def features(dataset):
        pixels = [tf.io.decode_png(image).numpy() / 255.0 for image in arrays(dataset)[0]]
        darkest = [p.reshape(-1, 3)[np.argsort(p.min(-1).ravel())[:60]].mean(0) for p in pixels]
        return np.array(darkest), np.array(arrays(dataset)[2])

    x, y = features(synthetic.examples(4, 80, 1))
    z, labels = features(synthetic.examples(4, 80, 2))
    means = np.stack([x[y == c].mean(0) for c in range(4)])
    found = ((z[:, None] - means) ** 2).sum(-1).argmin(1)
    assert (found == labels).mean() > 0.95


@pytest.mark.parametrize("format", synthetic.FORMATS)
def test_files_hold_the_same_examples(tmp_path, format):
    made = synthetic.examples(3, 14, 2)
    path = synthetic.write_manifest(str(tmp_path / "new"), 3, 14, 2, format=format)
    loaded = data.load(path, "all", verbose=False)
    assert loaded.class_names == made.class_names
    assert sorted(zip(*arrays(loaded), strict=True)) == sorted(zip(*arrays(made), strict=True))
    if format != "folder":
        assert arrays(loaded) == arrays(made) and loaded.ids == made.ids


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match="`format` must be one of .*format='xml'"):
        synthetic.write_manifest(str(tmp_path), format="xml")
    with pytest.raises(ValueError, match="`missing_image` must be 0 .*missing_image=0.1"):
        synthetic.write_manifest(str(tmp_path), format="folder", missing_image=0.1)
    with pytest.raises(ValueError, match="`size` must be at least 16 .*size=8"):
        synthetic.examples(size=8)
