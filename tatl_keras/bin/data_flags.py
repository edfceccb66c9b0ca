"""The flags that say where examples are and how they are read, and loading them accordingly."""

from absl import flags

import tatl_keras

DATA = flags.DEFINE_string(
    "data",
    None,
    "Manifest (.csv, .tsv, .jsonl, .parquet: one row per example), folder with one sub-folder per "
    "class, or tfds:NAME.",
)
flags.DEFINE_string("image_column", None, "Column of the pictures' paths; found if not named.")
flags.DEFINE_list("text_column", None, "Column, or columns, of the texts; `none` for no text.")
flags.DEFINE_string("label_column", None, "Column of the classes; found if not named.")
flags.DEFINE_string("id_column", None, "Column that names each row; `none` for paths as names.")
flags.DEFINE_string("group_column", None, "Column of near duplicates, never torn by a split.")
flags.DEFINE_string("split_column", None, "Column of splits; `none` to make them by seed.")
flags.DEFINE_list("where", [], "Use only some rows: column=value, several separated by commas.")
flags.DEFINE_float(
    "held_out", None, "Share of the examples for all splits but the first, where splits are made."
)
flags.DEFINE_integer("split_seed", 0, "Seed of the splits, where splits are made.")
flags.DEFINE_bool(
    "text_from_class",
    False,
    "Give rows without text the name of their class. It tells the label: never measure with it.",
)
flags.DEFINE_enum(
    "on_bad",
    "error",
    ["error", "skip"],
    "What to do about unreadable pictures, unknown labels and the like.",
)
flags.DEFINE_enum(
    "verify",
    "decode",
    ["decode", "header", "none"],
    "How each picture is checked before the start: decoded, first bytes only, or not at all.",
)
flags.DEFINE_string("data_dir", None, "Where TFDS keeps its data sets.")

COLUMNS = ("image", "text", "label", "id", "group", "split")
NAMES = (
    *("data", *(f"{column}_column" for column in COLUMNS), "where", "held_out", "split_seed"),
    *("text_from_class", "on_bad", "verify", "data_dir"),
)
_NONE = "none"


def load(splits, config=None, **overrides):
    """Loads examples as the flags say.

    Args:
        splits: as `data.load` takes it.
        config: dict from a flag's name to the value it had in an earlier run, used for the flags
            that are not on the command line now.
        **overrides: arguments of `data.load` that win over the flags, `source` among them.

    Returns:
        What `data.load` returns.
    """
    values = settings(config)
    arguments = {column: _column(values[f"{column}_column"]) for column in COLUMNS}
    arguments |= {
        "where": where(values["where"]),
        "fractions": values["held_out"],
        "seed": values["split_seed"],
        "text_from_class": values["text_from_class"],
        "on_bad": values["on_bad"],
        "verify": None if values["verify"] == _NONE else values["verify"],
        "data_dir": values["data_dir"],
    }
    arguments = {"source": values["data"], **arguments, **overrides}
    return tatl_keras.data.load(splits=splits, **arguments)


def settings(config=None):
    """The values of the flags here: from the command line, else from `config`, else the default."""
    config = config or {}
    return {
        name: flags.FLAGS[name].value
        if flags.FLAGS[name].present
        else config.get(name, flags.FLAGS[name].value)
        for name in NAMES
    }


def _column(value):
    """A column as `data.load` takes it: `none` is False."""
    if value in (_NONE, [_NONE]):
        return False
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def where(pairs=None):
    """`["a=1", "a=2", "b=3"]`, by default --where, as `{"a": ["1", "2"], "b": ["3"]}`."""
    found = {}
    for pair in flags.FLAGS.where if pairs is None else pairs:
        column, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--where must be column=value. Received: {pair!r}")
        found.setdefault(column, []).append(value)
    return found or None
