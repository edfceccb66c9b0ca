"""The folder of one training run."""

import glob
import json
import os

from tatl_keras._files import write_whole

CONFIG = "config.json"
METRICS = "metrics.json"
HISTORY = "history.csv"
CURVES = "curves.png"
MODEL = "model.keras"
LOGS = "logs"
FILES = (CONFIG, HISTORY, CURVES, MODEL, METRICS)
PROGRAM = "tatl-train"
_EVENTS = os.path.join(LOGS, "*", "events.out.tfevents.*")


def create_workdir(path, overwrite=False):
    """Makes the folder for a run, or refuses the one that is there.

        config.json    what was asked for, versions, data; written first
        history.csv    loss and metrics of each epoch
        curves.png     the same as a picture
        logs/          the same for TensorBoard
        model.keras    the trained model
        metrics.json   how good it is; written last, so a run without it did not finish

    A folder is refused when it holds a finished run, an unfinished one, or anything else that is
    not hidden. With `overwrite=True` the files of an earlier run are removed, and nothing else
    ever is.

    Args:
        path: folder; made with its parents where it is not there.
        overwrite: bool, use a folder that is not empty.

    Raises:
        FileExistsError: the folder is in use (see above), or holds a file of one of these names
            that no run wrote, which is never replaced.
        NotADirectoryError: `path` is a file.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "runs", "1")
    >>> create_workdir(path)
    >>> write_json(os.path.join(path, "config.json"), {"program": "tatl-train"})
    >>> try:
    ...     create_workdir(path)
    ... except FileExistsError as error:
    ...     print(str(error).replace(path, "runs/1"))
    `workdir` must be a new folder. Received: workdir='runs/1', which holds an unfinished run ...
    """
    path = os.fspath(path)
    if os.path.exists(path) and not os.path.isdir(path):
        raise NotADirectoryError(f"`workdir` must be a folder. Received: workdir={path!r}, a file")
    os.makedirs(path, exist_ok=True)
    present = sorted(name for name in os.listdir(path) if not name.startswith("."))
    if not present:
        return
    is_run = _is_run(path)
    if not overwrite:
        raise FileExistsError(_refusal(path, present, is_run))
    if is_run:
        _remove_run(path)
        return
    foreign = sorted({*FILES, LOGS} & set(present))
    if foreign:
        raise FileExistsError(
            f"`workdir` must not hold {', '.join(foreign)} of something else. "
            f"Received: workdir={path!r}. These were not written by {PROGRAM} and are not replaced "
            "by overwriting. Choose another folder."
        )


def read_json(path):
    """Reads a JSON file.

    Example: see `write_json`.

    >>> read_json("nowhere/config.json")
    Traceback (most recent call last):
    FileNotFoundError: `path` must be a file. Received: path='nowhere/config.json'
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`path` must be a file. Received: path={os.fspath(path)!r}")
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise ValueError(
                f"`path` must be a JSON file. Received: path={os.fspath(path)!r}: {error}"
            ) from None


def write_json(path, value):
    """Writes a JSON file that is there whole or not at all.

    Args:
        path: file.
        value: what `json` can write; NaN is refused.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "metrics.json")
    >>> write_json(path, {"accuracy": 0.5})
    >>> read_json(path)
    {'accuracy': 0.5}
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, text.encode())


def _is_run(path):
    """Whether a folder's config.json was written by a training run."""
    try:
        config = read_json(os.path.join(path, CONFIG))
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(config, dict) and config.get("program") == PROGRAM


def _refusal(path, present, is_run):
    if not is_run:
        some = ", ".join(present[:3]) + (" …" if len(present) > 3 else "")
        holds = f"which holds other files ({some})"
        hint = "Choose another folder, or pass overwrite to write beside them; they are kept."
    elif METRICS in present:
        holds = "which holds a finished run"
        hint = "Choose another folder, or pass overwrite to replace that run."
    else:
        holds = f"which holds an unfinished run ({METRICS} is missing)"
        hint = "If it is not running any more, pass overwrite to start again from the beginning."
    return f"`workdir` must be a new folder. Received: workdir={path!r}, {holds}. {hint}"


def _remove_run(path):
    """Removes what a run writes; METRICS first, so that a half-removed run counts as unfinished."""
    for name in (METRICS, HISTORY, CURVES, MODEL, CONFIG):
        if os.path.isfile(os.path.join(path, name)):
            os.unlink(os.path.join(path, name))
    for events in glob.glob(os.path.join(glob.escape(path), _EVENTS)):
        os.unlink(events)
