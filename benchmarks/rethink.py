"""Random and pretrained weights side by side on OpenMoji at low resolution, as `tatl-rethink` does.

    python benchmarks/rethink.py --workdir=runs/rethink

Twenty to thirty minutes on two cores; stopped and called again with the same folder, it goes on
with what is missing. Writes benchmarks/results/rethink.csv, a row an arm and evaluation: accuracy
and its standard deviation over seeds; and rethink_catch_up.csv, a row a pretrained arm: the step
from which on random weights are as good (empty: not within the steps), and the gap at the end.
"""

import csv
import os
import statistics

from absl import app, flags
from conditions import write_results

from tatl_keras import data, training

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the comparison.", required=True)
_DATA = flags.DEFINE_string("data", "tfds:openmoji", "What to learn.")
_MODEL = flags.DEFINE_string("model", "efficientnet_lite0_minilm_concat", "Model of the zoo.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 48, "Height and width in pixels.")
_STEPS = flags.DEFINE_integer("steps", 200, "Training steps of each arm.")
_SEEDS = flags.DEFINE_integer("seeds", 2, "Trainings of each arm.")


def main(argv):
    del argv
    learned, held_out = data.load(_DATA.value, splits=("train", "test"))
    options = {"image_size": _IMAGE_SIZE.value, "steps": _STEPS.value, "seeds": _SEEDS.value}
    workdir = _WORKDIR.value
    summary = training.rethink(_MODEL.value, learned, held_out, workdir, **options, on_run=print)
    print("\n".join(summary["words"]))
    known = {"model": _MODEL.value, "data": _DATA.value, "image_size": _IMAGE_SIZE.value}
    write_results("rethink.csv", [known | row for row in _curves(workdir)])
    found = [
        known | {"size": size, "arm": arm} | catch
        for size, arms in summary["sizes"].items()
        for arm, catch in arms.items()
    ]
    write_results("rethink_catch_up.csv", found)


def _curves(workdir):
    """Rows of the comparison's curves.csv, averaged over seeds."""
    points: dict[tuple, list] = {}
    with open(os.path.join(workdir, "curves.csv"), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = (row["size"], row["arm"], row["step"], row["samples"])
            points.setdefault(key, []).append(float(row["accuracy"]))
    for (size, arm, step, samples), accuracies in points.items():
        row = {"size": size, "arm": arm, "step": step, "samples": samples}
        row |= {"seeds": len(accuracies), "accuracy": round(statistics.mean(accuracies), 4)}
        deviation = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        yield row | {"accuracy_stdev": round(deviation, 4)}


if __name__ == "__main__":
    app.run(main)
