"""Values of TensorFlow Serving's JSON as NumPy arrays."""

import base64

import numpy as np

ALONE = "outputs"  # what an output is called that the server does not name, being the only one


def from_rows(rows):
    """Arrays from `predictions`, a list with a dict, or a bare value, for each row.

    Returns:
        A dict from output to array; a list of bare values is called "outputs".

    Raises:
        ValueError: rows differ in their outputs, or in shape; something is no number or string.

    Example:

    >>> from_rows([{"label": "cat", "valid": True}, {"label": "", "valid": False}])["label"]
    array([b'cat', b''], dtype=object)
    """
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"no rows: {rows!r}"[:200])
    if not all(isinstance(row, dict) and set(row) != {"b64"} for row in rows):
        return {ALONE: to_array(rows)}
    names = set(rows[0])
    if not all(set(row) == names for row in rows):
        raise ValueError("rows with different outputs")
    return {name: to_array([row[name] for row in rows]) for name in rows[0]}


def from_columns(columns):
    """Arrays from `outputs`, a dict of lists, or one bare list; otherwise as `from_rows`."""
    if isinstance(columns, dict):
        return {name: to_array(values) for name, values in columns.items()}
    return {ALONE: to_array(columns)}


def to_array(values):
    """A nested list as an array: bool, int64, float32, or bytes as objects.

    The server writes float32 with all digits, a point or an exponent, so that nothing is lost.

    Raises:
        ValueError: it is ragged, empty, of several kinds, or holds something else.

    Example:

    >>> to_array([[0.25, 1.0]]).dtype, to_array([{"b64": "AP8="}])
    (dtype('float32'), array([b'\\x00\\xff'], dtype=object))
    """
    array = np.array(values, object)
    leaves = array.ravel().tolist()
    kinds = set(map(type, leaves))
    if kinds == {bool}:
        return array.astype(bool)
    if kinds == {int}:
        return _numbers(array, np.int64)
    if kinds and kinds <= {int, float}:
        return _numbers(array, np.float32)
    if kinds and kinds <= {str, dict}:
        array.ravel()[:] = [_bytes(leaf) for leaf in leaves]
        return array
    raise ValueError(f"values of kinds {sorted(kind.__name__ for kind in kinds)}")


def _numbers(array, dtype):
    try:
        with np.errstate(over="ignore"):
            return array.astype(dtype)
    except OverflowError as error:
        raise ValueError(f"a number too large: {error}") from error


def _bytes(leaf):
    if isinstance(leaf, str):
        return leaf.encode("utf-8", "surrogatepass")
    if set(leaf) != {"b64"} or not isinstance(leaf["b64"], str):
        raise ValueError("an object that is no base64")
    return base64.b64decode(leaf["b64"], validate=True)
