"""A data set whose frozen features are there, in memory or on the disk."""

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.data.epoch_order import EpochOrder

_NOWHERE = (-1, 0)


class Modality:
    """Where the features of one modality are, example by example.

    Args:
        name: "image" or "text".
        spaces: list of `Space`; one for each view.
        keys: list of the examples' keys, `None` where an example lacks the modality.
        dim: number of channels.
        uses: names of the features that are wanted.
    """

    def __init__(self, name, spaces, keys, dim, uses):
        self.name, self.spaces, self.dim, self.uses = name, spaces, dim, uses
        self.parts = [part for part in ("pooled", "tokens") if f"{name}_{part}" in uses]
        places = [
            [_NOWHERE if key is None else space.find(key) for key in keys] for space in spaces
        ]
        if any(place is None for row in places for place in row):
            raise RuntimeError(
                f"Features that were just written must be found. Received: {spaces[0].folder}, "
                "from which files were removed meanwhile, or changed on the disk. Run it again."
            )
        self._places = np.array(places, np.int64)  # (views, examples, 2)
        self.length = self._longest() if "tokens" in self.parts else 0

    def __len__(self):
        return self._places.shape[1]

    def nbytes(self):
        """Bytes of the features of all examples as float32."""
        places = self._places.shape[0] * self._places.shape[1]
        return 4 * places * self.dim * (("pooled" in self.parts) + self.length)

    def read(self, rows, views):
        """Features of some examples.

        Args:
            rows: int array (R,).
            views: int array (R,), which view of each.

        Returns:
            Dict of float32 and int32 arrays, named as a fusion reads them.
        """
        shapes = {"has": (), "pooled": (self.dim,)}
        shapes |= {"tokens": (self.length, self.dim), "mask": (self.length,)}
        names = ["has", *self.parts, *(["mask"] if "tokens" in self.parts else [])]
        kinds = {"has": np.int32, "mask": np.int32}
        found = {n: np.zeros((len(rows), *shapes[n]), kinds.get(n, np.float32)) for n in names}
        places = self._places[views, rows]
        for view, number in {(v, n) for v, (n, _) in zip(views, places, strict=True) if n >= 0}:
            at = np.flatnonzero((views == view) & (places[:, 0] == number))
            at = at[np.argsort(places[at, 1], kind="stable")]
            part = self.spaces[view].shard(number).read(places[at, 1], self.parts)
            for name in names:
                if name in ("has", "pooled"):
                    found[name][at] = part[name]
                else:
                    for place, values in zip(at, part[name], strict=True):
                        found[name][place, : len(values)] = values
        has = found.pop("has")
        if "mask" in found:
            found["mask"] *= has[:, None]
        found = {f"{self.name}_{part}": values for part, values in found.items()}
        found |= {f"has_{self.name}": has}
        return {name: values for name, values in found.items() if name in self.uses}

    def _longest(self):
        longest = 0
        for space, places in zip(self.spaces, self._places, strict=True):
            for number in np.unique(places[:, 0][places[:, 0] >= 0]):
                rows = places[places[:, 0] == number, 1]
                longest = max(longest, int(space.shard(number).lengths(rows).max()))
        return max(longest, 1)


