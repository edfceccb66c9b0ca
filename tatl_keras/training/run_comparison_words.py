"""What a comparison of runs says, as rows of tables and as plain sentences."""

import os

from tatl_keras.training.certificate_words import probability
from tatl_keras.training.report_setup import duration

HEADER = (
    "run", "accuracy", "95 % interval", "loss", "ECE", "learned", "training", "seed", "model",
    "data",
)  # fmt: skip
ABOUT = (
    "Intervals and p-values are about other test examples of the same kind, each pair by itself; "
    "what another seed would give is not in them."
)


def rows_of(results):
    """A row of texts a run, under `HEADER`."""
    return [
        [
            run["name"], f"{run['accuracy']:.1%}", f"{run['low']:.1%} to {run['high']:.1%}",
            f"{run['loss']:.4f}", "-" if run["ece"] is None else f"{run['ece']:.1%}",
            f"{run['learned']:,}", duration(run["fit_seconds"]), str(run["seed"]), run["model"],
            os.path.basename(run["source"]) or run["source"],
        ]
        for run in results["runs"]
    ]  # fmt: skip


def different_rows(results, part):
    """Header and rows of what differs: `flags`, `versions` or `data`; no rows where nothing does.

    Example:

    >>> results = {"runs": [{"name": "a"}, {"name": "b"}], "flags": {"epochs": [3, None]}}
    >>> different_rows(results, "flags")
    (['flags', 'a', 'b'], [['epochs', '3', '-']])
    """
    header = [part, *(run["name"] for run in results["runs"])]
    return header, [[name, *map(_value, column)] for name, column in results[part].items()]


def sentences(results):
    """A sentence a pair: a difference is claimed only where its interval leaves out zero."""
    said = []
    for pair in results["pairs"]:
        first, second = pair["first"], pair["second"]
        sure = int(pair["low"] > 0) - int(pair["high"] < 0)
        verdict = {1: "better than", 0: "not surely different from", -1: "worse than"}[sure]
        text = (
            f"{second} is {verdict} {first} on the same {pair['examples']:,} examples: "
            f"{100 * pair['difference']:+.1f} points, 95 % interval {100 * pair['low']:+.1f} to "
            f"{100 * pair['high']:+.1f}, {probability(pair['p_value'])}; {second} alone is right "
            f"for {pair['only_second']:,}, {first} alone for {pair['only_first']:,}."
        )
        if pair["loss"]:
            loss = pair["loss"]
            text += (
                f" Loss {loss['mean']:+.4f}, 95 % interval {loss['low']:+.4f} to "
                f"{loss['high']:+.4f}."
            )
        said.append(text)
    return said


def warnings_of(results):
    """Why runs cannot be compared, or only with care."""
    first, *others = results["runs"]
    said = [
        f"{run['name']} is a trial run (--smoke): its numbers mean nothing."
        for run in results["runs"]
        if run["smoke"]
    ]
    paired = {pair["second"] for pair in results["pairs"]}
    for run in others:
        ours, theirs = first["name"], run["name"]
        kept = None not in (run["ece"], first["ece"])
        if set(run["class_names"]) != set(first["class_names"]):
            said.append(f"{theirs} has other classes than {ours}: they answer other questions.")
        if theirs not in paired and (run["test"] != first["test"] or kept):
            said.append(
                f"{theirs} was asked about other test examples than {ours}: do not compare their "
                "numbers. tatl-evaluate asks both about the same ones."
            )
        elif theirs not in paired:
            said.append(
                f"{ours} or {theirs} has kept no predictions: their intervals are not paired."
            )
        elif run["test"] != first["test"] and run["class_names"] == first["class_names"]:
            known = run["fingerprint_of"] == first["fingerprint_of"]
            what = "contents are not the same" if known else "contents were checked in another way"
            said.append(
                f"{theirs} was asked about test examples of the same names as {ours}, whose {what}."
            )
        if run["train"] != first["train"]:
            said.append(
                f"{theirs} learned from other examples than {ours}: a difference may come from the "
                "data."
            )
    return said


def _value(value):
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return "-" if value is None else str(value)
