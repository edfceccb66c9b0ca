"""TFDS data sets: features found, pictures kept encoded, splits made where they lack."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tatl_keras import data
from tatl_keras.data import tfds_features, tfds_source

PER_SPLIT = {"train": 20, "validation": 6, "test": 4}


def pixels(split, i):
    return np.full((4, 6, 3), 10 * i + len(split), np.uint8)


class TatlMini(tfds.core.GeneratorBasedBuilder):
    """Twenty-odd pictures with every kind of feature; three splits."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(encoding_format="png"),
            "mask": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["cat", "big_dog", "cow"]),
            "species": tfds.features.ClassLabel(num_classes=2),
            "caption": tfds.features.Text(),
            "tags": tfds.features.Sequence(tfds.features.Text()),
            "breed": tfds.features.Text(),
            "number": np.int32,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in PER_SPLIT}

    def _generate_examples(self, split):
        for i in range(PER_SPLIT[split]):
            yield (
                i,
                {
                    "image": pixels(split, i),
                    "mask": pixels(split, i)[..., :1],
                    "label": i % 2,
                    "species": 0,
                    "caption": f"{split} no. {i}" if i else " ",
                    "tags": ["a", "b"][: i % 3],
                    "breed": ["x", "y"][i % 2] if split == "train" else "z",
                    "number": i,
                },
            )


