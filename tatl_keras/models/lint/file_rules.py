"""Rules of the files beside the graph: warm-up requests and checksums."""

import json
import os

from tatl_keras._files import sha256_of

WARM_UP = os.path.join("assets.extra", "tf_serving_warmup_requests")
MANIFEST = "MANIFEST.json"


def warm_up(files):
    if not os.path.isfile(os.path.join(files.directory, WARM_UP)):
        yield WARM_UP, "There are no warm-up requests, so the first requests will be slow."


def checksums(files):
    """Files are as the object "sha256" of `MANIFEST.json`, from relative path to sum, says."""
    path = os.path.join(files.directory, MANIFEST)
    if not os.path.isfile(path):
        return
    try:
        with open(path, encoding="utf-8") as file:
            expected = dict(json.load(file).get("sha256", {}))
    except (AttributeError, TypeError, ValueError) as error:
        yield MANIFEST, f'It must be a JSON object with an object "sha256". Received: {error}'
        return
    for name, value in sorted(expected.items()):
        inside = _inside(files.directory, name)
        if inside is None:
            yield name, f"{MANIFEST} names it, but it is no file in the model's folder."
        elif sha256_of(inside) != value:
            yield name, f"It is not the file that was exported: its SHA-256 is not {value!r}."


def _inside(directory, name):
    """The file's path, or `None` if it is none or lies elsewhere, through a link too."""
    root = os.path.realpath(directory)
    path = os.path.realpath(os.path.join(root, name))
    is_inside = os.path.commonpath([root, path]) == root
    return path if is_inside and os.path.isfile(path) else None
