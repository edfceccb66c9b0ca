"""The folder of one training run."""

import contextlib
import fcntl
import glob
import json
import os

from tatl_keras._files import write_whole
from tatl_keras.training import boards_projector
from tatl_keras.training.checkpoint import delete_checkpoints

CONFIG = "config.json"
METRICS = "metrics.json"
HISTORY = "history.csv"
CURVES = "curves.png"
MODEL = "model.keras"
PREDICTIONS = "predictions.npz"
TEXTS = "texts.jsonl"
REPORT = "report.html"
LOGS = "logs"
BACKUP = "backup"
FILES = (CONFIG, HISTORY, CURVES, MODEL, PREDICTIONS, TEXTS, REPORT, METRICS)
CERTIFICATE = ("certificate.html", "certificate.png", "certificate.json")
PROGRAM = "tatl-train"
_MAY_DIFFER = ("workdir", "overwrite", "strategy", "debug")
BOARDS = os.path.join(LOGS, "test")
_LOGGED = (
    os.path.join(LOGS, "*", "events.out.tfevents.*"),
    *(os.path.join(BOARDS, name) for name in boards_projector.FILES),
)


def create_workdir(path, overwrite=False, flags=None):
    """Makes the folder for a run, takes up the run in it, or refuses the folder.

        config.json       what was asked for, versions, data; written first
        history.csv       loss and metrics of each epoch
        curves.png        the same as a picture
        logs/             the same for TensorBoard, and pictures and vectors of test examples
        backup/           checkpoints, until the run has finished
        model.keras       the trained model
        predictions.npz   what it says of each test example; texts.jsonl, what it writes
        report.html       all of this on one page
        metrics.json      how good it is; written last, so a run without it did not finish

    An unfinished run of the same flags goes on. A folder is refused when it holds a finished run,
    an unfinished one of other flags, or anything else that is not hidden and no certificate of the
    data, which the report shows. With `overwrite=True` the files of an earlier run are removed, and
    nothing else ever is.

    Args:
        path: folder; made with its parents where it is not there.
        overwrite: bool, use a folder that is not empty, and begin anew.
        flags: dict of the run's flags, as `config.json` holds them; `None` never goes on.

    Returns:
        Whether there is a run to go on with.

    Raises:
        FileExistsError: the folder is in use (see above), or holds a file of one of these names
            that no run wrote, which is never replaced.
        NotADirectoryError: `path` is a file.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "runs", "1")
    >>> create_workdir(path, flags={"epochs": 3})
    False
    >>> config = {"program": "tatl-train", "flags": {"epochs": 3}}
    >>> write_json(os.path.join(path, "config.json"), config)
    >>> create_workdir(path, flags={"epochs": 3})
    True
    >>> try:
    ...     create_workdir(path, flags={"epochs": 4})
    ... except FileExistsError as error:
    ...     print(str(error).replace(path, "runs/1"))
    `workdir` must be a new folder. ... an unfinished run with --epochs=3, not 4. ...
    """
    path = _make(path)
    present = sorted(n for n in os.listdir(path) if not n.startswith(".") and n not in CERTIFICATE)
    if not present:
        return False
    known = _flags_of(path)
    if not overwrite and known is not None and METRICS not in present and flags is not None:
        different = _different(known, flags)
        if not different:
            return True
        raise FileExistsError(_refusal(path, present, f"with {different}"))
    if not overwrite:
        raise FileExistsError(_refusal(path, present, known if known is None else ""))
    if known is not None:
        _remove_run(path)
        return False
    foreign = sorted({*FILES, LOGS, BACKUP} & set(present))
    if foreign:
        raise FileExistsError(
            f"`workdir` must not hold {', '.join(foreign)} of something else. "
            f"Received: workdir={path!r}. These were not written by {PROGRAM} and are not replaced "
            "by overwriting. Choose another folder."
        )
    return False


@contextlib.contextmanager
def alone_in(path):
    """Makes a folder and keeps other processes that ask for it out while the block runs.

    Raises:
        BlockingIOError: another process is in it.
        NotADirectoryError: `path` is a file.
    """
    path = _make(path)
    descriptor = os.open(path, os.O_RDONLY)  # the folder itself is locked: no file has to go again
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BlockingIOError(
            f"`workdir` must not be in use. Received: workdir={path!r}, in which another process "
            "is training"
        ) from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(descriptor)


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


def _make(path):
    path = os.fspath(path)
    if os.path.exists(path) and not os.path.isdir(path):
        raise NotADirectoryError(f"`workdir` must be a folder. Received: workdir={path!r}, a file")
    os.makedirs(path, exist_ok=True)
    return path


def _flags_of(path):
    """The flags of the training run that wrote a folder's config.json, or `None`."""
    try:
        config = read_json(os.path.join(path, CONFIG))
    except (FileNotFoundError, ValueError):
        return None
    is_run = isinstance(config, dict) and config.get("program") == PROGRAM
    return config.get("flags", {}) if is_run else None


def _different(known, flags):
    """Flags that decide the outcome and are not the same, in words."""
    flags = json.loads(json.dumps(flags))
    names = sorted((known.keys() | flags.keys()) - {*_MAY_DIFFER})
    return ", ".join(
        f"--{name}={known.get(name)}, not {flags.get(name)}"
        for name in names
        if known.get(name) != flags.get(name)
    )


def _refusal(path, present, run):
    """Why a folder is refused; `run` says which run it holds, `None` for no run."""
    if run is None:
        some = ", ".join(present[:3]) + (" …" if len(present) > 3 else "")
        holds = f"which holds other files ({some})"
        hint = "Choose another folder, or pass overwrite to write beside them; they are kept."
    elif METRICS in present:
        holds = "which holds a finished run"
        hint = "Choose another folder, or pass overwrite to replace that run."
    else:
        holds = f"which holds an unfinished run {run or f'({METRICS} is missing)'}"
        hint = (
            "The same command goes on with it; otherwise choose another folder, or pass overwrite "
            "to begin anew."
        )
    return f"`workdir` must be a new folder. Received: workdir={path!r}, {holds}. {hint}"


def _remove_run(path):
    """Removes what a run writes; METRICS first, so that a half-removed run counts as unfinished."""
    for name in (METRICS, *(name for name in FILES if name not in (METRICS, CONFIG)), CONFIG):
        if os.path.isfile(os.path.join(path, name)):
            os.unlink(os.path.join(path, name))
    delete_checkpoints(os.path.join(path, BACKUP))
    for pattern in _LOGGED:
        for logged in glob.glob(os.path.join(glob.escape(path), pattern)):
            os.unlink(logged)
