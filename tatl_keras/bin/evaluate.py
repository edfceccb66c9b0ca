"""tatl-evaluate: how good a trained model is, class by class, or text by text.

    tatl-evaluate --workdir=runs/pets
    tatl-evaluate --workdir=runs/pets --data=new.csv --output=new.json --report=new.html

Without --data the test split of the training is used. Flags about data that are not given are those
of the training. --report is the page that a training leaves, about these examples; written again
into the workdir, it shows a certificate that tatl-certify has put there since.

Of a model that writes the texts are measured by chrF, BLEU and exact matches, with intervals and
beside baselines, which are made of the data of the training; it writes as it did in the training
where no flag of a sampler is given.
"""

import contextlib
import os
import sys
import time

from absl import flags

import tatl_keras
from tatl_keras.bin import common, data_flags, records, sampler_flags, trained, writing

flags.adopt_module_key_flags(data_flags)
for _name in ("workdir", "split", "output", "overwrite", "batch_size"):
    flags.declare_key_flag(_name)
_REPORT = flags.DEFINE_string(
    "report", None, "HTML page to write, with pictures, confusions, calibration, worst mistakes."
)
flags.adopt_module_key_flags(sampler_flags)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "workdir": "Folder of the run whose model is evaluated.",
    "data": "Labelled examples; default: those of the training.",
    "split": "Split to use. Default: the test split of the training; all of another --data.",
    "output": "JSON file to write the metrics to.",
    "overwrite": "Replace --output and --report if they exist.",
}


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Prints the metrics and, when told so, writes them."""
    common.no_arguments(arguments)
    common.check_output()
    common.check_output(_REPORT)
    with contextlib.ExitStack() as stack:
        if common.SMOKE.value:
            workdir = trained.smoke_workdir(stack, common.WORKDIR.value)
        else:
            common.required(common.WORKDIR)
            workdir = common.WORKDIR.value
        config = trained.read_config(workdir)
        model = trained.load_model(workdir)
        known = tatl_keras.training.read_json(os.path.join(workdir, "metrics.json"))
        if records.task_in(config) == "classify":
            writing.refuse(sampler_flags.NAMES, "a model that classifies")
            metrics, told = _measure(workdir, config, known, model), _report
        else:
            metrics = writing.measure(workdir, config, known, model, _REPORT.value)
            told = writing.report
    print(told(metrics))
    if common.OUTPUT.value:
        tatl_keras.training.write_json(common.OUTPUT.value, metrics)


def _measure(workdir, config, known, model):
    """The metrics; writes the report, too, where it was asked for."""
    examples = trained.load_split(config, common.SPLIT.value)
    trained.warn_if_changed(config, examples)
    counts = config["data"]["train"]["class_counts"]
    start = time.monotonic()
    metrics, predictions, picked = records.measure(model, examples, counts, common.BATCH_SIZE.value)
    seconds = {**known.get("seconds", {}), "evaluate": time.monotonic() - start}
    metrics |= {key: examples.summary[key] for key in ("split", "source", "fingerprint")}
    if _REPORT.value:
        tatl_keras.training.write_report(
            workdir, picked, metrics={**known, **metrics, "seconds": seconds},
            predictions=predictions, path=_REPORT.value,
        )  # fmt: skip
    return metrics


def _report(metrics):
    rows = [["class", "examples", "right", "accuracy", "most often taken for"]]
    per_class = metrics["per_class"]
    taken = tatl_keras.training.confusions.most_often_taken_for(
        metrics["confusion"], list(per_class)
    )
    for name, row in per_class.items():
        share = "-" if row["accuracy"] is None else f"{row['accuracy']:.1%}"
        rows.append([name, str(row["count"]), str(row["correct"]), share, taken[name]])
    return f"{records.table(records.accuracy_rows(metrics))}\n\n{records.table(rows)}"


if __name__ == "__main__":
    run()
