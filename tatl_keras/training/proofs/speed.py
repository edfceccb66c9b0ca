"""Proof: how fast and how large an entry is, in classes that do not depend on the machine."""

import statistics
import time

import numpy as np
import tensorflow as tf

from tatl_keras.training.proofs.subject import BATCH_SIZE, NotCheckedError

# The reference: a 3 × 3 convolution from 64 to 64 channels of 56 × 56 places, a layer of ResNet-50.
SIDE, CHANNELS, KERNEL = 56, 64, 3
ROUNDS, SECONDS = 5, 0.2
# The upper bounds of the classes: references an example, and bytes.
SPEEDS = {"tiny": 3, "small": 25, "medium": 120, "large": 500}
MEMORIES = {"up to 0.25 GB": 2**28, "up to 1 GB": 2**30, "up to 4 GB": 2**32}
TOLERANCE = 4  # the factor within which a later measurement confirms an earlier one


def prove(subject):
    """Measures answers beside a reference in turns, and the memory of a training step.

    The class of speed goes by the median ratio of the time of an example, or of a text that is
    written, to that of the reference: one convolution, 231 million multiplications and additions.
    What a machine is busy with slows both. Most of these texts end at the limit of their length.

    Returns:
        A dict with `result`, `bound`, `facts` and `measured`.

    Raises:
        NotCheckedError: this system does not tell how much memory was taken.
    """
    model = subject.model
    if subject.memory is None:
        raise NotCheckedError("needs Linux, where a process learns its peak memory")
    with subject.at_work():
        ratio, rate = _compare(subject.asking(model), _reference())
    speed, memory = _class(ratio, SPEEDS, "huge"), _class(subject.memory, MEMORIES, "over 4 GB")
    gigabytes = subject.memory / 2**30
    return {
        "result": f"{speed}: {subject.each} takes {ratio:.2g} references ({rate:.3g} "
        f"{subject.each.split()[-1]}s/s); "
        f"a training step {memory} more ({gigabytes:.2f} GB)",
        "bound": f"a factor of {TOLERANCE}; batches of {BATCH_SIZE}",
        "facts": {"speed": speed, "memory": memory},
        "measured": {"references": ratio, "per_second": rate, "bytes": subject.memory},
    }


def differences(written, found):
    """In words, what was measured before and now differs by more than noise."""
    pairs = {name: (written[name], found[name]) for name in ("references", "bytes")}
    return [
        f"{name} was {before:.3g}, is {now:.3g}"
        for name, (before, now) in pairs.items()
        if max(before, now) > TOLERANCE * max(min(before, now), _FLOORS[name])
    ]


_FLOORS = {"references": 0.25, "bytes": 2**26}  # below that, only noise is measured


def _reference():
    """A function that computes the reference for a batch."""
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(size=(BATCH_SIZE, SIDE, SIDE, CHANNELS)), tf.float32)
    kernel = tf.constant(rng.normal(size=(KERNEL, KERNEL, CHANNELS, CHANNELS)), tf.float32)
    convolve = tf.function(lambda: tf.reduce_sum(tf.nn.conv2d(images, kernel, 1, "SAME")))
    return lambda: convolve().numpy()


def _compare(call, reference):
    """The median over rounds of the ratio of times, and calls' examples a second."""
    call(), reference()
    pairs = [(_seconds(call), _seconds(reference)) for _ in range(ROUNDS)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    return ratio, BATCH_SIZE / statistics.median(ours for ours, _ in pairs)


def _seconds(call):
    """Seconds of one call, the mean over a short while."""
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < SECONDS:
        call()
        count += 1
    return (time.perf_counter() - start) / count


def _class(value, bounds, largest):
    return next((name for name, bound in bounds.items() if value <= bound), largest)
