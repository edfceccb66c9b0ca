"""A starter manifest from a folder of pictures: its rows, what is odd about them, its files."""

import collections
import csv
import io
import os

import tatl_keras
from tatl_keras._files import write_whole

COLUMNS = ("image", "text", "label", "group", "split")
ALWAYS = ("image", "text", "label")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
# Tables of texts that are looked for in the folder itself.
_TABLES = [f"{name}{ending}" for name in ("metadata", "captions") for ending in
           (".csv", ".tsv", ".jsonl", ".parquet")]  # fmt: skip
_FEW, _UNEVEN = 10, 10
_LISTED = 10


class Start:
    """What a manifest will hold.

    Attributes:
        rows: list of dicts with `COLUMNS` and `copy`, which pictures share that are the same bit
            for bit, all str; `image` is relative to the folder.
        unreadable: list of pairs of picture and reason.
        notes: list of str, what was passed over.
        texts_from: str, where texts were found.
    """

    def __init__(self, folder, captions=None, aside=()):
        """Reads a folder.

        Args:
            folder: folder with pictures, in a sub-folder for each class or not.
            captions: table of texts; by default one called metadata or captions in the folder.
            aside: files that are none of the data, should they be in the folder.

        Raises:
            ValueError: there is no picture, or the table names none of them.
        """
        from tatl_keras.data import folder as folders

        table = captions or _find_table(folder)
        others = [*aside, *([] if table is None else [table])]
        others = [os.path.relpath(path, folder).replace(os.sep, "/") for path in others]
        source = folders.read(folder, names=(), aside=others)
        errors, digests = source.pictures.check(source.rows, "decode")
        self.unreadable = [(source.rows["image"][i], errors[i]) for i in errors]
        frame = source.rows.drop(index=list(errors))
        if frame.empty:
            raise ValueError(
                f"the folder must have a picture that can be read. Received: {folder!r} with "
                f"{len(errors)} that cannot; the first: {' '.join(self.unreadable[0])}"
            )
        self.notes = list(source.notes)
        self.rows = frame[list(COLUMNS)].to_dict("records")
        self.texts_from = ".txt files beside the pictures" if source.columns["text"] else ""
        self._name_duplicates([digests[i] for i in frame.index])
        if table is not None:
            self._add_texts(folder, table)

    def _name_duplicates(self, digests):
        times = collections.Counter(digests)
        for row, digest in zip(self.rows, digests, strict=True):
            row["copy"] = row["group"] = f"same-{digest[:12]}" if times[digest] > 1 else ""

    def _add_texts(self, folder, path):
        """Texts, groups, and labels where folders gave none, from a table of the pictures."""
        from tatl_keras.data import table

        name = os.path.basename(path)
        wanted = dict.fromkeys(tatl_keras.data.source.ROLES) | {"id": False, "split": False}
        found = collections.defaultdict(list)
        for row in table.read(path, wanted).rows.to_dict("records"):
            for key in _keys(folder, path, row["image"]):
                found[key].append(row)
        times = collections.Counter(os.path.basename(row["image"]) for row in self.rows)
        used = 0
        for row in self.rows:
            base = os.path.basename(row["image"])
            known = found.get(row["image"]) or (found.get(base, []) if times[base] == 1 else [])
            used += bool(known)
            texts = dict.fromkeys(one["text"] for one in known if one["text"])
            row["text"] = row["text"] or ". ".join(texts)
            row["label"] = row["label"] or _first(known, "label")
            row["group"] = _first(known, "group") or row["group"]
        if not used:
            raise ValueError(
                f"--captions must name pictures of the folder, as {self.rows[0]['image']!r} is "
                f"one. Received: {path!r}, which names none of its {len(self.rows)}."
            )
        self.texts_from = " and ".join(filter(None, [self.texts_from, name]))
        if used < len(self.rows):
            self.notes.append(f"{name} names {used} of {len(self.rows)} pictures")

    def columns(self):
        """The columns that are written: those that have to be there, and others that hold some."""
        return [name for name in COLUMNS if name in ALWAYS or any(r[name] for r in self.rows)]

    def counts(self):
        """Dict from label to number of pictures; `""` are those without."""
        return dict(sorted(collections.Counter(row["label"] for row in self.rows).items()))

    def mixed(self, count):
        """Some rows, of each class in turn, in the order of the manifest."""
        places = collections.Counter()
        order = []
        for number, row in enumerate(self.rows):
            places[row["label"]] += 1
            order.append((places[row["label"]], number))
        return [self.rows[number] for _, number in sorted(order)[:count]]

    def write(self, path, folder):
        """Writes the manifest; pictures are named relative to it."""
        start = os.path.dirname(os.path.abspath(path))
        names, text = self.columns(), io.StringIO(newline="")
        separator = SEPARATORS[os.path.splitext(path)[1].lower()]
        writer = csv.writer(text, delimiter=separator, lineterminator="\n")
        writer.writerow(names)
        for row in self.rows:
            image = os.path.relpath(os.path.join(os.path.abspath(folder), row["image"]), start)
            cells = row | {"image": image.replace(os.sep, "/")}
            writer.writerow([cells[name] for name in names])
        write_whole(path, text.getvalue().encode("utf-8"))


