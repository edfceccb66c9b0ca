"""Writes measurements with the conditions they were taken under."""

import csv
import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import subprocess
import sys

RESULTS = pathlib.Path(__file__).resolve().parent / "results"


def conditions():
    """Command, commit, date, device and versions, as the columns of every results file."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=RESULTS.parent, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    versions = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras")}
    return {
        "command": shlex.join(["python", *_relative(sys.argv)]),
        "commit": commit,
        "date": datetime.date.today().isoformat(),
        "device": f"CPU, {os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def write_results(name, rows):
    """Writes `rows`, dicts with the same keys, to benchmarks/results/`name` with `conditions`."""
    columns = conditions()
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / name, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *columns], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | columns for row in rows)


def _relative(arguments):
    """The command line as typed at the root of the checkout."""
    root = RESULTS.parent.parent
    first = pathlib.Path(arguments[0]).resolve()
    script = first.relative_to(root) if first.is_relative_to(root) else first
    return [str(script), *arguments[1:]]
