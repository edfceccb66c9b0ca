"""The flags that say where features of frozen encoders are kept, and the cache they describe."""

from absl import app, flags

import tatl_keras

FEATURE_CACHE = flags.DEFINE_string(
    "feature_cache",
    "auto",
    "Run frozen encoders once on each example and keep their outputs: in memory (`memory`), in a "
    "folder, where later runs find them, or not at all (`none`). auto: memory, unless no encoder "
    "is frozen.",
)
FEATURE_DTYPE = flags.DEFINE_enum(
    "feature_dtype", "float32", ["float32", "float16", "bfloat16"], "As which they are kept."
)
COMPUTE_DTYPE = flags.DEFINE_enum(
    "compute_dtype",
    None,
    ["float32", "bfloat16"],
    "In which frozen encoders compute what is kept. Default: as their dtype policy says.",
)
JIT_COMPILE = flags.DEFINE_bool("jit_compile", False, "Compute what is kept with XLA.")
VIEWS = flags.DEFINE_integer(
    "views",
    None,
    "Keep so many augmented pictures of each (flipped, moved, zoomed) and draw one in each epoch. "
    "Default: the plain picture.",
    lower_bound=1,
)


def load(model, seed=0):
    """The `FeatureCache` that the flags ask for, or `None`.

    Args:
        model: a `TextAssistedClassifier`.
        seed: int, of augmented views.
    """
    frozen = any(encoder.frozen for encoder in model.encoders.values())
    where = FEATURE_CACHE.value
    if where == "none" or (where == "auto" and not frozen):
        if VIEWS.value is not None:
            raise app.UsageError(
                "--views must come with a --feature_cache and a frozen encoder. "
                f"Received: --feature_cache={where}"
            )
        return None
    views = {}
    if VIEWS.value is not None:
        augmentation = tatl_keras.training.default_augmentation(seed)
        views = {"views": VIEWS.value, "augmentation": augmentation}
    folder = None if where in ("auto", "memory") else where
    return tatl_keras.training.FeatureCache(
        folder,
        dtype=FEATURE_DTYPE.value,
        compute_dtype=COMPUTE_DTYPE.value,
        jit_compile=JIT_COMPILE.value,
        **views,
    )
