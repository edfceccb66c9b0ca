"""Proof: what was measured comes with its conditions and its controls."""

import csv
import pathlib
import statistics

from tatl_keras.training.proofs.subject import ProofError
from tatl_keras.zoo.card_texts import BASELINES, SCORES, result_row, say_seeds
from tatl_keras.zoo.cards import FOLDER
from tatl_keras.zoo.comparisons import controls
from tatl_keras.zoo.registry import CLASSIFY

CONDITIONS = ("command", "commit", "date", "device", "tensorflow", "keras")


def prove(subject, folder=FOLDER):
    """Reads zoo/<name>/results.csv and those of its controls.

    Scores of texts have baselines for controls, in the same row.

    Args:
        subject: `Subject`.
        folder: where the entries' folders are.

    Returns:
        A dict with `result`, `bound` and `facts`.

    Raises:
        ProofError: a row lacks a condition, or a control was not measured with the same seeds on
            as many examples of the same data; a row of texts is not as
            `zoo.card_texts.result_row` makes them.
    """
    rows = read_results(folder, subject.name)
    if not rows:
        return {"result": "not measured", "bound": "", "facts": {"seeds": []}}
    lacking = {name for row in rows for name in CONDITIONS if not row.get(name)}
    if lacking:
        raise ProofError(f"results.csv should name the {' and '.join(sorted(lacking))} of each row")
    if subject.spec.task == CLASSIFY:
        return _accuracies(subject, folder, rows)
    return _scores(rows)


def _accuracies(subject, folder, rows):
    """What is proven of an entry that classifies."""
    seeds, compared = [row["seed"] for row in rows], controls(subject.spec)
    measured_on = _measured_on(rows)
    for control in compared:
        if _measured_on(read_results(folder, control)) != measured_on:
            said = "; ".join(map(" ".join, measured_on))
            raise ProofError(f"the control {control} should be measured with {said}")
    accuracy = statistics.mean(float(row["accuracy"]) for row in rows)
    words = f", beside {len(compared)} controls" if compared else ""
    return {
        "result": f"accuracy {accuracy:.1%} over {len(rows)} seeds{words}",
        "bound": "conditions in every row, controls with the same seeds and data",
        "facts": {
            "accuracy": accuracy,
            "seeds": seeds,
            "data": rows[0]["data"],
            "controls": compared,
        },
    }


def _measured_on(rows):
    """Of each row its seed, its data and their numbers of examples, as words."""
    names = ("seed", "data", "num_train", "num_examples")
    return [tuple(f"{name}={row.get(name)}" for name in names) for row in rows]


def _scores(rows):
    """What is proven of an entry that writes."""
    for row in rows:
        made = _as_measured(row)
        wrong = sorted(name for name, value in made.items() if float(row[name]) != value)
        if wrong:
            raise ProofError(f"results.csv should have {wrong[0]} to four digits: {row[wrong[0]]}")
    known = [name for name in BASELINES if f"{name}_chrf" in rows[0]]
    chrf = statistics.mean(float(row["chrf"]) for row in rows)
    return {
        "result": f"chrF {chrf:.1f} over {say_seeds(rows)}, beside {len(known)} baselines",
        "bound": "conditions in every row, baselines on the same examples",
        "facts": {
            "chrf": chrf,
            "seeds": [row["seed"] for row in rows],
            "data": rows[0]["data"],
            "baselines": known,
        },
    }


def _as_measured(row):
    """The row that `result_row` makes of the numbers in a row; a ProofError where some lack."""
    try:
        metrics = {score: {"value": float(row[score])} for score in SCORES}
        metrics |= {name: float(row[name]) for name in ("perplexity", "unigram_perplexity")}
        baselines = {
            name: {score: {"value": float(row[f"{name}_{score}"])} for score in ("chrf", "bleu")}
            for name in BASELINES
            if name == "nearest" or f"{name}_chrf" in row
        }
    except KeyError as error:
        raise ProofError(f"results.csv should have the column {error.args[0]}") from error
    return result_row(metrics | {"baselines": baselines})


def read_results(folder, name):
    """The rows of an entry's results.csv; none where there is no such file."""
    path = pathlib.Path(folder) / name / "results.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
