"""CPU time of solved heads, and how exact leave-one-out is, on features made by chance.

    OPENBLAS_NUM_THREADS=1 python benchmarks/solver.py

Features of 1,280 image and 384 text channels. Each row is one problem: classes x examples a class.
`exact` is everything the exact solver looks at (41 penalties each of image, text, three shares of
text; late fusion; all with leave-one-out), `logistic` the cross-validated path after it. The peers
are scikit-learn's RidgeClassifierCV (one share, the same 41 penalties, leave-one-out) and one fit
of LogisticRegression. `error` is the largest difference between leave-one-out and refits of 10
rows. CPU seconds of all threads, whose waiting counts too: take one. Medians. Writes
benchmarks/results/solver.csv.
"""

import os
import statistics
import time
import warnings

import numpy as np
from absl import app, flags
from conditions import write_results
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifierCV

from tatl_keras.training.head_rows import HeadRows
from tatl_keras.training.head_search import PENALTIES, Search

_PROBLEMS = flags.DEFINE_list("problems", ["10x16", "100x1", "100x16"], "Classes x examples each.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "How often each is measured; interleaved.")
_LOGISTIC = flags.DEFINE_bool("logistic", True, "Measure logistic regression too.")
_IMAGE, _TEXT = 1280, 384


def main(argv):
    del argv
    rows = []
    for problem in _PROBLEMS.value:
        classes, each = map(int, problem.split("x"))
        examples = _examples(classes, each)
        seconds: dict[str, list] = {}
        for _ in range(_REPEATS.value):
            for name, spent in _measure(examples, each > 1 and _LOGISTIC.value).items():
                seconds.setdefault(name, []).append(spent)
        row = {"classes": classes, "examples_per_class": each, "channels": _IMAGE + _TEXT}
        row["threads"] = os.environ.get("OPENBLAS_NUM_THREADS", "")
        row |= {"penalties": len(PENALTIES), "repeats": _REPEATS.value, "error": _error(examples)}
        names = ("exact", "logistic", "sklearn_ridge_cv", "sklearn_logistic")
        for name in names:
            found = seconds.get(name)
            row[f"{name}_cpu_s"] = round(statistics.median(found), 3) if found else ""
        rows.append(row)
        print(row, flush=True)
    write_results("solver.csv", rows)


def _examples(classes, each):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), each)
    parts = []
    for channels in (_IMAGE, _TEXT):
        centres = 0.1 * rng.normal(size=(classes, channels))
        part = centres[labels] + rng.normal(size=(len(labels), channels))
        parts.append(16 * part / np.linalg.norm(part, axis=1, keepdims=True))
    x = np.concatenate(parts, axis=1)
    nothing = np.zeros((0, x.shape[1])), np.zeros(0, int), np.zeros(0)
    counts = np.full(classes, each)
    return HeadRows(x, labels, np.ones(len(x)), *nothing, _IMAGE, classes, None, len(x), counts)


def _measure(rows, logistic):
    seconds = {}

    def timed(name, function):
        start = time.process_time()
        result = function()
        seconds[name] = time.process_time() - start
        return result

    search = Search(rows)
    choice = timed("exact", lambda: search.exact("auto"))
    peer = RidgeClassifierCV(alphas=512 * PENALTIES)
    timed("sklearn_ridge_cv", lambda: peer.fit(rows.x, rows.labels))
    if logistic:
        timed("logistic", lambda: search.logistic(choice))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = LogisticRegression(C=10, max_iter=2000)
            timed("sklearn_logistic", lambda: peer.fit(rows.x / 16, rows.labels))
    return seconds


def _error(rows):
    """The largest difference between leave-one-out and refits, over 3 penalties and 10 rows."""
    if rows.counts.min() < 2:
        return ""
    ridge = rows.ridge(0.5, 0.0)
    penalties = PENALTIES[[5, 20, 35]] * ridge.size
    largest = 0.0
    for penalty, scores in zip(penalties, ridge.leave_one_out(penalties), strict=True):
        for row in np.linspace(0, len(rows.x) - 1, 10).astype(int):
            seen = np.arange(len(rows.x)) != row
            peer = Ridge(alpha=penalty).fit(rows.x[seen], ridge.targets[seen])
            largest = max(largest, np.abs(peer.predict(rows.x[[row]])[0] - scores[row]).max())
    return f"{largest:.1e}"


if __name__ == "__main__":
    app.run(main)
