"""tatl-cache: what is in a folder of features, whether it is whole, and making it smaller.

    tatl-cache list --cache=features
    tatl-cache verify --cache=features
    tatl-cache prune --cache=features --max_gb=20

`verify` reads every byte, names what is not as it was written, and ends with status 1 if there is
anything. `prune` removes leftovers and damaged files, then those that were not used for longest,
until the rest fits. Features that are gone are computed again when they are wanted.
"""

import os
import sys
import tempfile
import time

from absl import app, flags

from tatl_keras.bin import common, records

_CACHE = flags.DEFINE_string(
    "cache", None, "Folder of features, as --feature_cache of the other programs names it."
)
_MAX_GB = flags.DEFINE_float(
    "max_gb", None, "GiB of features that `prune` leaves. Default: all that are whole.", 0
)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {"smoke": "Try the program on a folder that it makes, and removes again."}
_GIB = 1 << 30


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Does what the first argument says; returns the exit status."""
    name = arguments[0] if arguments else None
    if name not in COMMANDS:
        raise app.UsageError(f"the first word must be list, verify or prune. Received: {name}")
    common.no_arguments(arguments[1:])
    if common.SMOKE.value:
        with tempfile.TemporaryDirectory() as directory:
            _fill(directory)
            return COMMANDS[name](directory)
    common.required(_CACHE)
    return COMMANDS[name](_CACHE.value)


def _list(directory):
    from tatl_keras.features import upkeep

    spaces = upkeep.list_spaces(directory)
    if spaces:
        titles = ["folder", "of", "encoder", "holds", "as", "files", "rows", "size", "last used"]
        print(records.table([titles, *(_row(space) for space in spaces)]))
    unfinished = sum(space.unfinished for space in spaces)
    if unfinished:
        print(f"{unfinished} unfinished: being written, or left behind (`tatl-cache prune`).")
    print(_total(spaces))


def _verify(directory):
    from tatl_keras.features import upkeep

    problems = upkeep.verify(directory)
    for problem in problems:
        print(problem.message)
    if any(problem.removable for problem in problems):
        print(f"Remove what is damaged: tatl-cache prune --cache={directory}")
    print(f"{_total(upkeep.list_spaces(directory))}; problems: {len(problems)}")
    return 1 if problems else 0


def _prune(directory):
    from tatl_keras.features import upkeep

    limit = {} if _MAX_GB.value is None else {"max_gb": _MAX_GB.value}
    removed = upkeep.prune(directory, **limit)
    for removal in removed:
        print(f"{removal.reason} ({_size(removal.nbytes)})")
    print(f"Removed: {len(removed)} files, {_size(sum(removal.nbytes for removal in removed))}")
    print(f"Left: {_total(upkeep.list_spaces(directory))}")


def _row(space):
    described = space.description
    encoder = described.get("encoder", {})
    digest = encoder.get("digest", "?")[:8]
    view = f", view {described['view']}" if "view" in described else ""
    return [
        os.path.basename(space.folder)[:12],
        described.get("modality", "?") + view,
        f"{encoder.get('preset') or encoder.get('class', '?')} {digest}",
        "+".join(space.parts) or "-",
        described.get("dtype", "?"),
        str(space.files),
        f"{space.rows:,}",
        _size(space.nbytes),
        time.strftime("%Y-%m-%d %H:%M", time.localtime(space.last_used)),
    ]


def _total(spaces):
    rows, files = (sum(getattr(space, name) for space in spaces) for name in ("rows", "files"))
    size = _size(sum(space.nbytes for space in spaces))
    return f"{rows:,} rows in {files:,} files, {size}"


def _size(nbytes):
    for unit, factor in (("GiB", _GIB), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if nbytes >= factor:
            return f"{nbytes / factor:.1f} {unit}"
    return f"{nbytes} bytes"


def _fill(directory):
    """Features of a few made-up pictures."""
    import tatl_keras

    encoder, converter = tatl_keras.encoders.build_image("test_image")
    tatl_keras.training.encode(
        tatl_keras.data.synthetic.examples(2, 4),
        {"image": encoder},
        directory,
        preprocessor=tatl_keras.data.Preprocessor(converter),
        verbose=0,
    )


COMMANDS = {"list": _list, "verify": _verify, "prune": _prune}


if __name__ == "__main__":
    run()
