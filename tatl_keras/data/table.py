"""Manifests: CSV, TSV, JSONL and Parquet files with one example per row."""

import csv
import io
import json
import math
import os

import numpy as np
import pandas
import tensorflow as tf

from tatl_keras.data import columns as columns_lib
from tatl_keras.data.pictures import FilePictures
from tatl_keras.data.source import ROLES, Source, complete

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
ENDINGS = (*SEPARATORS, *JSON_LINES, *PARQUET)


def read(path, wanted, where=None):
    """Reads a manifest.

    Args:
        path: file ending in one of `ENDINGS`, on any file system `tf.io.gfile` knows.
        wanted: dict from role to column, as `columns.choose` takes it.
        where: optional dict from column to a value, or a list of values, that rows must have.

    Returns:
        A `Source`.

    Raises:
        ValueError: the file cannot be parsed, or its columns do not fit.
    """
    found = read_rows(path, wanted, where, [("image", "text")])
    folder = os.path.dirname(path)
    cells = found.rows["image"].unique()
    found.pictures = FilePictures({cell: _locate(folder, cell) for cell in cells})
    return found


def read_rows(path, wanted, where, needed):
    """Reads a manifest without its pictures.

    Args:
        path: as in `read`.
        wanted: as in `read`; with the role `target` the rows have that column too.
        where: as in `read`.
        needed: list of tuples of roles; of each tuple one role at least must have a column.

    Returns:
        A `Source`, with `None` for `pictures`.

    Raises:
        ValueError: the file cannot be parsed, or its columns do not fit.
    """
    name = os.path.basename(path)
    frame = _parse(path, name)
    chosen = columns_lib.choose(frame, wanted, name)
    for roles in needed:
        if all(chosen[role] is None for role in roles):
            raise ValueError(
                f"`source` must have a column for {' or '.join(roles)}. Received: source={path!r} "
                f"with columns {list(frame.columns)}. Name it with "
                f"{' or '.join(f'{role}=…' for role in roles)}."
            )
    rows = pandas.DataFrame({"row": np.arange(1, len(frame) + 1)})
    for role in dict.fromkeys((*ROLES, *wanted)):
        rows[role] = _cells(frame, chosen.get(role))
    rows = complete(rows[_matching(frame, where, name)].reset_index(drop=True))
    return Source(name, rows, None, chosen, has_ids=chosen["id"] is not None)


def _parse(path, name):
    """The file as a frame of strings."""
    ending = os.path.splitext(path)[1].lower()
    with tf.io.gfile.GFile(path, "rb") as file:
        contents = file.read()
    try:
        if ending in PARQUET:
            records = pandas.read_parquet(io.BytesIO(contents))
        elif ending in JSON_LINES:
            records = _json_lines(contents.decode("utf-8-sig"), name)
        else:
            records = _separated(contents.decode("utf-8-sig"), SEPARATORS[ending], name)
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} must be UTF-8 text: {error}. Save it in that encoding.") from None
    if records.empty or records.columns.has_duplicates:
        raise ValueError(
            f"{name} must have rows, and columns of different names. "
            f"Received: {len(records)} rows with columns {list(records.columns)}"
        )
    frame = pandas.DataFrame(index=range(len(records)), dtype=str)
    for column in records.columns:
        frame[str(column)] = [_cell(v, column, name) for v in records[column].to_numpy(object)]
    return frame


def _separated(text, separator, name):
    """Rows as strict as can be: a comma that was not quoted must not shift the cells after it."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    try:
        rows += [row for row in lines if row]
    except csv.Error as error:
        raise ValueError(f"{name}, line {lines.line_num} must be well quoted: {error}") from None
    header = rows[0] if rows else []
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise ValueError(
                f"{name}, row {number} must have {len(header)} cells, as the header has. "
                f"Received: {len(row)} cells. Put quotes round a cell with {separator!r} in it."
            )
    return pandas.DataFrame(rows[1:], columns=header, dtype=object)


def _json_lines(text, name):
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{name}, line {number} must be a JSON object: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"{name}, line {number} must be a JSON object. Received: {line[:80]}")
        records.append(record)
    names = dict.fromkeys(key for record in records for key in record)
    cells = {key: [record.get(key) for record in records] for key in names}
    return pandas.DataFrame(cells, dtype=object)  # else 1 becomes 1.0 beside an absent value


def _cell(value, column, name):
    """A cell as a string: nothing is empty, lists are joined with commas."""
    if value is None or value is pandas.NA or value is pandas.NaT:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (list, tuple, np.ndarray)):
        return ", ".join(_cell(v, column, name) for v in value)
    if isinstance(value, (dict, bytes)):
        raise ValueError(
            f"Cells of {name} must be text, numbers or lists. Received: a "
            f"{type(value).__name__} in column {column!r}. Pictures inside the table are not read: "
            "write them to files and name these."
        )
    if isinstance(value, (float, np.floating)):
        return "" if math.isnan(value) else str(int(value)) if value == int(value) else str(value)
    return str(value)


def _cells(frame, column):
    if column is None:
        return [""] * len(frame)
    if isinstance(column, list):
        parts = zip(*(frame[c] for c in column), strict=True)
        return [". ".join(p for p in row if p) for row in parts]
    return frame[column].tolist()


def _matching(frame, where, name):
    mask = np.ones(len(frame), bool)
    for column, values in (where or {}).items():
        if column not in frame.columns:
            raise columns_lib.absent("where", column, list(frame.columns), name)
        values = values if isinstance(values, (list, tuple, set)) else [values]
        mask &= frame[column].isin([_cell(v, column, name) for v in values]).to_numpy(bool)
    if where and not mask.any():
        raise ValueError(f"`where` must leave some rows of {name}. Received: where={where}")
    return mask


def _locate(folder, cell):
    """Where a picture lies: absolute paths and addresses as they are, others beside the file."""
    if not cell or "://" in cell or os.path.isabs(cell):
        return cell
    return os.path.join(folder, cell)
