"""tatl-evaluate: how good a trained model is, class by class.

    tatl-evaluate --workdir=runs/pets
    tatl-evaluate --workdir=runs/pets --data=new.csv --output=new.json

Without --data the test split of the training is used. Flags about data that are not given are those
of the training.
"""

import contextlib
import sys

from absl import flags

import tatl_keras
from tatl_keras.bin import common, data_flags, records, trained

flags.adopt_module_key_flags(data_flags)
for _name in ("workdir", "split", "output", "overwrite", "batch_size"):
    flags.declare_key_flag(_name)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "workdir": "Folder of the run whose model is evaluated.",
    "data": "Labelled examples; default: those of the training.",
    "split": "Split to use. Default: the test split of the training; all of another --data.",
    "output": "JSON file to write the metrics to.",
    "overwrite": "Replace --output if it exists.",
}


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Prints the metrics and, when told so, writes them."""
    common.no_arguments(arguments)
    common.check_output()
    with contextlib.ExitStack() as stack:
        if common.SMOKE.value:
            workdir = trained.smoke_workdir(stack, common.WORKDIR.value)
        else:
            common.required(common.WORKDIR)
            workdir = common.WORKDIR.value
        config = trained.read_config(workdir)
        model = trained.load_model(workdir)
    examples = trained.load_split(config, common.SPLIT.value)
    if trained.changed_since_training(config, examples):
        print("warning: the examples are not those of the training any more", file=sys.stderr)
    counts = config["data"]["train"]["class_counts"]
    metrics = records.measure(model, examples, counts, common.BATCH_SIZE.value)
    metrics |= {key: examples.summary[key] for key in ("split", "source", "fingerprint")}
    print(_report(metrics))
    if common.OUTPUT.value:
        tatl_keras.training.write_json(common.OUTPUT.value, metrics)


def _report(metrics):
    rows = [["class", "examples", "right", "accuracy", "most often taken for"]]
    names = list(metrics["per_class"])
    for index, (name, row) in enumerate(metrics["per_class"].items()):
        share = "-" if row["accuracy"] is None else f"{row['accuracy']:.1%}"
        wrong = dict(enumerate(metrics["confusion"][index]))
        del wrong[index]
        other = max(wrong, key=wrong.get)
        taken = f"{names[other]} ({wrong[other]})" if wrong[other] else ""
        rows.append([name, str(row["count"]), str(row["correct"]), share, taken])
    return f"{records.table(records.accuracy_rows(metrics))}\n\n{records.table(rows)}"


if __name__ == "__main__":
    run()