class TatlWhole(tfds.core.GeneratorBasedBuilder):
    """Ten pictures in one split, of two pictures each and no text; a label is unknown."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "left": tfds.features.Image(encoding_format="png"),
            "right": tfds.features.Image(encoding_format="png"),
            "kind": tfds.features.ClassLabel(names=["p", "q"]),
            "group": np.int32,
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"full": self._generate_examples()}

    def _generate_examples(self):
        for i in range(11):
            picture = pixels("full", i)
            kind = -1 if i == 10 else i % 2
            yield i, {"left": picture, "right": picture, "kind": kind, "group": i // 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("tfds"))


@pytest.fixture
def load(folder):
    def load_quietly(name, *args, **kwargs):
        return data.load(f"tfds:{name}", *args, data_dir=folder, verbose=False, **kwargs)

    return load_quietly


def numbers(dataset):
    return [int(x["text"].numpy().decode().split()[-1] or 0) for x, _ in dataset]


def test_given_splits(load):
    train, test = load("tatl_mini", text="caption")
    assert (len(train), len(test)) == (20, 4) and len(list(train)) == 20
    assert train.class_names == ["cat", "big_dog", "cow"]
    assert train.summary["class_counts"] == {"cat": 10, "big_dog": 10, "cow": 0}
    assert train.summary["missing_text"] == 1
    assert train.summary["columns"] == {
        "image": "image",
        "text": "caption",
        "label": "label",
        "group": None,
        "split": "TFDS splits",
        "id": None,
    }
    assert train.ids[:2] == ["train/1", "train/2"] and len(set(train.ids)) == 20
    for x, y in train:
        text = x["text"].numpy().decode()
        i = int(text.split()[-1]) if text else 0
        picture = x["image"].numpy()
        assert picture.startswith(b"\x89PNG"), "still encoded"
        np.testing.assert_array_equal(tf.io.decode_png(picture), pixels("train", i))
        assert int(y) == i % 2 and y.dtype == tf.int32


def test_the_order_never_changes(load):
    first, again = (load("tatl_mini", "train", text="caption") for _ in range(2))
    texts = [[x["text"].numpy() for x, _ in d] for d in (first, again, first)]
    assert texts[0] == texts[1] == texts[2]
    assert first.summary["fingerprint"] == again.summary["fingerprint"]


def test_a_validation_split_is_not_mixed_with_another(load):
    names = ("train", "validation", "test")
    assert [len(d) for d in load("tatl_mini", names, text="caption")] == [20, 6, 4]
    assert len(load("tatl_mini", "all", text="caption")) == 30


def test_which_of_several_features(load):
    with pytest.raises(
        ValueError, match="`text` must be named.*tfds:tatl_mini has 'caption', 'tags'"
    ):
        load("tatl_mini")
    tags = load("tatl_mini", "test", text="tags")
    assert sorted(x["text"].numpy() for x, _ in tags) == [b"", b"", b"a", b"a, b"]
    by_species = load("tatl_mini", "test", text="caption", label="species")
    assert by_species.class_names == ["0", "1"]
    masks = load("tatl_mini", "test", text="caption", image="mask")
    assert tf.io.decode_png(next(iter(masks))[0]["image"]).shape == (4, 6, 1)
    only_text = load("tatl_mini", "test", text="caption", image=False, on_bad="skip")
    assert only_text.summary["missing_image"] == len(only_text) == 3
    with pytest.raises(ValueError, match="`image` must be one of .*'image', 'mask'.*image='imag'"):
        load("tatl_mini", image="imag")
    with pytest.raises(ValueError, match="`image` must be named.*'left', 'right'"):
        load("tatl_whole")


def test_text_labels_are_defined_by_the_training_split(load):
    arguments = dict(text="caption", label="breed")
    assert load("tatl_mini", "train", **arguments).class_names == ["x", "y"]
    with pytest.raises(ValueError, match="unknown label: 'z' is not among x, y"):
        load("tatl_mini", "test", **arguments)
    test = load("tatl_mini", "test", **arguments, class_names=["z"])
    assert [int(y) for _, y in test] == [0] * 4


def test_one_split_is_divided(load):
    train, test = load("tatl_whole", image="left", on_bad="skip")
    assert len(train) + len(test) == 10
    both = train.ids + test.ids
    assert len(set(both)) == 10 and all(i.startswith("full/") for i in both)
    assert train.summary["skipped_counts"] == {"no label": 1}
    assert "full divided by seed 0: train 0.8, test 0.2" in train.summary["notes"]
    seen = {"train": set(), "test": set()}
    for name, dataset in (("train", train), ("test", test)):
        for x, _ in dataset:
            i = (int(tf.io.decode_png(x["image"])[0, 0, 0]) - 4) // 10
            seen[name].add(i // 2)
    assert len(test) == len(list(test)) and not seen["train"] & seen["test"], "groups are whole"
    with pytest.raises(ValueError, match="1 bad rows among 11 .1 no label"):
        load("tatl_whole", image="left")


def test_class_names_as_text_are_never_a_default(load):
    plain = load("tatl_whole", "all", image="left", on_bad="skip")
    assert {x["text"].numpy() for x, _ in plain} == {b""}
    told = load("tatl_mini", "test", text=False, text_from_class=True)
    assert {x["text"].numpy() for x, _ in told} == {b"cat", b"big dog"}


def test_lists_of_ids(load):
    wanted = {"train": ["train/2", "validation/1"], "test": ["test/4"]}
    train, test = load("tatl_mini", wanted, text="caption")
    assert train.ids == ["train/2", "validation/1"] and len(list(train)) == 2
    everything = load("tatl_mini", "all", text="caption")
    texts = dict(zip(everything.ids, (x["text"].numpy() for x, _ in everything), strict=True))
    for dataset in (train, test):
        for i, (x, _) in zip(dataset.ids, dataset, strict=True):
            split, place = i.split("/")
            text = x["text"].numpy().decode()
            number = int(text.split()[-1]) if text else 0
            picture = tf.io.decode_png(x["image"])
            np.testing.assert_array_equal(picture, pixels(split, number), f"{i} at {place}")
            assert text.encode() == texts[i]


def test_without_labels(load):
    found = load("tatl_mini", "test", text="caption", label=False)
    assert set(found.element_spec) == {"image", "text"} and found.class_names is None


def test_bad_pictures_are_found(load, monkeypatch):
    real = tfds_source._features

    def damaged(builder, split, wanted):
        cut = lambda x: x | {"image": tf.strings.substr(x["image"], 0, 60)}  # noqa: E731
        return real(builder, split, wanted).map(cut if "image" in wanted else lambda x: x)

    monkeypatch.setattr(tfds_source, "_features", damaged)
    with pytest.raises(ValueError, match="tfds:tatl_mini has 4 bad rows.*4 unreadable picture"):
        load("tatl_mini", "test", text="caption")
    assert len(load("tatl_mini", "test", text="caption", verify="header")) == 4


@pytest.mark.parametrize("by_area", [True, False])
def test_the_label_is_that_of_the_largest_object(by_area):
    boxes = np.array([[0, 0, 0.5, 0.4], [0.1, 0.1, 0.9, 0.5], [0, 0, 0.1, 1]], "float32")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    def example(count):
        sizes = {"area": (1e6 * areas).astype("int64")} if by_area else {"bbox": boxes}
        found = {"label": np.array([5, 7, 2])} | sizes
        return {"seen": {k: tf.constant(v[:count]) for k, v in found.items()}}

    read = [int(tfds_features.read(example(n), "seen/label", is_class=True)) for n in range(4)]
    assert read == [-1, 5, 7, 7] and areas.argmax() == 1


def test_lists_of_lists_are_not_texts():
    text = tfds.features.Text()
    features = {
        "pages": tfds.features.Sequence({"title": text, "words": tfds.features.Sequence(text)}),
        "about": {"author": text, "tags": tfds.features.Sequence(text)},
    }
    found = dict(tfds_features._nested(tfds.features.FeaturesDict(features)))
    assert set(found) == {"pages/title", "about/author", "about/tags"}
    assert set(tfds_features._named_only("text", found)) == set(found)


def test_arguments_that_tfds_does_not_take(load):
    with pytest.raises(ValueError, match="`where` must be None.*where={'a': 1}"):
        load("tatl_mini", where={"a": 1})
    with pytest.raises(ValueError, match="`split` must be None.*split='fold'"):
        load("tatl_mini", split="fold")
    with pytest.raises(ValueError, match="`splits` must be among .*splits='holdout'"):
        load("tatl_mini", ("train", "holdout"), text="caption")


def test_unknown_names(load):
    with pytest.raises(ValueError, match="source='tfds:oxford_flower102'.*oxford_flowers102"):
        load("oxford_flower102")


def test_without_a_network_it_says_so_at_once(load):
    with pytest.raises(RuntimeError, match="flowers102 is not under (.|\n)*data_dir=…") as e:
        load("oxford_flowers102")
    assert "Tests must not look up hosts" in str(e.value), "and not after minutes of trying"
