"""A training run as one page that needs no other file."""

import os

from tatl_keras._files import write_whole
from tatl_keras.training import report_answers as answers
from tatl_keras.training import report_setup as setup
from tatl_keras.training import workdir as files
from tatl_keras.training.history import read_history
from tatl_keras.training.predictions import read_predictions
from tatl_keras.training.report_examples import pick_examples


def write_report(workdir, examples=None, *, metrics=None, predictions=None, path=None):
    """Writes a page about a run: what was trained on what, how good it is, where it errs.

    Read from the workdir are `config.json`, `history.csv`, `curves.png` and, unless they are given,
    `metrics.json` and `predictions.npz`; `certificate.json` and `certificate.png`, which
    `tatl-certify --output=<workdir>` writes, where they are there. `tatl-train` calls this before
    it writes `metrics.json`. The model is not asked anything.

    Args:
        workdir: folder of `tatl-train`.
        examples: the data set of `data.load` that the predictions are of, for pictures and texts of
            some of them, or what `pick_examples` took from it, or `None` for a page without.
        metrics: dict, as of `classification_metrics`, with `split`, `epochs` and `fit_seconds`.
        predictions: dict, as `read_predictions` gives.
        path: HTML file to write. Defaults to `report.html` in the workdir.

    Returns:
        The path.

    Raises:
        FileNotFoundError: one of the files is not there.
        ValueError: the examples are not those of the predictions.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.html")
    >>> write_report("nowhere", path=path)
    Traceback (most recent call last):
    FileNotFoundError: `path` must be a file. Received: path='nowhere/config.json'
    """
    held = {name: os.path.join(workdir, name) for name in (*files.FILES, *files.CERTIFICATE)}
    config = files.read_json(held[files.CONFIG])
    metrics = files.read_json(held[files.METRICS]) if metrics is None else metrics
    known = read_predictions(held[files.PREDICTIONS]) if predictions is None else predictions
    shown = {"mistakes": [], "some": []}
    if isinstance(examples, dict):
        shown = examples
    elif examples is not None:
        _check_same(examples, known)
        shown = pick_examples(examples, known["logits"])
    history, calibration = read_history(held[files.HISTORY]), answers.calibration_of(known)
    parts = [
        *setup.warning(config),
        answers.result(metrics, calibration),
        setup.trained(config, metrics),
        setup.data(config, metrics, shown["some"]),
        setup.curves(config, metrics, history, _bytes(held[files.CURVES])),
        answers.confusions(metrics),
        answers.classes(metrics),
        answers.honesty(calibration),
        answers.mistakes(metrics, shown["mistakes"]),
    ]
    drawn, numbers = (held[f"certificate.{kind}"] for kind in ("png", "json"))
    if os.path.exists(numbers):
        parts.append(answers.certificate(files.read_json(numbers), _bytes(drawn)))
    parts += [setup.seconds(metrics, history), *setup.next_steps(config, workdir)]
    path = held[files.REPORT] if path is None else path
    write_whole(path, _page(config, metrics, parts).encode())
    return path


def _page(config, metrics, parts):
    majority = metrics["majority"]
    train = config["data"]["train"]
    summary = (
        f"Learned from {train['num_examples']:,} examples of "
        f"{len(config['model']['class_names'])} classes, asked about the "
        f"{metrics['num_examples']:,} of the {metrics['split']} split. Always answering "
        f"“{majority['class']}” would be right for {majority['accuracy']:.1%}."
    )
    return setup.page(config, metrics, f"{metrics['accuracy']:.1%} right", summary, parts)


def _check_same(examples, predictions):
    if [str(name) for name in examples.ids] != list(predictions["ids"]):
        raise ValueError(
            "`examples` must be those of the predictions, in their order. "
            f"Received: {len(examples.ids)} examples, {len(predictions['ids'])} predictions."
        )


def _bytes(path):
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return file.read()
