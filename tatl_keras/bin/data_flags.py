"""The flags that say where examples are and how they are read, and loading them accordingly."""

from absl import flags

import tatl_keras

DATA = flags.DEFINE_string(
    "data",
    None,
    "Manifest (.csv, .tsv, .jsonl, .parquet: one row per example), folder with one sub-folder per "
    "class, tfds:NAME, or, to translate, emoji:en-de: names of emoji in two languages.",
)
flags.DEFINE_string("image_column", None, "Column of the pictures' paths; found if not named.")
flags.DEFINE_list("text_column", None, "Column, or columns, of the texts; `none` for no text.")
flags.DEFINE_string(
    "target_column", None, "Column of translations, which such a model writes; found if not named."
)
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
    *("data", *(f"{column}_column" for column in COLUMNS), "target_column", "where", "held_out"),
    *("split_seed", "text_from_class", "on_bad", "verify", "data_dir"),
)
OF_PAIRS = ("text", "target", "id", "group", "split")
EMOJI = "emoji:"
_NONE = "none"


def load(splits, config=None, command_line=True, **overrides):
    """Loads examples as the flags say.

    Args:
        splits: as `data.load` takes it.
        config: dict from a flag's name to the value it had in an earlier run, used for the flags
            that are not on the command line now.
        command_line: bool; False leaves the flags that are given now aside.
        **overrides: arguments of `data.load` that win over the flags, `source` among them.

    Returns:
        What `data.load` returns.
    """
    values = settings(config, command_line)
    arguments = _shared(values, COLUMNS) | {
        "text_from_class": values["text_from_class"],
        "verify": None if values["verify"] == _NONE else values["verify"],
        "data_dir": values["data_dir"],
    }
    return tatl_keras.data.load(splits=splits, **(arguments | overrides))


def load_for(task, splits, config=None, command_line=True, **overrides):
    """Loads what a model of a task learns from, as the flags say.

    Args:
        task: "classify", "caption" (labels are not looked at) or "translate" (pairs of texts).
        splits, config, command_line, **overrides: as of `load`.

    Returns:
        What `data.load`, or `data.load_pairs`, returns.
    """
    if task != "translate":
        overrides = ({"label": False} if task == "caption" else {}) | overrides
        return load(splits, config, command_line, **overrides)
    arguments = _shared(settings(config, command_line), OF_PAIRS)
    return tatl_keras.data.load_pairs(splits=splits, **(arguments | overrides))


def _shared(values, columns):
    """The arguments that `data.load` and `data.load_pairs` have in common."""
    arguments = {column: _column(values[f"{column}_column"]) for column in columns}
    return arguments | {
        "source": values["data"],
        "where": where(values["where"]),
        "fractions": values["held_out"],
        "seed": values["split_seed"],
        "on_bad": values["on_bad"],
    }


def settings(config=None, command_line=True):
    """The values of the flags here: from the command line, else from `config`, else the default."""
    config = config or {}
    return {
        name: flags.FLAGS[name].value
        if command_line and flags.FLAGS[name].present
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
