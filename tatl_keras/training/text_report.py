"""A training run of a model that writes, as one page that needs no other file."""

import os

from tatl_keras import _html
from tatl_keras._files import write_whole
from tatl_keras.training import report_setup as setup
from tatl_keras.training import workdir as files
from tatl_keras.training.history import read_history
from tatl_keras.training.report_examples import thumbnail

SHOWN = 12
_TITLES = {"chrf": "chrF", "bleu": "BLEU", "exact_match": "exactly the reference"}
# What the texts are that stand beside the model's.
BASELINES = {
    "most_common": "the most common text",
    "unigram": "the most frequent words",
    "nearest": "the text of the nearest training example",
    "copy": "the source as it is",
}


def write_text_report(workdir, shown, *, metrics=None, path=None):
    """Writes a page about a run: what was trained on what, how good its texts are, which are not.

    Read from the workdir are `config.json`, `history.csv`, `curves.png` and, unless it is given,
    `metrics.json`. `tatl-train` calls this before it writes `metrics.json`.

    Args:
        workdir: folder of `tatl-train`.
        shown: dict as of `pick_texts`.
        metrics: dict, as of `measure_texts`, with `split`, `epochs` and `fit_seconds`.
        path: HTML file to write. Defaults to `report.html` in the workdir.

    Returns:
        The path.

    Raises:
        FileNotFoundError: one of the files is not there.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "report.html")
    >>> write_text_report("nowhere", {"best": [], "worst": []}, path=path)
    Traceback (most recent call last):
    FileNotFoundError: `path` must be a file. Received: path='nowhere/config.json'
    """
    held = {name: os.path.join(workdir, name) for name in files.FILES}
    config = files.read_json(held[files.CONFIG])
    metrics = files.read_json(held[files.METRICS]) if metrics is None else metrics
    history = read_history(held[files.HISTORY])
    parts = [
        *setup.warning(config),
        _result(metrics),
        setup.trained(config, metrics),
        setup.data(config, metrics, []),
        setup.curves(config, metrics, history, None),
        _texts("Worst texts", shown["worst"]),
        _texts("Best texts", shown["best"]),
        setup.seconds(metrics, history),
        *setup.next_steps(config, workdir),
    ]
    path = held[files.REPORT] if path is None else path
    write_whole(path, _page(config, metrics, parts).encode())
    return path


def pick_texts(examples, rows):
    """The best and the worst texts by chrF, with pictures small enough for a page.

    Args:
        examples: data set of `data.load` or `data.load_pairs`.
        rows: as of `measure_texts`, one an example.

    Returns:
        A dict from "best" and "worst" to a list of rows with `image`, a JPEG or `None`. No row is
        in both.

    Example:

    >>> from tatl_keras import data
    >>> rows = [{"id": str(n), "chrf": 10.0 * n} for n in range(3)] + [{"id": "3", "chrf": None}]
    >>> shown = pick_texts(data.synthetic.pairs("copy", 4), rows)
    >>> [row["id"] for row in shown["worst"]], [row["id"] for row in shown["best"]]
    (['0'], ['2', '1'])
    """
    scores = [row["chrf"] for row in rows]
    scored = [number for number, score in enumerate(scores) if score is not None]
    order = sorted(scored, key=scores.__getitem__)
    most = min(SHOWN, len(order) // 2)
    worst, best = order[:most], order[::-1][: min(SHOWN, len(order) - most)]
    wanted, images = {*worst, *best}, {}
    for number, element in enumerate(examples):
        x = element[0] if isinstance(element, tuple) else element
        if number in wanted and "image" in x:
            images[number] = thumbnail(x["image"].numpy())
    picked = {"best": best, "worst": worst}
    return {
        kind: [{**rows[number], "image": images.get(number)} for number in numbers]
        for kind, numbers in picked.items()
    }


def score_rows(metrics):
    """The texts that were scored and their scores, as rows of strings; a header first.

    Args:
        metrics: dict as of `generation_metrics`.

    Example:

    >>> from tatl_keras import training
    >>> found = training.generation_metrics(["a cat"], ["a cat"], baselines={"copy": ["ein cat"]})
    >>> score_rows(found)[1][:2]
    ['the model', '100.0 (100.0 to 100.0)']
    """
    rows = [["texts", *_TITLES.values(), "chrF gained over it"]]
    rows.append(["the model", *(_interval(name, metrics[name]) for name in _TITLES), ""])
    for name, found in metrics["baselines"].items():
        scores = [_interval(score, found[score]) for score in _TITLES]
        rows.append([BASELINES.get(name, name), *scores, _interval("chrf", found["gain"]["chrf"])])
    return rows


def sampler_in_words(metrics):
    """How the texts were chosen.

    Example:

    >>> sampler_in_words({"sampler": {"class": "BeamSampler", "num_beams": 4}, "max_length": 9})
    'BeamSampler (num_beams=4), at most 9 tokens'
    """
    given = {name: value for name, value in metrics["sampler"].items() if name != "class"}
    words = ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)
    how = metrics["sampler"]["class"] + (f" ({words})" if words else "")
    return f"{how}, at most {metrics['max_length']} tokens"


