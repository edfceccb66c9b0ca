"""What the recipes for TFDS sets cost, worked out from what benchmarks/ measured."""

import csv
import dataclasses

from tests.project import source

RESULTS = source.REPO / "benchmarks" / "results"
# Multiplications of a transformer for one token: layers · 12 · channels².
_VIT_B16 = 197 * 12 * 12 * 768**2
_MINILM_TOKEN = 6 * 12 * 384**2
_BYTES = 4  # of a float32


@dataclasses.dataclass(frozen=True)
class Facts:
    """A data set and how its recipe reads it.

    Attributes:
        train, test: pictures to learn from, and to be asked about.
        classes: how many there are.
        downloads: what TFDS fetches, by the last parts of the addresses.
        encoder: whose pictures a second count, as benchmarks/results/encoders.csv names it.
        channels: of picture and text features together.
        tokens: of each text; 0 where there are none.
        epochs: of training in steps; 0 where the head is solved.
    """

    train: int
    test: int
    classes: int
    downloads: tuple
    encoder: str
    channels: int
    tokens: int = 0
    epochs: int = 0


COCO = ("train2014.zip", "val2014.zip", "test2014.zip", "test2015.zip", "caption_datasets.zip")
COCO += ("annotations_trainval2014.zip", "image_info_test2014.zip", "image_info_test2015.zip")
FACTS = {
    "oxford_flowers102": Facts(
        1020, 6149, 102, ("102flowers.tgz", "imagelabels.mat", "setid.mat"), "vit_b16", 512
    ),
    "caltech_birds2011": Facts(
        5994,
        5794,
        200,
        ("CUB_200_2011.tgz?download=1", "segmentations.tgz?download=1"),
        "vit_b16",
        512,
    ),
    "food101": Facts(
        75750, 25250, 101, ("food-101.tar.gz",), "efficientnet_lite0", 1280, epochs=30
    ),
    "coco_captions": Facts(82783, 5000, 80, COCO, "efficientnet_lite0", 1280 + 384, 80, 30),
}


def download_bytes(name):
    """What TFDS's own list of files says the downloads take."""
    import tensorflow_datasets as tfds

    sizes = {str(url): info.size for url, info in tfds.builder(name).url_infos.items()}
    found = {
        url: size for url, size in sizes.items() if url.split("/")[-1] in FACTS[name].downloads
    }
    assert len(found) == len(FACTS[name].downloads), sorted(found)
    return sum(int(size) for size in found.values())


def encoding_seconds(name):
    """All pictures once on two cores: reading them, their encoder and that of their texts."""
    facts = FACTS[name]
    texts = facts.tokens * _MINILM_TOKEN / (_VIT_B16 * _rate("encoders", "vit_b16", "float32"))
    picture = 1 / _rate("encoders", facts.encoder, "float32") + 1 / _jpegs()
    return (facts.train + facts.test) * (picture + texts)


def training_seconds(name):
    """The epochs on features in memory, by the rows of the epochs that were measured."""
    facts = FACTS[name]
    seconds = _rate("feature_cache", "efficientnet_lite0", "memory_seconds", value="median")
    return facts.epochs * facts.train * seconds / 1024


def lines(name):
    """The lines with numbers that a recipe's header must hold."""
    facts = FACTS[name]
    pictures = facts.train + facts.test
    found = [
        f"# Pictures: {facts.train:,} to learn from, {facts.test:,} to be asked about; "
        f"{facts.classes} classes.",
        f"# Download: {_size(download_bytes(name))}, once; what TFDS makes of it comes on top.",
        f"# Two CPU cores: {_minutes(encoding_seconds(name))} to encode all pictures, once.",
    ]
    if facts.epochs:
        found.append(f"# {facts.epochs} epochs on features: {_minutes(training_seconds(name))}.")
    return [
        *found,
        "# One GPU: not measured; two cores that read JPEGs for it need "
        f"{_minutes(pictures / _jpegs())}.",
        f"# Features: {_size(pictures * facts.channels * _BYTES)}, kept for later runs with "
        "--feature_cache=FOLDER.",
    ]


def _jpegs():
    return _rate("input_pipeline", "jpeg", "bilinear", value="ours_per_second")


def _rate(file, *words, value="pictures_per_second"):
    """A number of the first row of a results file that holds the words."""
    with open(RESULTS / f"{file}.csv", encoding="utf-8", newline="") as opened:
        for row in csv.DictReader(opened):
            if set(words) <= set(row.values()):
                return float(row[value])
    raise ValueError(f"{file}.csv has no row with {words}")


def _minutes(seconds):
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{max(seconds / 60, 0.1):.{0 if seconds >= 600 else 1}f} minutes"


def _size(count):
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
