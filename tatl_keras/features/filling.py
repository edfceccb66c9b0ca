"""Which features are missing, computed and kept a file at a time."""

import numpy as np
import tensorflow as tf

from tatl_keras.data.pictures import unreadable
from tatl_keras.features.batches import encoded_batches
from tatl_keras.features.keys import row_key
from tatl_keras.features.locks import if_idle
from tatl_keras.features.rows import size_of
from tatl_keras.features.shards import numpy_dtype
from tatl_keras.features.sharing import share_of
from tatl_keras.features.views import draw_seeds

SHARD_ROWS = 1024
SHARD_BYTES = 64 << 20


class Filler:
    """Collects what is missing of one modality and encodes it.

    Args:
        modality: "image" or "text".
        encoder: a frozen encoder.
        cache: a `FeatureCache`.
        preprocessor: a `tatl_keras.data.Preprocessor`, or `None` for tensors.
        parts: what is wanted, "pooled", "tokens" or both.
        batch_size: int.
        augmented: bool, encode the views of `cache.augmentation`.
        worker: (index, count) of the workers that fill the cache's folder together, each the rows
            of its share, see `sharing`. In memory each fills all.
    """

    def __init__(
        self, modality, encoder, cache, preprocessor, parts, batch_size, augmented=False,
        worker=(0, 1),
    ):  # fmt: skip
        self.modality, self.encoder, self.cache = modality, encoder, cache
        self.preprocessor, self.batch_size = preprocessor, batch_size
        self.augmented = augmented and bool(cache.views) and modality == "image"
        self.parts = tuple(dict.fromkeys(["pooled", *parts]))
        self.spaces = cache.spaces(modality, encoder, preprocessor, self.parts, self.augmented)
        self.share, self.shares = (0, 1) if cache.directory is None else worker
        self.takes = True  # whether `take` encodes this worker's share
        self.keys, self.encoded = [], 0
        self.on_encoded = lambda count: None  # called with the number of rows of each batch
        self._pending, self._bytes = {}, 0

    def take(self, value):
        """Notes an example; encodes when enough have come together.

        Returns:
            int, for how many of its views `on_encoded` is still going to be called.
        """
        key = None if value is None else row_key(value)
        self.keys.append(key)
        if not self.takes or not self._shares(key, self.share):
            return 0
        return self._note(key, value, len(self.keys) - 1)

    def _shares(self, key, share):
        return key is not None and share_of(key, self.shares) == share

    def _note(self, key, value, number):
        if key in self._pending:
            return 0
        missing = sum(space.find(key) is None for space in self.spaces)
        if missing:
            self._pending[key] = (value, number)
            self._bytes += size_of(value)
        if len(self._pending) >= SHARD_ROWS or self._bytes >= SHARD_BYTES:
            self.finish()
        return missing

    def turn(self, share):
        """Yields whether no other process works on a share; none can while the block runs."""
        return if_idle(self.spaces[0].folder, f"{share}-of-{self.shares}")

    def missing(self):
        """Set of the shares with rows in no file, after a look at what others have finished."""
        if self.shares == 1:
            return set()
        for space in self.spaces:
            space.refresh()
        keys = {key for key in self.keys if key is not None}
        open_keys = (k for k in keys if any(space.find(k) is None for space in self.spaces))
        return {share_of(key, self.shares) for key in open_keys}

    def take_over(self, share, values):
        """Encodes what is missing of a share, silently.

        Args:
            share: int.
            values: what `take` was given, once more.
        """
        self.on_encoded = lambda count: None
        for number, value in enumerate(values):
            key = None if value is None else row_key(value)
            if self._shares(key, share):
                self._note(key, value, number)
        self.finish()

    def finish(self):
        """Encodes and keeps what is still missing."""
        for space in self.spaces:
            if all(space.find(key) for key in self._pending):
                continue
            with space.alone(self.shares > 1):
                space.refresh()
                missing = {k: v for k, v in self._pending.items() if not space.find(k)}
                if missing:
                    self.fill(space, list(missing), list(missing.values()))
        self._pending, self._bytes = {}, 0

    def fill(self, space, keys, values):
        """Encodes and writes what is not in a space, a file at a time.

        Args:
            space: one of `spaces`, or an object with `description` and `write` of one of them.
            keys: list of the examples' keys.
            values: list of `(value, name of the example in messages)`.

        Raises:
            ValueError: a picture cannot be read, or a feature exceeds the cache's dtype.
            OSError: they could not be written.
        """
        columns = Columns(self.parts, self.cache.dtype)
        seeds = None
        if self.augmented:
            seeds = draw_seeds(self.cache.augmentation, space.description, keys)
        try:
            for places, outputs in encoded_batches(
                [value for value, _ in values], self.modality, self.encoder, self.preprocessor,
                self.cache, self.parts, self.batch_size, seeds,
            ):  # fmt: skip
                columns.append([keys[place] for place in places], outputs)
                self.on_encoded(len(places))
                if columns.nbytes >= SHARD_BYTES:
                    self._write(space, columns)
                    columns = Columns(self.parts, self.cache.dtype)
        except tf.errors.InvalidArgumentError as error:
            named = ((name, value) for value, name in values if self.modality == "image")
            raise unreadable(named) or error from error
        self._write(space, columns)

    def _write(self, space, columns):
        if columns.keys:
            space.write(columns.keys, columns.arrays())
            self.encoded += len(columns.keys)


class Columns:
    """Rows of features on their way into one file.

    Args:
        parts: "pooled", or "pooled" and "tokens".
        dtype: as which they are stored.
    """

    def __init__(self, parts, dtype):
        self.keys, self.nbytes = [], 0
        self._parts, self._dtype = parts, numpy_dtype(dtype)
        self._batches = []

    def append(self, keys, outputs):
        """Adds what `encoded_batches` yields.

        Raises:
            ValueError: a value is finite, but not as `dtype`.
        """
        rows = {"has": outputs["has"], "pooled": self._cast(outputs["pooled"])}
        if "tokens" in self._parts:
            mask = outputs["mask"].astype(bool)
            ends = mask.shape[1] - mask[:, ::-1].argmax(1)
            real = np.arange(mask.shape[1]) < np.where(mask.any(1), ends, 0)[:, None]
            rows |= {"tokens": self._cast(outputs["tokens"][real])}
            rows |= {"mask": mask[real].astype(np.uint8), "lengths": real.sum(1)}
        self.keys += keys
        self.nbytes += sum(array.nbytes for array in rows.values())
        self._batches.append(rows)

    def arrays(self):
        """The dict that `shards.write_shard` takes."""
        names = self._batches[0]
        columns = {name: np.concatenate([rows[name] for rows in self._batches]) for name in names}
        if "lengths" in columns:
            ends = np.cumsum(columns.pop("lengths"), dtype=np.int64)
            columns["offsets"] = np.concatenate([np.zeros(1, np.int64), ends])
        return columns

    def _cast(self, values):
        with np.errstate(over="ignore"):
            cast = values.astype(self._dtype)
        if not np.array_equal(np.isfinite(cast.astype(np.float32)), np.isfinite(values)):
            raise ValueError(
                "`dtype` must hold all features. Received: dtype="
                f"{self._dtype.name!r} for values up to {np.abs(values).max():g}. "
                "Use 'bfloat16' or 'float32'."
            )
        return cast