def _page(config, metrics, parts):
    chrf, nearest = metrics["chrf"]["value"], metrics["baselines"]["nearest"]["chrf"]["value"]
    summary = (
        f"Learned from {config['data']['train']['num_examples']:,} examples, wrote about the "
        f"{metrics['num_examples']:,} of the {metrics['split']} split that have a text. The text "
        f"of the nearest training example would have a chrF of {nearest:.1f}."
    )
    return setup.page(config, metrics, f"chrF {chrf:.1f}", summary, parts)


def _result(metrics):
    header, *rows = score_rows(metrics)
    tokens = [
        ["perplexity of a token, given those before", f"{metrics['perplexity']:.2f}"],
        ["the same by the frequencies of tokens alone", f"{metrics['unigram_perplexity']:.2f}"],
        ["tokens that are right, given those before", f"{metrics['accuracy']:.1%}"],
        ["loss", f"{metrics['loss']:.4f}"],
        ["texts that are empty", f"{metrics['num_empty']:,}"],
        ["examples without a text to compare with", f"{metrics['num_without_reference']:,}"],
    ]
    return _html.section(
        f"Result on the {metrics['split']} split",
        _html.table(header, rows),
        _html.paragraph(
            "chrF and BLEU go from 0 to 100. In brackets are 95 % intervals; differences are "
            f"paired. Written by {sampler_in_words(metrics)}.",
            "note",
        ),
        _html.table(["measure", "value"], tokens),
        _html.details("Signatures of sacrebleu", _html.code("\n".join(_signatures(metrics)))),
    )


def _texts(title, rows):
    if not rows:
        return _html.section(title, _html.paragraph("There is none."))
    return _html.section(
        title,
        _html.paragraph(f"The {len(rows)} of the {title.split()[0].lower()} chrF:"),
        _html.grid(*[_text(row) for row in rows], width=200),
    )


def _text(row):
    said = f"“{row['text']}”" if row["text"] else "nothing"
    parts = [_html.paragraph(f"Writes {said}, chrF {row['chrf']:.0f}")]
    parts.append(_html.paragraph(f"Reference: “{row['reference']}”"))
    if "source" in row:
        parts.insert(0, _html.paragraph(f"“{row['source']}”"))
    elif row["image"] is None:
        parts.insert(0, _html.paragraph("no picture", "note"))
    else:
        parts.insert(0, _html.figure(row["image"], f"Example {row['id']}"))
    return "".join([*parts, _html.paragraph(row["id"], "note")])


def _signatures(metrics):
    return [f"{name}: {signature}" for name, signature in metrics["signatures"].items()]


def _interval(score, found):
    if score == "exact_match":
        return "{value:.1%} ({low:.1%} to {high:.1%})".format(**found)
    return "{value:.1f} ({low:.1f} to {high:.1f})".format(**found)