def warnings_of(rows):
    """What to know of rows before anything is trained on them: a list of sentences.

    Args:
        rows: list of dicts, `Start.rows`.
    """
    return [*_of_labels(rows), *_of_texts(rows), *_of_duplicates(rows)]


def _of_labels(rows):
    counts = collections.Counter(row["label"] for row in rows if row["label"])
    unlabelled = sum(not row["label"] for row in rows)
    if not counts:
        yield "There are no sub-folders, so no labels: fill in the column label."
        return
    if unlabelled:
        yield f"{unlabelled} pictures lie in no class's folder: give them a label, or remove them."
    if len(counts) == 1:
        yield f"There is one class only, {next(iter(counts))!r}: there is nothing to tell apart."
    single = [label for label, count in counts.items() if count == 1]
    if single:
        yield f"{_some(single)} has a single picture: it cannot be learned and tested."
    few = [label for label, count in counts.items() if 1 < count < _FEW]
    if few:
        yield (
            f"{_some(few)} has fewer than {_FEW} pictures: expect wide intervals, and give "
            "tatl-train --class_texts=names."
        )
    (most, large), (least, small) = counts.most_common()[0], counts.most_common()[-1]
    if large >= _UNEVEN * small:
        yield (
            f"{most!r} has {large} pictures and {least!r} {small}: compare with "
            "'always the same class', which every report shows."
        )


def _of_texts(rows):
    without = [row for row in rows if not row["text"]]
    if len(without) == len(rows):
        yield (
            "There is no text: fill in the column text, or take a model of pictures alone "
            "(efficientnet_lite0_image_only)."
        )
        return
    if without:
        share = f"{len(without) / len(rows):.0%}"
        yield f"{len(without)} of {len(rows)} pictures ({share}) have no text."
    told = {row["label"] for row in rows if row["text"]}
    silent = sorted({row["label"] for row in without} - told - {""})
    if silent:
        yield f"{_some(silent)} has no text at all, so that a missing text tells the label."


def _of_duplicates(rows):
    groups = collections.defaultdict(list)
    for row in rows:
        if row["copy"]:
            groups[row["copy"]].append(row)
    if groups:
        count = sum(map(len, groups.values()))
        yield (
            f"{count} pictures are {len(groups)} in several copies, bit for bit; the column group "
            "keeps copies on one side of a split."
        )
    for what, role in (("class", "label"), ("split", "split")):
        torn = [some for some in groups.values() if len({row[role] for row in some}) > 1]
        if torn:
            files = " and ".join(repr(row["image"]) for row in torn[0][:2])
            yield f"{len(torn)} of them are in more than one {what}, such as {files}."


def _some(labels):
    named = ", ".join(map(repr, labels[:_LISTED])) + (" …" if len(labels) > _LISTED else "")
    return named if len(labels) == 1 else f"Each of {len(labels)} classes ({named})"


def _first(rows, name):
    return next((row[name] for row in rows if row[name]), "")


def _find_table(folder):
    """The path of a table of texts in the folder, or `None`."""
    paths = [os.path.join(folder, name) for name in _TABLES]
    return next(filter(os.path.isfile, paths), None)


def _keys(folder, table, image):
    """As which names a table's picture may be known: relative to the folder.

    Also by its own name, where the table gives it without a folder.
    """
    beside = os.path.join(os.path.dirname(os.path.abspath(table)), image)
    relative = os.path.relpath(beside, os.path.abspath(folder)).replace(os.sep, "/")
    return {relative} | ({image} if os.path.basename(image) == image else set())
