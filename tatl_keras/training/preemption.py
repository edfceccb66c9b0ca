"""Being told to stop: a signal that is kept until training can be."""

import contextlib
import signal
import sys
import threading

import tensorflow as tf
from absl import logging

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, try again


class Preempted(SystemExit):
    """Training was asked to stop by SIGTERM, wrote a checkpoint, and goes on when called again.

    A program that does not catch it ends with exit code 75 (EX_TEMPFAIL).

    Example:

    >>> Preempted("checkpoint-00000003").code
    75
    """

    def __init__(self, checkpoint):
        super().__init__(EXIT_CODE)
        self.checkpoint = checkpoint


@contextlib.contextmanager
def to_be_called_again():
    """Ends the program with exit code 75 on SIGTERM and on the loss of another worker."""
    is_main = threading.current_thread() is threading.main_thread()
    before = is_main and signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_CODE))
    try:
        yield
    except tf.errors.UnavailableError as error:
        logging.error("Another worker was lost: start all of them again. %s", error.message)
        raise SystemExit(EXIT_CODE) from error
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)


class Watch:
    """Takes SIGTERM while it is open; `asked` says whether one came.

    Only the main thread can take signals; elsewhere nothing is watched.
    """

    def __init__(self):
        self.asked = False
        self._before = None

    def open(self):
        if self._before is None and threading.current_thread() is threading.main_thread():
            self.asked = False
            self._before = signal.signal(signal.SIGTERM, self._take)

    def close(self):
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def _take(self, number, frame):
        self.asked = True
