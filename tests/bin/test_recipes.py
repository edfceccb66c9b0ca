"""The recipes for TFDS sets: their numbers, their flags on the real features, their smoke mode."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import flags
from absl.testing import flagsaver

from tatl_keras import data
from tatl_keras.bin import common, data_flags, train
from tests.bin.conftest import succeed
from tests.project import recipe_costs
from tests.project.source import REPO

RECIPES = sorted((REPO / "docs" / "recipes").glob("*.flags"))
PICTURE = np.full((8, 8, 3), 90, np.uint8)
KINDS = ("person", "bicycle", "car")


def objects(*found):
    """Objects of COCO as (kind, area, height of the box)."""
    return [
        {
            "id": 1,
            "area": area,
            "bbox": tfds.features.BBox(0.0, 0.0, height, 1.0),
            "label": KINDS.index(kind),
            "is_crowd": False,
        }
        for kind, area, height in found
    ]


def captions(*texts):
    return [{"id": 1, "text": text} for text in texts]


def coco(name, found, *texts):
    return {"image": PICTURE, "image/filename": name, "image/id": 1} | {
        "objects": objects(*found),
        "captions": captions(*texts),
    }


def bird(name):
    return {
        "image": PICTURE,
        "image/filename": "1.jpg",
        "label": 7,
        "label_name": name,
        "bbox": tfds.features.BBox(0.0, 0.0, 1.0, 1.0),
        "segmentation_mask": PICTURE[..., :1],
    }


# What each split holds: a few examples with all features that TFDS gives this set.
EXAMPLES = {
    "oxford_flowers102": {
        "train": [{"image": PICTURE, "label": 3, "file_name": "image_00001.jpg"}],
        "validation": [{"image": PICTURE, "label": 4, "file_name": "image_00002.jpg"}],
        "test": [{"image": PICTURE, "label": 101, "file_name": "image_00003.jpg"}],
    },
    "food101": {
        "train": [{"image": PICTURE, "label": 0}, {"image": PICTURE, "label": 100}],
        "validation": [{"image": PICTURE, "label": 1}],
    },
    "caltech_birds2011": {
        "train": [bird("yellow_billed_cuckoo"), bird("laysan_albatross")],
        "test": [bird("laysan_albatross")],
    },
    "coco_captions": {
        "train": [
            coco("a", [("car", 3, 0.9), ("bicycle", 7, 0.1)], "A bike.", "Two wheels."),
            coco("b", [], "A field."),
            coco("c", [("person", 5, 0.2)]),
        ],
        "val": [coco("d", [("car", 1, 0.1)], "A car.")],
        "test": [coco("e", [("car", 2, 0.5), ("person", 1, 0.9)], "A bus.")],
        "restval": [coco("f", [("car", 1, 0.1)], "A car.")],
    },
}
EXPECTED = {
    "oxford_flowers102": ([("", "sweet pea")], [("", "blackberry lily")]),
    "food101": ([("", "apple_pie"), ("", "waffles")], [("", "baby_back_ribs")]),
    "caltech_birds2011": (
        [("", "yellow_billed_cuckoo"), ("", "laysan_albatross")],
        [("", "laysan_albatross")],
    ),
    "coco_captions": ([("A bike., Two wheels.", "bicycle"), ("", "person")], [("A bus.", "car")]),
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The four sets with TFDS's own features and made-up examples, prepared where TFDS looks."""
    folder = str(tmp_path_factory.mktemp("tfds"))
    for name, splits in EXAMPLES.items():
        real = type(tfds.builder(name, data_dir=folder))
        with tfds.core.registered.skip_registration():
            made_up = type(real.__name__, (real,), {"name": name})
        builder = made_up(data_dir=folder)

        def generate(dl_manager, splits=splits, builder=builder):
            if "objects" in builder.info.features:
                kinds = [*KINDS, *map(str, range(len(KINDS), 80))]
                builder.info.features["objects"]["label"].names = kinds
            return {split: list(enumerate(rows)) for split, rows in splits.items()}

        builder._split_generators = generate
        builder.download_and_prepare()
    return folder


def load(path, data_dir, *words):
    """The splits that the recipe's flags give `tatl-train`."""
    with flagsaver.flagsaver():
        line = ["tatl-train", f"--flagfile={path}", f"--data_dir={data_dir}", *words]
        assert common.parse(line, train) == []
        names = (flags.FLAGS.train_split, flags.FLAGS.test_split)
        return dict(zip(("train", "test"), data_flags.load(names), strict=True))


def test_every_recipe_has_facts_and_examples():
    names = [path.stem for path in RECIPES]
    assert names == sorted(recipe_costs.FACTS) == sorted(EXAMPLES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_its_numbers_are_those_of_tfds_and_of_the_benchmarks(path):
    text = path.read_text(encoding="utf-8")
    for line in recipe_costs.lines(path.stem):
        assert line in text.splitlines(), f"{path.name} must hold this line"
    features = tfds.builder(path.stem).info.features
    classes = [f for f in tf.nest.flatten(dict(features.items())) if hasattr(f, "num_classes")]
    counts = {f.num_classes for f in classes} or {features["objects"]["label"].num_classes}
    assert counts == {recipe_costs.FACTS[path.stem].classes}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_its_flags_read_the_features_that_tfds_gives(path, data_dir):
    splits = load(path, data_dir)
    found = [splits["train"], splits["test"]]
    for examples, expected in zip(found, EXPECTED[path.stem], strict=True):
        names = examples.class_names
        read = [(x["text"].numpy().decode(), names[int(y)]) for x, y in examples]
        assert read == expected
        assert all(data.decode_image(x["image"]).shape == (8, 8, 3) for x, _ in examples)
    if path.stem != "caltech_birds2011":  # its names come from the rows that are learned from
        assert len(names) == recipe_costs.FACTS[path.stem].classes


def test_pictures_without_objects_are_counted(data_dir):
    path = REPO / "docs" / "recipes" / "coco_captions.flags"
    assert load(path, data_dir)["train"].summary["skipped_counts"] == {"no label": 1}
    with pytest.raises(ValueError, match="1 no label"):
        load(path, data_dir, "--on_bad=error")


def test_features_inside_others_must_be_named(data_dir):
    source = dict(source="tfds:coco_captions", data_dir=data_dir, verbose=False)
    with pytest.raises(ValueError, match="`label` must be named.*label=None"):
        data.load(**source)
    with pytest.raises(ValueError, match="'objects/label'.*label='objects/labels'.*Did you mean"):
        data.load(label="objects/labels", **source)
    with pytest.raises(ValueError, match="'captions/text'.*text='captions/id'"):
        data.load(label=False, text="captions/id", **source)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_its_smoke_mode(path):
    out = succeed("train", f"--flagfile={path}", "--smoke", "--workdir=smoke").out
    assert "smoke: one step on 16 made-up examples" in out and " accuracy " in out
