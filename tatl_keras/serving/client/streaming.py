"""Many examples asked about, a few requests at a time."""

import collections
import concurrent.futures
import itertools

import numpy as np

from tatl_keras.serving.client.errors import ServerError

# What concerns a request's rows and not all requests: their rows get the error.
_OF_ROWS = ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN")


def stream(client, examples, *, in_flight=4):
    """Asks about any number of examples; rows of JSON come in their order.

    At most `in_flight` requests, each of the client's `max_rows` rows, are held in memory, answers
    that wait for an earlier one included.

    Args:
        client: a `Client`.
        examples: iterable of (id, picture as bytes, text as str or bytes); an exception instead of
            the picture stands for one that could not be read, and is told.
        in_flight: int, requests under way at once.

    Yields:
        A list of dicts for each request: `id` and, of the signature `serving_default`, `label`,
        `probability` (the largest), `valid`, `evidence` and `probabilities`; or `id` and `error`.

    Raises:
        ValueError: `in_flight` is below 1.
        ServerError: the server does not answer, or knows no such model: nothing could be asked.

    Example:

    >>> from tatl_keras.serving import client as clients
    >>> with clients.Client("localhost:1", "pets") as client:
    ...     list(stream(client, [("cat.jpg", FileNotFoundError("cat.jpg is missing"), "")]))
    [[{'id': 'cat.jpg', 'error': 'cat.jpg is missing'}]]
    """
    if isinstance(in_flight, bool) or not isinstance(in_flight, int) or in_flight < 1:
        raise ValueError(f"`in_flight` must be an int, at least 1. Received: in_flight={in_flight}")
    return _stream(client, examples, in_flight)


def _stream(client, examples, in_flight):
    pool = concurrent.futures.ThreadPoolExecutor(in_flight, thread_name_prefix="tatl-client")
    waiting = collections.deque()
    try:
        for rows in _batches(client, examples):
            if len(waiting) == in_flight:
                yield waiting.popleft().result()
            waiting.append(pool.submit(_answer, client, rows))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _batches(client, examples):
    """Lists of examples, no longer than a request may be."""
    rows, held = [], 0
    for name, image, text in examples:
        size = 0 if isinstance(image, Exception) else client.row_bytes(image, text)
        if size > client.max_bytes:
            reason = f"takes {size} bytes, more than a request's {client.max_bytes}"
            image, size = ValueError(reason), 0
        if rows and (len(rows) == client.max_rows or held + size > client.max_bytes):
            yield rows
            rows, held = [], 0
        rows.append((name, image, text))
        held += size
    if rows:
        yield rows


def _answer(client, rows):
    asked = [row for row in rows if not isinstance(row[1], Exception)]
    found, failed = iter(()), None
    if asked:
        try:
            answer = client.predict([row[1] for row in asked], [row[2] for row in asked])
            found = iter(_rows(answer, client.address))
        except ServerError as error:
            if error.code not in _OF_ROWS:
                raise
            failed = str(error)
    written = []
    for name, image, _ in rows:
        if isinstance(image, Exception):
            written.append({"id": name, "error": str(image)})
        elif failed is not None:
            written.append({"id": name, "error": failed})
        else:
            written.append({"id": name, **next(found)})
    return written


def _rows(answer, address):
    """Dicts of what `serving_default` answered; float32 with the digits that tell it apart."""
    missing = sorted({"label", "probabilities"} - set(answer))
    if missing:
        details = f"no {missing[0]!r} among the outputs: a model of another kind"
        raise ServerError("UNIMPLEMENTED", details, address)
    columns = itertools.zip_longest(
        answer["label"],
        answer["probabilities"],
        answer.get("valid", ()),
        answer.get("evidence", ()),
    )
    for label, probabilities, valid, evidence in columns:
        values = [float(str(value)) for value in np.float32(probabilities)]
        row = {"label": label.decode(), "probability": max(values)}
        if valid is not None:
            row["valid"] = bool(valid)
        if evidence is not None:
            row["evidence"] = evidence.decode()
        yield row | {"probabilities": values}
