"""What tatl-train and tatl-evaluate do otherwise for models that write."""

import functools
import importlib.util
import json
import os
import time

from absl import app, flags

import tatl_keras
from tatl_keras._files import write_whole
from tatl_keras.bin import common, recipe_flags, records, sampler_flags, trained

# Flags that mean nothing for one kind of model.
_OF_CLASSIFIERS = ("head_solver", "class_texts", "text_from_class")
_OF_WRITERS = (
    *(recipe_flags.LABEL_SMOOTHING.name, "target_column", "bidirectional"),
    *sampler_flags.NAMES,
)


def check(task):
    """Raises an error for flags of tatl-train that do not go with a task."""
    if task == "classify":
        refuse(_OF_WRITERS, "a model that classifies")
        return
    refuse(_OF_CLASSIFIERS, "a model that writes")
    sampler_flags.options()  # an error of theirs comes before the training
    if importlib.util.find_spec("sacrebleu") is None:
        raise ImportError(
            "Models that write are measured with the package sacrebleu: "
            "pip install 'tatl_keras[text]'"
        )


def refuse(names, what):
    """Raises a usage error where one of the flags is given another value than its default."""
    for name in names:
        flag = flags.FLAGS[name]
        if flag.value != flag.default:
            raise app.UsageError(f"--{name} must be left out for {what}. Received: {flag.value}")


def finish(model, splits, config, files, batch_size, feature_cache):
    """Saves a trained model and what it writes about the test split.

    Args:
        model, splits, config, batch_size, feature_cache: as of `fitting.fit_and_record`.
        files: dict from name to path of the run's files.

    Returns:
        `(metrics, write_report)`: a dict for `metrics.json`, and a function that writes the report
        when it is called with `metrics=`.
    """
    training = tatl_keras.training
    model.save(files[training.workdir.MODEL])
    start = time.monotonic()
    metrics, rows = training.measure_texts(
        model, splits["test"], splits["train"], batch_size=batch_size,
        feature_cache=feature_cache, **sampler_flags.options(),
    )  # fmt: skip
    seconds = {"evaluate": round(time.monotonic() - start, 3)}
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_whole(files[training.workdir.TEXTS], lines.encode())
    shown = training.text_report.pick_texts(splits["test"], rows)
    workdir = os.path.dirname(files[training.workdir.METRICS])
    metrics |= {"split": config["data"]["test"]["split"], "seconds": seconds}
    return metrics, functools.partial(training.write_text_report, workdir, shown)


def measure(workdir, config, known, model, report_path):
    """What tatl-evaluate finds; writes the report, too, where it was asked for.

    Args:
        workdir: folder of the run.
        config, known: dicts of its `config.json` and `metrics.json`.
        model: the model.
        report_path: str or `None`.

    Returns:
        The metrics.
    """
    training = tatl_keras.training
    examples = trained.load_split(config, common.SPLIT.value)
    trained.warn_if_changed(config, examples)
    frozen = all(encoder.frozen for encoder in model.encoders.values())
    start = time.monotonic()
    metrics, rows = training.measure_texts(
        model, examples, _learned(config), batch_size=common.BATCH_SIZE.value,
        feature_cache="memory" if frozen else None, **sampler_flags.options(config),
    )  # fmt: skip
    seconds = {**known.get("seconds", {}), "evaluate": time.monotonic() - start}
    metrics |= {key: examples.summary[key] for key in ("split", "source", "fingerprint")}
    if report_path:
        shown = training.text_report.pick_texts(examples, rows)
        metrics_of_page = {**known, **metrics, "seconds": seconds}
        training.write_text_report(workdir, shown, metrics=metrics_of_page, path=report_path)
    return metrics


def report(metrics):
    """The tables that tatl-evaluate prints."""
    texts = records.table(tatl_keras.training.text_report.score_rows(metrics))
    about = f"{metrics['split']}: {metrics['num_examples']} texts"
    how = tatl_keras.training.text_report.sampler_in_words(metrics)
    rows = [
        ["perplexity", f"{metrics['perplexity']:.2f}"],
        ["of frequencies alone", f"{metrics['unigram_perplexity']:.2f}"],
        ["next tokens right", f"{metrics['accuracy']:.1%}"],
    ]
    return f"{about}, {how}\n\n{texts}\n\n{records.table(rows)}"


def result(metrics, config):
    """The tables that end a training."""
    model = config["model"]
    learned = f"{model['trainable_parameters']:,} of {model['parameters']:,} parameters"
    rows = [["training", f"{metrics['fit_seconds']:.1f} s, epochs: {metrics['epochs']}, {learned}"]]
    if metrics.get("soup"):
        share, chosen = records.soup(metrics)
        rows.append(["validation accuracy", f"{share} of next tokens; {chosen}"])
    return f"{report(metrics)}\n{records.table(rows)}"


def _learned(config):
    """The examples of the training, which baselines are made of."""
    try:
        return trained.load_learned(config)
    except FileNotFoundError:
        raise FileNotFoundError(
            "The data of the training must be where they were: texts are measured beside those "
            f"that need no model. Received: {config['flags']['data']}"
        ) from None
