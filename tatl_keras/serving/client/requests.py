"""Cuts rows into requests, and repeats what a server was not there for."""

import random
import threading
import time

from tatl_keras.serving.client.errors import ServerError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds


def cut(sizes, max_rows, max_bytes):
    """Slices of rows, each as long as `max_rows` and `max_bytes` allow.

    Args:
        sizes: ints, the bytes that each row takes.
        max_rows, max_bytes: ints.

    Returns:
        A list of slices that cover all rows in order.

    Raises:
        ValueError: a row is larger than `max_bytes`.

    Example:

    >>> cut([4, 4, 4, 9, 1], max_rows=2, max_bytes=10)
    [slice(0, 2, None), slice(2, 3, None), slice(3, 5, None)]
    """
    parts, start, held = [], 0, 0
    for place, size in enumerate(sizes):
        if size > max_bytes:
            raise ValueError(
                "`max_message_bytes` must be at least what one row takes. "
                f"Received: {max_bytes} bytes for rows, and row {place} takes {size}"
            )
        if place - start == max_rows or held + size > max_bytes:
            parts.append(slice(start, place))
            start, held = place, 0
        held += size
    parts.append(slice(start, len(sizes)))
    return parts


class Repeater:
    """Sends a request again, after a while, where the server is not there.

    Pauses are random, up to 0.1 s · 2^n before attempt n + 1 (at most 5 s), so that clients do not
    come back all at once. Everything else that a server answers is final.

    Args:
        timeout: float, seconds for a request with all its attempts and pauses.
        max_retries: int, further attempts.
    """

    def __init__(self, timeout, max_retries):
        self._timeout, self._max_retries = timeout, max_retries
        self._closed = threading.Event()
        self._random = random.Random()

    def __call__(self, send, max_retries=None):
        """What `send(seconds)` returns; it gets the seconds that are left.

        Raises:
            ServerError: the last one.
        """
        most = self._max_retries if max_retries is None else max_retries
        deadline, attempts = time.monotonic() + self._timeout, 0
        while True:
            attempts += 1
            try:
                return send(max(deadline - time.monotonic(), 1e-3))
            except ServerError as error:
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempts - 1))
                pause *= self._random.random()
                late = time.monotonic() + pause >= deadline
                if error.code != "UNAVAILABLE" or attempts > most or late:
                    raise ServerError(error.code, error.details, error.address, attempts) from error
                if self._closed.wait(pause):
                    raise ServerError("CANCELLED", "closed", error.address, attempts) from error

    def close(self):
        """Ends all pauses."""
        self._closed.set()
