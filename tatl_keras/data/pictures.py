"""Reading and checking of encoded pictures, never more than a few in memory."""

import concurrent.futures
import functools
import hashlib
import itertools
import os

import numpy as np
import tensorflow as tf
import tqdm

from tatl_keras.data.images import decode_image, is_encoded

VERIFY = ("decode", "header", None)
_HEADER_BYTES = 16
_CHUNK = 64
# Lines of an error of TensorFlow's that say where it was, not what.
_TRACEBACK = ("Graph execution error", "Detected at node", '  File "')


class FilePictures:
    """Pictures in files.

    Args:
        paths: dict from the name a row gives a picture to the path it is read from.
    """

    def __init__(self, paths):
        self.paths = paths

    def files(self, rows):
        """Path of each row's picture; empty where there is none."""
        return [self.paths[name] for name in rows["image"]]

    def dataset(self, rows):
        """The rows' encoded pictures, read when they are asked for; empty where there is none."""
        paths = self.files(rows)
        dataset = tf.data.Dataset.from_tensor_slices(tf.constant(paths, tf.string, [len(paths)]))
        return dataset.map(_read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def check(self, rows, verify, progress=True):
        """Looks at every picture once.

        Args:
            rows: frame with `image`.
            verify: `"decode"` decodes them, `"header"` looks at size and first bytes, `None`
                does nothing.
            progress: whether a bar is shown when this takes more than a moment.

        Returns:
            `(errors, digests)`: dicts from the rows' index to what is wrong with the picture, and
            to a string that changes with its contents.
        """
        names = [name for name in rows["image"].unique() if name] if verify else []
        looked = functools.partial(_look_at_file, verify=verify)
        results = _parallel(looked, (self.paths[name] for name in names), len(names), progress)
        found = dict(zip(names, results, strict=True))
        found = {i: found[n] for i, n in rows["image"].items() if n in found}
        return _unzip(found)


class StreamPictures:
    """Pictures that come out of data sets in a fixed order; the index of a row is its place.

    Args:
        streams: list of pairs `(open, size)`: a function without arguments that returns a
            `tf.data.Dataset` of `size` encoded pictures, the same at each call. Places count on
            from one stream to the next.
    """

    def __init__(self, streams):
        self.streams = streams

    def files(self, rows):
        """`None`: pictures of streams have no files of their own."""

    def dataset(self, rows):
        """The rows' encoded pictures. The rows must be in the order of the streams."""
        kept = np.zeros(sum(size for _, size in self.streams), np.int32)
        kept[rows.index] = 1
        parts = []
        start = 0
        for open_stream, size in self.streams:
            part = kept[start : start + size]
            if part.any():
                parts.append(_some(open_stream(), part))
            start += size
        return functools.reduce(lambda first, second: first.concatenate(second), parts)

    def check(self, rows, verify, progress=True):
        """As `FilePictures.check`; each stream is read once."""
        rows = rows[rows["image"] != ""]
        if verify is None or rows.empty:
            return {}, {}
        looked = functools.partial(look_at, verify=verify)
        contents = self.dataset(rows).as_numpy_iterator()
        results = _parallel(looked, contents, len(rows), progress)
        return _unzip(dict(zip(rows.index, results, strict=True)))


def look_at(contents, verify):
    """Checks one encoded picture.

    Args:
        contents: bytes.
        verify: `"decode"` or `"header"`.

    Returns:
        `(error or None, digest)`. The digest is the sha256 of the contents under `"decode"`, the
        number of bytes under `"header"`.

    Example:

    >>> look_at(b"GIF89a", "header")
    (None, '6')
    >>> look_at(b"<html>", "header")[0]
    'not a JPEG, PNG, GIF, BMP or WebP picture'
    """
    digest = hashlib.sha256(contents).hexdigest() if verify == "decode" else str(len(contents))
    if not contents:
        return "the file is empty", digest
    if not is_encoded(tf.constant(contents[:_HEADER_BYTES])).numpy():
        return "not a JPEG, PNG, GIF, BMP or WebP picture", digest
    if verify == "decode":
        try:
            _decode_on_host()(tf.constant(contents))
        except tf.errors.OpError as error:
            return f"cannot be decoded: {_first_words(error)}", digest
    return None, digest


def unreadable(contents):
    """A ValueError for the first picture that cannot be decoded; `None` where all can.

    Args:
        contents: iterable of pairs of what an example is called, a number or a name, and its
            picture; empty bytes and what is not bytes are left aside.

    Example:

    >>> error = unreadable([("1.png", b""), ("2.png", b"<html>")])
    >>> "Received: example 2.png: not a JPEG, PNG" in str(error)
    True
    """
    for name, picture in contents:
        if isinstance(picture, bytes) and picture:
            reason, _ = look_at(picture, "decode")
            if reason:
                return ValueError(
                    f'`x["image"]` must hold readable pictures. Received: example {name}: '
                    f"{reason}. data.load(on_bad='skip') leaves such rows out."
                )
    return None


def _look_at_file(path, verify):
    if path.startswith(("http:", "https:")):
        return "web addresses are not read: download the picture and name the file", ""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            if verify == "decode":
                return look_at(file.read(), verify)
            error, _ = look_at(file.read(_HEADER_BYTES), verify)
            return error, str(file.size())
    except tf.errors.NotFoundError:
        return f"no such file: {path}", ""
    except (tf.errors.OpError, OSError) as error:
        return f"cannot be read: {_first_words(error)}", ""


def _parallel(function, arguments, total, progress):
    """Results in order; at most `_CHUNK` arguments are held at a time."""
    results = []
    bar = tqdm.tqdm(total=total, desc="Checking pictures", delay=2, disable=not progress)
    arguments = iter(arguments)
    with bar, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(itertools.islice(arguments, _CHUNK)):
            results += pool.map(function, chunk)
            bar.update(len(chunk))
    return results


@functools.cache
def _decode_on_host():
    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def decode(contents):
        with tf.device("CPU:0"):
            return tf.shape(decode_image(contents))

    return decode


def _read(path):
    return tf.cond(path == "", lambda: tf.constant(""), lambda: tf.io.read_file(path))


def _some(stream, kept):
    """The elements of a stream at whose place `kept` is 1."""
    if kept.all():
        return stream
    pairs = tf.data.Dataset.zip(stream, tf.data.Dataset.from_tensor_slices(kept))
    some = pairs.filter(lambda _, keep: keep > 0).map(lambda picture, _: picture)
    return some.apply(tf.data.experimental.assert_cardinality(int(kept.sum())))


def _first_words(error):
    text = getattr(error, "message", None) or str(error)
    lines = [line for line in text.splitlines() if line.strip()]
    informative = [line for line in lines if not line.startswith(_TRACEBACK)] or [""]
    return informative[0].split("}}")[-1].split("[[")[0].split("[Op:")[0].strip()[:120]


def _unzip(found):
    errors = {i: error for i, (error, _) in found.items() if error}
    return errors, {i: digest for i, (_, digest) in found.items()}
