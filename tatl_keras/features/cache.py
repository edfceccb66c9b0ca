"""Where features are kept, and how they are computed."""

import os

import keras

from tatl_keras.features.keys import describe, serialized
from tatl_keras.features.shards import DTYPES
from tatl_keras.features.space import Space

MEMORY = "memory"
GIB = 1 << 30


class FeatureCache:
    """Keeps what frozen encoders make of each example, so that it is computed once.

    A row of a picture or a text is found by a hash of everything that decides it:

        key = SHA-256(the example's own bytes), in a folder named
              SHA-256(the encoder's weights and architecture, versions of code and packages,
                      image converter or tokenizer with vocabulary, dtypes, augmentation, view)

    Change one bit of them and the row is computed again; change nothing and nothing is. The folder
    can be shared by models, runs and processes; whatever is killed leaves whole files behind, and
    changed or cut files are noticed, named and computed again. The workers of a strategy fill a
    folder that all of them see together, each its share; without a folder each computes
    everything. `tatl-cache` lists, verifies and prunes it.

    Memory: up to `memory_gb` of features (twice that without a folder); those of larger data sets
    are read from the disk as they are needed. Besides, about 500 bytes an example for its key,
    place and turn; while encoding, at most 1,024 examples or 64 MiB of their raw bytes, and three
    times 64 MiB of features.

    Args:
        directory: folder, made when it is first written to; `None` keeps features in memory, for
            as long as this object lives.
        dtype: "float32", "float16" or "bfloat16", as which features are stored. They are handed
            out as float32.
        augmentation: a Keras layer, such as `keras.layers.RandomFlip` or a `keras.Sequential` of
            several; called with pixels (H, W, 3), float32, 0 to 255, before the image converter.
            Only `fit` uses it; evaluation sees the plain picture.
        views: int, how many augmented pictures are made of each; every epoch draws one for each
            example. Needs `augmentation`.
        compute_dtype: "float32" or "bfloat16", in which encoders compute; `None` leaves it to
            their dtype policy. Part of the key.
        jit_compile: bool, encode with XLA; part of the key.
        memory_gb: float, GiB; features of a data set that take more are read from the disk.

    Raises:
        ValueError: an argument is none of these.

    Example:

    >>> import tempfile
    >>> from tatl_keras import training, zoo
    >>> cache = training.FeatureCache(tempfile.mkdtemp(), dtype="float16")
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> x = {"image": [(255 * keras.random.uniform((8, 8, 3))).numpy() for _ in range(4)]}
    >>> history = model.fit(x, [0, 1, 0, 1], epochs=2, feature_cache=cache, verbose=0)
    >>> model.predict(x, feature_cache=cache, verbose=0).shape
    (4, 2)
    """

    def __init__(
        self,
        directory=None,
        *,
        dtype="float32",
        augmentation=None,
        views=None,
        compute_dtype=None,
        jit_compile=False,
        memory_gb=4.0,
    ):
        if directory is not None and not os.fspath(directory):
            raise ValueError("`directory` must be a folder or None. Received: directory=''")
        self.directory = None if directory is None else os.path.abspath(os.fspath(directory))
        if self.directory is not None and os.path.exists(self.directory):
            if not os.path.isdir(self.directory):
                raise ValueError(
                    f"`directory` must be a folder. Received: directory={self.directory!r}, a file"
                )
        if dtype not in DTYPES:
            raise ValueError(f"`dtype` must be one of {tuple(DTYPES)}. Received: dtype={dtype!r}")
        if compute_dtype not in (None, "float32", "bfloat16"):
            raise ValueError(
                "`compute_dtype` must be 'float32', 'bfloat16' or None. "
                f"Received: compute_dtype={compute_dtype!r}"
            )
        _check_views(augmentation, views)
        self.dtype = dtype
        self.augmentation, self.views = augmentation, views
        self.compute_dtype, self.jit_compile = compute_dtype, bool(jit_compile)
        if isinstance(memory_gb, bool) or not isinstance(memory_gb, (int, float)) or memory_gb < 0:
            raise ValueError(
                f"`memory_gb` must be a number of at least 0. Received: memory_gb={memory_gb!r}"
            )
        self.memory_bytes = int(memory_gb * GIB)
        self._spaces = {}

    @classmethod
    def get(cls, feature_cache):
        """Makes a cache of what `fit` takes: a cache, a folder, `"memory"`, or `None` for none."""
        if feature_cache is None or isinstance(feature_cache, cls):
            return feature_cache
        if feature_cache == MEMORY:
            return cls()
        if isinstance(feature_cache, (str, os.PathLike)) and os.fspath(feature_cache):
            return cls(feature_cache)
        raise ValueError(
            f"`feature_cache` must be a folder, {MEMORY!r}, a `FeatureCache` or None. "
            f"Received: feature_cache={feature_cache!r}"
        )

    def spaces(self, modality, encoder, preprocessor, parts, augmented=False):
        """The spaces of an encoder's features: one, or one for each view when `augmented`."""
        options = {"dtype": self.dtype, "compute_dtype": self.compute_dtype}
        options |= {"jit_compile": self.jit_compile}
        described = describe(modality, encoder, preprocessor, **options)
        if not (augmented and self.views and modality == "image"):
            return [self._space(described, parts)]
        augmentation = {"augmentation": serialized(self.augmentation)}
        views = range(self.views)
        return [self._space(described | augmentation | {"view": v}, parts) for v in views]

    def _space(self, description, parts):
        space = Space(description, parts, self.directory)
        if self.directory is not None:
            return space
        return self._spaces.setdefault((space.id, space.parts), space)


def _check_views(augmentation, views):
    if augmentation is None and views is None:
        return
    if not isinstance(augmentation, keras.layers.Layer):
        raise ValueError(
            "`augmentation` must be a Keras layer, whose configuration becomes part of the key. "
            f"Received: augmentation={augmentation!r}"
        )
    if isinstance(views, bool) or not isinstance(views, int) or views < 1:
        raise ValueError(
            "`views` must be an int of at least 1, how many augmented pictures are made of each. "
            f"Received: views={views!r}"
        )
