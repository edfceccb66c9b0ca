"""tatl-init: a starter manifest from a folder of pictures, with what is odd about them.

    tatl-init pets
    tatl-init pets --output=pets/all.tsv --captions=texts.csv

Writes pets.csv, a row for each picture that can be read: image (path relative to the file), text,
label, and group and split where there are any. Labels are sub-folders (pets/cat/1.jpg, or
pets/train/cat/1.jpg), texts are .txt files beside the pictures, or a table (metadata.csv,
captions.csv, .tsv, .jsonl, .parquet with columns such as image and text) in the folder. Pictures
that are the same bit for bit get one group. The first of each class are drawn as
pets_preview.png. Then comes what to change by hand, and what to do next.
"""

import contextlib
import os
import shlex
import sys
import tempfile
import textwrap

from absl import app, flags

import tatl_keras
from tatl_keras.bin import common, records, starting

flags.declare_key_flag("output")
flags.declare_key_flag("overwrite")
_CAPTIONS = flags.DEFINE_string(
    "captions", None, "File with a row for each picture and its text, perhaps its label."
)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "output": "File to write, .csv or .tsv. Default: beside the folder, called as it is.",
    "overwrite": "Replace files that are there.",
    "smoke": "Try the program on a folder that it makes, and removes again.",
}
_SHOWN, _DRAWN, _CLASSES, _REASONS = 6, 12, 20, 10
_WIDTH = 96


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Writes the manifest and its preview, prints what was found and what comes next."""
    with contextlib.ExitStack() as stack:
        if common.SMOKE.value:
            made_up = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "pets")
            tatl_keras.data.synthetic.write_manifest(made_up, 2, 6, format="folder")
            arguments = [made_up]
        if len(arguments) != 1:
            raise app.UsageError(
                f"a folder must be given. Received: {' '.join(map(repr, arguments)) or 'nothing'}"
            )
        folder = os.path.normpath(os.path.expanduser(arguments[0]))
        output = None if common.SMOKE.value else common.OUTPUT.value
        output = output or _beside(folder)
        preview = f"{os.path.splitext(output)[0]}_preview.png"
        _check(folder, output, preview)
        start = starting.Start(folder, _CAPTIONS.value, aside=[preview])
        start.write(output, folder)
        _draw(start, folder, preview)
        print(_report(start, output, preview))


def _beside(folder):
    """The manifest's name, that of the folder; `.` and `..` have theirs in the absolute path."""
    if os.path.basename(folder) in (os.curdir, os.pardir):
        folder = os.path.abspath(folder)
    return f"{folder}.csv"


def _check(folder, output, preview):
    """Raises an error before any picture is read, if it would be in vain."""
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"a folder must be given. Received: {folder!r}")
    if os.path.splitext(output)[1].lower() not in starting.SEPARATORS:
        raise ValueError(f"--output must end in .csv or .tsv. Received: {output!r}")
    there = [path for path in (output, preview) if os.path.exists(path)]
    if there and not common.OVERWRITE.value:
        raise FileExistsError(
            f"--output must be a new file. Received: {there[0]!r}, which is there. "
            "--overwrite replaces it, with what was changed in it by hand."
        )
    where = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(where):
        raise FileNotFoundError(f"--output must be in a folder that exists. Received: {output!r}")
    if _CAPTIONS.value is not None and not os.path.isfile(_CAPTIONS.value):
        raise FileNotFoundError(f"--captions must be a file. Received: {_CAPTIONS.value!r}")


def _draw(start, folder, path):
    examples = []
    for row in start.mixed(_DRAWN):
        with open(os.path.join(folder, row["image"]), "rb") as file:
            pictured = {"image": file.read(), "text": row["text"], "label": row["label"] or None}
        examples.append(pictured | {"predicted": None, "probability": None})
    tatl_keras.training.draw_predictions(examples, path)


def _report(start, output, preview):
    rows = start.rows
    texts = sum(bool(row["text"]) for row in rows)
    classes = {label: count for label, count in start.counts().items() if label}
    lines = [
        f"{output}: {len(rows)} pictures, {len(classes)} classes, {texts} with text"
        + (f" (from {start.texts_from})" if start.texts_from else ""),
        f"{preview}: the first of each class",
        "",
        records.table([["label", "text", "image"], *map(_cells, start.mixed(_SHOWN))]),
        "",
        *_counts(classes),
    ]
    if start.unreadable:
        lines.append(f"Left out, since they cannot be read: {len(start.unreadable)}")
        lines += [f"  {image}: {reason}" for image, reason in start.unreadable[:_REASONS]]
        more = len(start.unreadable) - _REASONS
        lines += [f"  … and {more} more"] if more > 0 else []
    for note in [*start.notes, *starting.warnings_of(rows)]:
        lines += textwrap.wrap(f"! {note}", _WIDTH, subsequent_indent="  ")
    return "\n".join([*lines, "", *_next(start, output)])


def _cells(row):
    label = textwrap.shorten(row["label"], 24, placeholder=" …") or "-"
    return [label, textwrap.shorten(row["text"], 40, placeholder=" …") or "-", row["image"]]


def _counts(classes):
    if not classes:
        return []
    most = sorted(classes.items(), key=lambda pair: -pair[1])
    listed = ", ".join(f"{label} {count}" for label, count in most[:_CLASSES])
    more = f" … and {len(most) - _CLASSES} more" if len(most) > _CLASSES else ""
    text = f"Pictures of each class: {listed}{more}"
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _next(start, output):
    """The commands that come next, as far as the manifest is ready for them."""
    counts = start.counts()
    if len([label for label in counts if label]) < 2 or "" in counts:
        return [f"Next: give each row of {output} its label, of two classes at least. Then:"] + (
            _commands(start, output)
        )
    return ["Next:", *_commands(start, output)]


def _commands(start, output):
    data = shlex.quote(output)
    name = shlex.quote(os.path.splitext(os.path.basename(output))[0])
    if not any(row["text"] for row in start.rows):
        model = "efficientnet_lite0_image_only"
        return [f"  tatl-train --model={model} --data={data} --workdir=runs/{name}"]
    model = "efficientnet_lite0_minilm_concat"
    return [
        f"  tatl-certify --data={data} --output=certificates/{name}",
        f"  tatl-train --model={model} --data={data} --workdir=runs/{name}",
    ]


if __name__ == "__main__":
    run()