class EncodedDataset:
    """Examples of which the frozen encoders have made features.

    Args:
        modalities: list of `Modality`.
        kept: dict of arrays, one row an example, that stay as they were.
        y, sample_weight: arrays, or `None`.
        memory_bytes: up to this many bytes `dataset` holds features in memory.
        counts: dict from "image" and "text" to how many different ones were "encoded" now and
            "found" in the cache, each view by itself.

    Example:

    >>> from tatl_keras import data, training, zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> features = training.encode(data.synthetic.examples(2, 6), model, verbose=0)
    >>> len(features), features.counts
    (6, {'image': {'encoded': 6, 'found': 0}})
    >>> x = features.read([4, 0])
    >>> x["image_pooled"].shape, x["has_image"].tolist()
    ((2, 24), [1, 1])
    """

    def __init__(self, modalities, kept, y, sample_weight, memory_bytes, counts=None):
        self._modalities, self._kept = modalities, kept
        self.counts = counts or {}
        self.y, self.sample_weight = y, sample_weight
        self._memory_bytes = memory_bytes
        lengths = [len(kept[name]) for name in kept] + [len(m) for m in modalities]
        self._rows = lengths[0]

    def __len__(self):
        return self._rows

    @property
    def num_views(self):
        """How many augmented pictures there are of each example."""
        return max([len(m.spaces) for m in self._modalities], default=1)

    @property
    def nbytes(self):
        """Bytes of all features as float32."""
        return sum(modality.nbytes() for modality in self._modalities)

    def read(self, rows, views=None):
        """Inputs of the model for some examples.

        Args:
            rows: int array (R,), places of the examples.
            views: int array (R,), which view of each; the first if `None`.

        Returns:
            Dict of arrays with R rows.
        """
        rows = np.asarray(rows)
        views = np.zeros_like(rows) if views is None else np.asarray(views)
        found = {name: values[rows] for name, values in self._kept.items()}
        for modality in self._modalities:
            found |= modality.read(rows, views % len(modality.spaces))
        return found

    def arrays(self):
        """`(x, y, sample_weight)` of all examples in their order, in memory."""
        return self.read(np.arange(len(self))), self.y, self.sample_weight

    def dataset(self, batch_size, shuffle=False, seed=None):
        """Batches for `keras.Model.fit`.

        Args:
            batch_size: int.
            shuffle: bool, a new order of all examples each time the data set is read.
            seed: int, of the order and of the views that are drawn; or an `EpochOrder`.

        Returns:
            A `tf.data.Dataset` of `x`, `(x, y)` or `(x, y, sample_weight)`.
        """
        rows = tf.data.Dataset.range(len(self))
        views = tf.data.Dataset.range(1).repeat()

        def drawn(seed):
            numbers = tf.data.Dataset.random(seed=seed).map(lambda number: number % self.num_views)
            mixed = rows.shuffle(len(self), seed, reshuffle_each_iteration=False)
            return tf.data.Dataset.zip(mixed, numbers)

        turns = tf.data.Dataset.zip(rows, views)
        if shuffle:
            turns = EpochOrder.get(seed).each_epoch(drawn, len(self))
        batches = turns.batch(batch_size)
        read = self._in_memory() if self.nbytes <= self._memory_bytes else self.read
        gather = _gathering(read, self.read(np.zeros(1, np.int64)))
        with tf.device("CPU:0"):
            labels = [
                None if part is None else tf.constant(part) for part in (self.y, self.sample_weight)
            ]

        def example(rows, views):
            rest = [None if part is None else tf.gather(part, rows) for part in labels]
            return keras.utils.pack_x_y_sample_weight(gather(rows, views), *rest)

        return batches.map(example, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _in_memory(self):
        """`read` from arrays of all examples and views."""
        count = np.arange(len(self))
        views = [self.read(count, np.full_like(count, view)) for view in range(self.num_views)]
        x = views[0]
        if len(views) > 1:
            x = {name: np.concatenate([view[name] for view in views]) for name in x}
        return lambda rows, views: {n: v[views * len(self) + rows] for n, v in x.items()}


def _gathering(read, like):
    """`read` as a function of tensors; `like` is what it gives for one row.

    NumPy arrays stay as they are: tensors captured by a data set are held several times.
    """
    kinds = [values.dtype for values in like.values()]

    def gather(rows, views):
        values = tf.numpy_function(lambda r, v: [*read(r, v).values()], [rows, views], kinds)
        return {
            name: tf.ensure_shape(value, (None, *like[name].shape[1:]))
            for name, value in zip(like, values, strict=True)
        }

    return gather
