"""tatl-compare: training runs side by side, and how sure their differences are.

    tatl-compare runs/concat runs/gated
    tatl-compare runs/* --output=compare.html
    tatl-compare --smoke

The others are compared with the first. Prints accuracy with its interval, loss, calibration (ECE),
learned parameters and time of each, what differs in flags, data and versions, and, where the test
examples are the same, paired differences. --output gets all of it, with curves, as one page that
needs no other file. What cannot be compared is said.
"""

import contextlib
import sys

from absl import app, flags

import tatl_keras
from tatl_keras.bin import common, records, trained

for _name in ("output", "overwrite", "register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "output": "HTML page to write.",
    "overwrite": "Replace --output if it exists.",
    "smoke": "Compare a new trial run with nothing else. Needs no data.",
}


def run():
    common.run(main, sys.modules[__name__])


def main(workdirs):
    """Prints the comparison and, when told so, writes the page."""
    common.check_output()
    with contextlib.ExitStack() as stack:
        if common.SMOKE.value:
            workdirs = [*workdirs, trained.smoke_workdir(stack, None)]
        elif not workdirs:
            raise app.UsageError("there must be one folder of a run, or more.")
        found = tatl_keras.training.compare_runs(workdirs)
    words = tatl_keras.training.run_comparison_words
    print(records.table([list(words.HEADER), *words.rows_of(found.results)]))
    for part in ("flags", "data", "versions"):
        header, rows = words.different_rows(found.results, part)
        if rows:
            print("\n" + records.table([header, *rows]))
    said = words.sentences(found.results)
    if said:
        print("\n" + "\n".join([*said, words.ABOUT]))
    for warning in found.results["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    if common.OUTPUT.value:
        found.save(common.OUTPUT.value)
        print(f"\nWritten: {common.OUTPUT.value}")


if __name__ == "__main__":
    run()
