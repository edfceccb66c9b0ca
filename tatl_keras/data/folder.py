"""Folders of pictures, one sub-folder per class, with optional captions beside the pictures."""

import concurrent.futures
import os
import re

import pandas
import tensorflow as tf

from tatl_keras.data.columns import PICTURE_ENDINGS
from tatl_keras.data.pictures import FilePictures
from tatl_keras.data.source import Source, complete
from tatl_keras.data.splits import COMMON, plain_name

_CAPTION = ".txt"


def read(path, names, labelled=True, captions=True, aside=()):
    """Reads `<path>/<class>/**/<picture>` or `<path>/<split>/<class>/**/<picture>`.

    `cat/1.txt` is the text of `cat/1.jpg`. Files and folders that start with a dot are passed over.

    Args:
        path: folder, on any file system `tf.io.gfile` knows.
        names: names of splits. Sub-folders called so, or train, validation or test, that hold
            nothing but folders are splits; then whatever else lies in `path` is passed over.
        labelled: with `False`, the folders' names mean nothing and pictures may lie anywhere.
        captions: with `False`, captions are not read.
        aside: files, relative to `path`, that the caller knows: they are not told of.

    Returns:
        A `Source`.

    Raises:
        ValueError: there is no picture.
    """
    name = os.path.basename(os.path.normpath(path)) + "/"
    files = [file for file in _files(path) if file not in aside]
    taken = [f for f in files if f.lower().endswith(PICTURE_ENDINGS)]
    split_folders = _split_folders(taken, names, depth=2 if labelled else 1)
    if split_folders:
        taken = [f for f in taken if f.split("/")[0] in split_folders]
    if not taken:
        raise ValueError(
            f"`source` must be a folder with pictures ({', '.join(PICTURE_ENDINGS)}). "
            f"Received: source={path!r} with {len(files)} other files."
        )
    rows = [_row(f, bool(split_folders), labelled) for f in taken]
    rows = pandas.DataFrame(rows, columns=["image", "split", "label"])
    rows.insert(0, "row", range(1, len(rows) + 1))
    texts = {f[: -len(_CAPTION)]: f for f in files if f.lower().endswith(_CAPTION)}
    beside = [texts.get(os.path.splitext(f)[0]) if captions else None for f in taken]
    rows["text"] = _read_captions(path, beside)
    rows["group"] = rows["id"] = ""
    pictures = FilePictures({f: os.path.join(path, f) for f in taken} | {"": ""})
    columns = {
        "image": "files",
        "text": "files ending in .txt beside the pictures" if any(beside) else None,
        "label": "folders" if labelled else None,
        "split": "folders" if split_folders else None,
        "group": None,
        "id": "paths",
    }
    return Source(name, complete(rows), pictures, columns, notes=_notes(files, taken, texts))


def _files(path):
    """All files below a folder, relative to it, sorted as people count: 2 before 10."""
    found = []
    for folder, folders, names in tf.io.gfile.walk(path):
        folders[:] = [name for name in folders if not _leads_back(os.path.join(folder, name))]
        folder = folder[len(path) :].strip("/" + os.sep).replace(os.sep, "/")
        found += [f"{folder}/{name}".lstrip("/") for name in names]
    visible = [f for f in found if not any(part.startswith(".") for part in f.split("/"))]
    return sorted(visible, key=_as_people_count)


def _leads_back(folder):
    """Whether a link names a folder that it lies in, so that following it would never end."""
    if not os.path.islink(folder):
        return False
    target = os.path.join(os.path.realpath(folder), "")
    return os.path.join(os.path.realpath(os.path.dirname(folder)), "").startswith(target)


def _as_people_count(file):
    parts = re.split(r"(\d+)", file)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _split_folders(pictures, names, depth):
    """The first folders of pictures that bear a split's name and lie deep enough."""
    parts = [p.split("/") for p in pictures]
    deep = {p[0] for p in parts if len(p) > depth}
    shallow = {p[0] for p in parts if len(p) == depth}
    wanted = {plain_name(name) for name in (*names, *COMMON)}
    return {folder for folder in deep - shallow if plain_name(folder) in wanted}


def _row(file, in_splits, labelled):
    parts = file.split("/")
    split = parts[0] if in_splits else ""
    folders = parts[1 if in_splits else 0 : -1]
    return file, split, folders[0] if labelled and folders else ""


def _read_captions(path, files):
    def text(file):
        if file is None:
            return ""
        with tf.io.gfile.GFile(os.path.join(path, file), "rb") as opened:
            return opened.read().decode("utf-8-sig", errors="replace").strip()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(text, files))


def _notes(files, taken, texts):
    used = {os.path.splitext(f)[0] for f in taken}
    orphans = sum(stem not in used for stem in texts)
    other = len(files) - len(taken) - len(texts)
    notes = []
    if orphans:
        notes.append(f"{orphans} .txt files lie beside no picture and were passed over")
    if other:
        notes.append(f"{other} files were passed over")
    return notes
