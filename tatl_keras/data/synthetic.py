"""Small pictures with text, and pairs of texts, that can be learned: for tests and trial runs."""

import json
import os

import numpy as np
import pandas
import tensorflow as tf

from tatl_keras.data import dataset

COLOURS = {
    "blue": (40, 70, 220),
    "red": (220, 40, 40),
    "green": (30, 160, 60),
    "yellow": (235, 210, 30),
    "black": (25, 25, 25),
    "purple": (140, 50, 170),
    "orange": (245, 140, 20),
    "brown": (125, 80, 40),
}
SHAPES = ("circle", "square", "triangle", "cross")
_WORDS = [first + second for second in "aeiou" for first in "bcdfghjklmnprstvwxz"]
FORMATS = ("csv", "tsv", "jsonl", "parquet", "folder")
_PLACES = (("top", "bottom"), ("left", "right"))


def class_names(num_classes):
    """The names of the first classes: a colour and a shape each, in alphabetical order.

    Example:

    >>> class_names(3)
    ['blue circle', 'green triangle', 'red square']
    """
    if not 2 <= num_classes <= len(COLOURS) * len(SHAPES):
        raise ValueError(
            f"`num_classes` must be from 2 to {len(COLOURS) * len(SHAPES)}. "
            f"Received: num_classes={num_classes}"
        )
    colours, shapes = list(COLOURS), len(SHAPES)
    pairs = [(i % len(colours), (i + i // len(colours)) % shapes) for i in range(num_classes)]
    return sorted(f"{colours[colour]} {SHAPES[shape]}" for colour, shape in pairs)


def examples(num_classes=4, num_examples=64, seed=0, *, size=32, missing_text=0.1, missing_image=0):
    """Makes pictures of coloured shapes with text that tells half of the class.

    The text of a row names the colour, the shape or neither ("a small drawing, top left"), a third
    each; so pictures and text help each other. Classes are equally frequent and stand in turn. The
    same arguments give the same bytes; another seed gives other examples of the same classes.

    Args:
        num_classes: int from 2 to 32.
        num_examples: int.
        seed: int.
        size: int, height and width of the pictures in pixels, at least 16.
        missing_text: share of rows whose text is empty.
        missing_image: share of rows whose picture is empty. No row lacks both.

    Returns:
        A `tf.data.Dataset` as `data.load` makes it, with `class_names`, `ids` and `summary`.

    Raises:
        ValueError: `num_classes` or `size` is out of bounds.

    Example:

    >>> some = examples(num_classes=2, num_examples=6)
    >>> some.class_names, [int(label) for _, label in some]
    (['blue circle', 'red square'], [0, 1, 0, 1, 0, 1])
    """
    rows, contents = _draw_rows(num_classes, num_examples, seed, size, missing_text, missing_image)
    names = class_names(num_classes)
    labels = [names.index(label) for label in rows["label"]]
    texts = tf.constant(rows["text"].tolist(), tf.string)
    images = {"image": tf.constant(contents, tf.string), "text": texts}
    made = tf.data.Dataset.from_tensor_slices((images, np.asarray(labels, np.int32)))
    digests = dict(enumerate(tf.strings.as_string(tf.strings.to_hash_bucket(contents, 2**62))))
    digests = {i: digest.numpy().decode() for i, digest in digests.items()}
    summary = {
        "split": "synthetic",
        **dataset.summarise(rows, labels, names),
        "source": f"synthetic, seed {seed}",
        "fingerprint": dataset.fingerprint(rows, names, digests),
    }
    return dataset.attach(made, names, rows["id"].tolist(), summary)


def write_manifest(
    folder,
    num_classes=4,
    num_examples=64,
    seed=0,
    *,
    format="csv",
    size=32,
    missing_text=0.1,
    missing_image=0,
):
    """Writes what `examples` makes as files that `data.load` reads.

    Args:
        folder: where to write; made when it is not there.
        num_classes: as in `examples`; so are the others not listed here.
        num_examples: int.
        seed: int.
        format: `"csv"`, `"tsv"`, `"jsonl"`, `"parquet"` with columns image, text, label and id; or
            `"folder"`, a folder per class with `.txt` files beside the pictures.
        size: int.
        missing_text: float.
        missing_image: float. Must be 0 for `"folder"`.

    Returns:
        The path of the manifest, or the folder.

    Raises:
        ValueError: `format` is unknown, or the pictures of a folder are to be missing.

    Example:

    >>> import os, tempfile
    >>> os.path.basename(write_manifest(tempfile.mkdtemp(), 2, 4, format="jsonl"))
    'manifest.jsonl'
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {FORMATS}. Received: format={format!r}")
    if format == "folder" and missing_image:
        raise ValueError(
            "`missing_image` must be 0 for folders, where each example is a picture. "
            f"Received: missing_image={missing_image}"
        )
    rows, contents = _draw_rows(num_classes, num_examples, seed, size, missing_text, missing_image)
    root = folder if format == "folder" else os.path.join(folder, "images")
    for row, picture in zip(rows.itertuples(), contents, strict=True):
        parent = os.path.join(root, row.label) if format == "folder" else root
        tf.io.gfile.makedirs(parent)
        if picture:
            _write(os.path.join(parent, f"{row.id}.png"), picture)
        if format == "folder" and row.text:
            _write(os.path.join(parent, f"{row.id}.txt"), row.text.encode())
    if format == "folder":
        return folder
    path = os.path.join(folder, f"manifest.{format}")
    rows["image"] = [f"images/{name}.png" if name else "" for name in rows["image"]]
    if format == "jsonl":
        lines = [json.dumps(record) for record in rows.to_dict("records")]
        _write(path, ("\n".join(lines) + "\n").encode())
    elif format == "parquet":
        rows.to_parquet(path, index=False)
    else:
        rows.to_csv(path, index=False, sep="\t" if format == "tsv" else ",")
    return path


def pairs(kind="copy", num_examples=64, seed=0, *, length=(2, 6), vocabulary=20):
    """Makes pairs of texts whose rule can be learned exactly.

        copy       "ba di mu" → "ba di mu"
        reverse    "ba di mu" → "mu di ba"

    Words are drawn evenly, lengths too. No two texts are equal: what is held out was not seen.

    Args:
        kind: "copy" or "reverse".
        num_examples: int.
        seed: int.
        length: pair of ints, the fewest and the most words of a text; or one int for both.
        vocabulary: int from 2 to 95, how many words there are.

    Returns:
        A `tf.data.Dataset` as `data.load_pairs` makes it, with `ids`, `rows` and `summary`.

    Raises:
        ValueError: an argument is out of bounds, or there are not so many different texts.

    Example:

    >>> made = pairs("reverse", 2, length=3)
    >>> made.rows[["text", "target"]].values.tolist()
    [['xa ra na', 'na ra xa'], ['ha ja ba', 'ba ja ha']]
    """
    if kind not in ("copy", "reverse"):
        raise ValueError(f"`kind` must be 'copy' or 'reverse'. Received: kind={kind!r}")
    if not 2 <= vocabulary <= len(_WORDS):
        raise ValueError(
            f"`vocabulary` must be from 2 to {len(_WORDS)}. Received: vocabulary={vocabulary}"
        )
    low, high = (length, length) if isinstance(length, int) else length
    if not 1 <= low <= high or num_examples > sum(vocabulary**n for n in range(low, high + 1)):
        raise ValueError(
            "`length` must be positive and leave room for different texts. Received: "
            f"length={length} for num_examples={num_examples} of vocabulary={vocabulary}"
        )
    rng, texts = np.random.default_rng(seed), {}
    while len(texts) < num_examples:
        words = [_WORDS[i] for i in rng.integers(vocabulary, size=rng.integers(low, high + 1))]
        texts[" ".join(words)] = " ".join(words if kind == "copy" else words[::-1])
    rows = pandas.DataFrame(texts.items(), columns=["text", "target"])
    rows["id"], rows["group"] = [f"{seed}-{i:05d}" for i in range(num_examples)], ""
    return dataset.build_pairs(rows, {"split": "synthetic", "source": f"{kind}, seed {seed}"})


def _draw_rows(num_classes, num_examples, seed, size, missing_text, missing_image):
    """A frame with image (a name, or empty), text, label and id; and the encoded pictures."""
    names = class_names(num_classes)
    if size < 16:
        raise ValueError(f"`size` must be at least 16 pixels. Received: size={size}")
    rng = np.random.default_rng(seed)
    rows, contents = [], []
    for i in range(num_examples):
        colour, shape = names[i % num_classes].split()
        pixels, place = _picture(rng, colour, shape, size)
        text = _text(rng, colour, shape, place)
        chance = rng.random()
        has_text = chance >= missing_text
        has_image = not missing_text <= chance < missing_text + missing_image
        name = f"{seed}-{i:05d}"
        contents.append(tf.io.encode_png(pixels).numpy() if has_image else b"")
        given = [name if has_image else "", text if has_text else ""]
        rows.append([*given, f"{colour} {shape}", name])
    return pandas.DataFrame(rows, columns=["image", "text", "label", "id"]), contents


def _picture(rng, colour, shape, size):
    """A shape on a light, noisy ground, `(size, size, 3)` uint8, and where it stands."""
    radius = size * rng.uniform(0.18, 0.3)
    y0, x0 = rng.uniform(radius, size - radius, 2)
    y, x = np.mgrid[:size, :size] + 0.5
    y, x = (y - y0) / radius, (x - x0) / radius
    inside = {
        "circle": x**2 + y**2 < 1,
        "square": np.maximum(abs(x), abs(y)) < 0.85,
        "triangle": (abs(y) < 0.9) & (abs(x) < (y + 0.9) / 1.8),
        "cross": (np.minimum(abs(x), abs(y)) < 0.3) & (np.maximum(abs(x), abs(y)) < 1),
    }[shape]
    ground = rng.uniform(190, 250, 3) + rng.normal(0, 8, (size, size, 3))
    paint = np.asarray(COLOURS[colour]) + rng.normal(0, 12, (size, size, 3))
    pixels = np.where(inside[..., None], paint, ground).clip(0, 255).astype(np.uint8)
    place = f"{_PLACES[0][int(y0 > size / 2)]} {_PLACES[1][int(x0 > size / 2)]}"
    return pixels, place


def _text(rng, colour, shape, place):
    kind = (f"something {colour}", f"a kind of {shape}", "a small drawing")[rng.integers(3)]
    return f"{kind}, {place}"


def _write(path, contents):
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(contents)
