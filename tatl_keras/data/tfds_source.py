"""TFDS data sets: their features found, their pictures left encoded."""

import functools
import socket
import urllib.parse
import urllib.request

import numpy as np
import pandas
import tensorflow as tf
import tensorflow_datasets as tfds

from tatl_keras.data import tfds_features
from tatl_keras.data.pictures import StreamPictures
from tatl_keras.data.source import ROLES, Source, complete
from tatl_keras.data.splits import plain_name


def read(name, plan, wanted, data_dir=None):
    """Reads all but the pictures of a TFDS data set, after preparing it where that is needed.

    Args:
        name: as `tfds.builder` takes it: `"openmoji"`, `"openmoji/tiny"`, `"mnist:3.0.1"`.
        plan: function from the list of its splits to a `splits.Plan`, or `None` for all of them.
        wanted: dict from role to a feature's name, `False` or `None`.
        data_dir: where TFDS keeps its data sets; `None` for its own default.

    Returns:
        A `Source`. Its rows follow the data set's own, fixed order, split after split.

    Raises:
        ValueError: there is no such data set, or its features do not fit.
        RuntimeError: it cannot be prepared.
    """
    builder = _builder(name, data_dir)
    if wanted["split"] not in (None, False):
        raise ValueError(
            f"`split` must be None for TFDS data sets. Received: split={wanted['split']!r}"
        )
    chosen = tfds_features.choose(builder.info, wanted, f"tfds:{name}")
    _prepare(builder, name)
    available = list(builder.info.splits)
    planned = plan(available)
    needed = (planned.sources() if planned else []) or available
    label = tfds_features.class_label(builder.info, chosen["label"])
    if chosen["label"] and label is None:
        needed = needed + [s for s in available if plain_name(s) == "train"]  # defines the classes
    used = [s for s in available if s in needed]
    rows = pandas.concat([_rows(builder, s, chosen) for s in used], ignore_index=True)
    streams = [(_opener(builder, s, chosen["image"]), _size(builder, s)) for s in used]
    return Source(
        f"tfds:{name}",
        complete(rows),
        StreamPictures(streams),
        chosen | {"split": "TFDS splits"},
        class_names=None if label is None else list(label.names),
        has_ids=chosen["id"] is not None,
    )


def _builder(name, data_dir):
    if name.split("/")[0].split(":")[0] == "openmoji":
        import tatl_keras.data.openmoji  # noqa: F401  registers the builder
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        hint = [line for line in str(error).splitlines() if line.startswith("Did you mean")]
        raise ValueError(
            f"`source` must name a TFDS data set. Received: source='tfds:{name}'. "
            f"{hint[0] if hint else 'tfds.list_builders() names them.'}"
        ) from None


def _prepare(builder, name):
    """Downloads and prepares what is not there yet; without a network it says so at once."""
    if (builder.data_path / "dataset_info.json").exists():
        return
    try:
        _find_hosts(builder)
        builder.download_and_prepare()
    except ImportError as error:
        raise RuntimeError(f"tfds:{name} cannot be prepared: {error}") from error
    except (OSError, tfds.download.DownloadError, AssertionError) as error:
        raise RuntimeError(
            f"tfds:{name} is not under {builder.data_dir} and cannot be prepared: "
            f"{str(error)[:300]}\n"
            "Ways out: run again with a network; or run `tfds build` for it on a machine that has "
            "one and copy the folder; or pass data_dir=… where it lies already."
        ) from error


def _find_hosts(builder):
    """Raises OSError when a host cannot be looked up; TFDS would try again for minutes."""
    urls = builder.url_infos or ()
    if urllib.request.getproxies():
        return
    for host in {urllib.parse.urlsplit(str(url)).hostname for url in urls} - {None}:
        socket.getaddrinfo(host, None)


def _rows(builder, split, chosen):
    """One frame row per example of a split, without the picture."""
    wanted = {role: chosen[role] for role in ("text", "label", "group", "id") if chosen[role]}
    label = tfds_features.class_label(builder.info, chosen["label"])
    blank = dict.fromkeys(ROLES, "")
    rows = []
    for number in range(1, _size(builder, split) + 1):
        rows.append({"row": number, **blank, "split": split, "id": f"{split}/{number}"})
    examples = _features(builder, split, wanted).as_numpy_iterator() if wanted else ()
    for row, example in zip(rows, examples, strict=bool(wanted)):
        row.update({role: _string(example[role]) for role in wanted})
        if label is not None:
            index = int(example["label"])
            row["label"] = label.int2str(index) if index >= 0 else ""
    frame = pandas.DataFrame(rows, columns=["row", *ROLES])
    if chosen["image"]:
        frame["image"] = [f"{split}/{number}" for number in frame["row"]]
    return frame


def _features(builder, split, wanted):
    """The features of some roles, of a split in its fixed order, pictures as they are encoded."""
    pictures = [k for k, v in builder.info.features.items() if isinstance(v, tfds.features.Image)]
    dataset = builder.as_dataset(
        split=split,
        decoders={name: tfds.decode.SkipDecoding() for name in pictures},
        # One shard after another, so that the order never changes.
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )

    def choose(example):
        return {
            role: tfds_features.read(example, name, is_class=role == "label")
            for role, name in wanted.items()
        }

    return dataset.map(choose)


def _string(value):
    if isinstance(value, np.ndarray) and value.ndim:
        return ", ".join(_string(v) for v in value)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip()
    return str(value)


def _opener(builder, split, image):
    """A function that opens the split's encoded pictures in their fixed order."""

    @functools.cache
    def open_pictures():
        if image is None:
            return tf.data.Dataset.from_tensors("").repeat(_size(builder, split))
        return _features(builder, split, {"image": image}).map(lambda example: example["image"])

    return open_pictures


def _size(builder, split):
    return builder.info.splits[split].num_examples
