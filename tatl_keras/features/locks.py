"""One process at a time fills a folder of features."""

import contextlib
import fcntl
import os

from absl import logging

LOCK = ".lock"


@contextlib.contextmanager
def taking_turns(folder, shared=False):
    """Makes a folder and holds its lock while the block runs; waits for it, and says for whom.

    The lock only keeps two processes from computing the same rows; files are whole without it, and
    where the file system has no locks the block runs at once.

    Args:
        folder: its path.
        shared: bool, hold it together with others that say so too.

    Raises:
        OSError: the folder or its lock file cannot be written.
    """
    path = os.path.join(folder, LOCK)
    with contextlib.ExitStack() as stack:
        while True:
            os.makedirs(folder, exist_ok=True)
            file = stack.enter_context(open(path, "a+", encoding="utf-8"))
            _wait_for(file, folder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            # Whoever removed the folder meanwhile held another lock than the next to make it.
            if os.path.exists(path) and os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                break
            file.close()
        yield


@contextlib.contextmanager
def if_free(folder):
    """Yields whether no other process fills the folder; none can while the block runs."""
    free = True
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(os.path.join(folder, LOCK), "rb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        except OSError:  # no lock file yet, or a file system without locks
            pass
        yield free


@contextlib.contextmanager
def if_idle(folder, task):
    """Makes a folder and yields whether no other process does a task in it; none can meanwhile.

    Where the folder cannot be written or has no locks that is taken for granted.

    Args:
        folder: its path.
        task: str, part of a file's name.
    """
    idle = True
    with contextlib.ExitStack() as stack:
        try:
            os.makedirs(folder, exist_ok=True)
            file = stack.enter_context(open(os.path.join(folder, f"{LOCK}-{task}"), "ab"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            idle = False
        except OSError:
            pass
        yield idle


def _wait_for(file, folder, kind):
    with contextlib.suppress(OSError):
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            logging.warning("Process %s fills %s too; taking turns.", file.read() or "?", folder)
            fcntl.flock(file, kind)
        file.truncate(0)
        if kind == fcntl.LOCK_EX:
            file.write(str(os.getpid()))
            file.flush()
