"""Where tatl-explain writes."""

import os

from tatl_keras.bin import common

_PAGE, _LINES = "gallery.html", "explanations.jsonl"
_PICTURES = (".png", ".pdf", ".svg")


def asked(single):
    """The two files to write, or `None`; an error where they are there already.

    Args:
        single: bool, whether one example is explained.
    """
    path = common.OUTPUT.value
    if path is None:
        return None
    if single:
        stem, ending = os.path.splitext(path)
        if ending.lower() not in _PICTURES:
            raise ValueError(
                f"--output must end in {', '.join(_PICTURES)} for one example. Received: {path!r}"
            )
        paths = path, f"{stem}.json"
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"--output must be in a folder that exists. Received: {path!r}")
    else:
        paths = inside(path)
        os.makedirs(path, exist_ok=True)
    for one in paths:
        if os.path.exists(one) and not common.OVERWRITE.value:
            raise FileExistsError(
                f"--output must not be there yet. Received: {path!r}, and {one!r} is there. "
                "--overwrite replaces it."
            )
    return paths


def inside(folder):
    """The page and the lines of JSON in a folder."""
    return os.path.join(folder, _PAGE), os.path.join(folder, _LINES)
