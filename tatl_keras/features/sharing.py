"""Workers that fill one folder of features together, each its share of the rows."""

import contextlib
import time

import tensorflow as tf
from absl import logging

_SECONDS = 0.5  # between two looks at what others have finished


def worker_of(strategy):
    """Which worker of how many this process is.

    Args:
        strategy: a `tf.distribute.Strategy`.

    Returns:
        `(index, count)`; `(0, 1)` for a process on its own.

    Example:

    >>> import tensorflow as tf
    >>> worker_of(tf.distribute.get_strategy())
    (0, 1)
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1
    resolver = strategy.cluster_resolver
    cluster = resolver.cluster_spec().as_dict()
    tasks = [(role, i) for role in ("chief", "worker") for i in range(len(cluster.get(role, ())))]
    if len(tasks) < 2:
        return 0, 1
    return tasks.index((resolver.task_type, resolver.task_id)), len(tasks)


def share_of(key, count):
    """Which of `count` shares a row is in: a number that its key alone decides."""
    return int.from_bytes(key[:8], "big") % count


@contextlib.contextmanager
def own_shares(fillers):
    """Lets fillers take their worker's share while the block runs, unless another process has it.

    Args:
        fillers: list of `Filler`.
    """
    with contextlib.ExitStack() as stack:
        for filler in fillers:
            filler.takes = filler.shares == 1 or stack.enter_context(filler.turn(filler.share))
        yield


def finish_together(fillers, values):
    """Returns when the rows of all workers are there.

    Shares that other workers are at work on are waited for. One that nobody works on, since its
    worker has died, sees other examples or writes into another folder, is computed here.

    Args:
        fillers: list of `Filler`, behind `own_shares`.
        values: function from a filler to an iterator over what it takes, example by example.
    """
    for filler in fillers:
        done, told = {filler.share} if filler.takes else set(), False
        while waiting := filler.missing() - done:
            for share in sorted(waiting, key=lambda s: (s - filler.share) % filler.shares):
                with filler.turn(share) as free:
                    if free and share in filler.missing():
                        logging.warning(
                            "Worker %d of %d is not at work on its %ss; worker %d takes its share.",
                            share, filler.shares, filler.modality, filler.share,
                        )  # fmt: skip
                        filler.take_over(share, values(filler))
                    if free:
                        done.add(share)
            if waiting - done:
                if not told:
                    logging.info("Waiting for %ss that other workers encode.", filler.modality)
                told = True
                time.sleep(_SECONDS)
