"""A folder that appears whole: filled beside its place, checked, renamed."""

import contextlib
import os
import shutil
import tempfile

from tatl_keras.models.lint import lint


def check_place(filepath, overwrite):
    """The path as a str; a FileExistsError where something is there, and not `overwrite`."""
    filepath = os.fspath(filepath)
    if os.path.exists(filepath) and not overwrite:
        raise FileExistsError(
            f"`filepath` must not exist. Received: filepath={filepath!r}. "
            "Choose the next version number, or pass overwrite=True."
        )
    return filepath


@contextlib.contextmanager
def placed(filepath):
    """Gives a folder to fill with a SavedModel; in the end it stands at `filepath`.

    It is renamed after `lint` found no error in it, and replaces what is there. After an exception
    nothing of it is left, and what was there is.

    Args:
        filepath: str; folders above it are made.

    Raises:
        ValueError: TensorFlow Serving 2.20 could not serve what is in the folder.
    """
    parent = os.path.dirname(os.path.abspath(filepath))
    os.makedirs(parent, exist_ok=True)
    beside = tempfile.mkdtemp(prefix=".exporting-", dir=parent)
    try:
        yield beside
        _check_servable(beside)
        os.chmod(beside, 0o755)
        if os.path.exists(filepath):
            shutil.rmtree(filepath)
        os.rename(beside, filepath)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _check_servable(directory):
    """Raises a ValueError where a server could not serve what was written."""
    found = [str(finding) for finding in lint(directory) if finding.is_error]
    if found:
        raise ValueError(
            "`model` must be one that TensorFlow Serving 2.20 can serve. Received: a model whose "
            "export has\n" + "\n".join(found)
        )
