"""What a card says of measured results."""

import statistics

from tatl_keras.zoo.comparisons import compare, verdict


def mean_accuracy(rows):
    """The mean over the rows of a results.csv; `None` where there are none.

    Example:

    >>> mean_accuracy([{"accuracy": "0.5"}, {"accuracy": "0.75"}])
    0.625
    """
    accuracies = [float(row["accuracy"]) for row in rows]
    return statistics.mean(accuracies) if accuracies else None


def result_lines(name, results):
    """Lines of Markdown on an entry's accuracy, and on what it gains over its controls.

    Args:
        name: the entry's name.
        results: dict from entry to the rows of its results.csv.
    """
    rows = results.get(name, ())
    if not rows:
        return ["Not measured yet."]
    return [*_accuracies(rows), *_comparisons(name, results)]


def _accuracies(rows):
    accuracies = [float(row["accuracy"]) for row in rows]
    spread = f" ± {statistics.stdev(accuracies):.1%} (standard deviation)" if len(rows) > 1 else ""
    one = rows[0]
    return [
        f"Accuracy {statistics.mean(accuracies):.1%}{spread} over {len(rows)} seeds on "
        f"{one['num_examples']} held-out examples of `{one['data']}`; always answering the most "
        f"frequent class gives {float(one['majority_accuracy']):.1%}.",
        "",
        "| seed | accuracy | training, s |",
        "|---|---|---|",
        *(
            f"| {r['seed']} | {float(r['accuracy']):.1%} | {float(r['fit_seconds']):.0f} |"
            for r in rows
        ),
        "",
        f"`{one['command']}` at {one['commit']} on {one['date']}, {one['device']}, TensorFlow "
        f"{one['tensorflow']}, Keras {one['keras']}.",
    ]


def _comparisons(name, results):
    """A table of what the entry gains over its controls, where it can be told."""
    found = compare(name, results)
    if not found:
        return []
    lines = ["", "| accuracy against | points | 95 % interval | |", "|---|---|---|---|"]
    for other, gain in found:
        mean, low, high = (100 * gain[key] for key in ("mean", "low", "high"))
        interval = f"{low:+.1f} to {high:+.1f}"
        lines.append(f"| `{other}` | {mean:+.1f} | {interval} | {verdict(gain)} |")
    return [
        *lines,
        "",
        "Paired by seed, on one split; intervals allow for seeds and for the held-out pictures.",
    ]
