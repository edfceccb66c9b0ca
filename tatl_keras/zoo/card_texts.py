"""What cards and tables say of models that write."""

import statistics

from tatl_keras.zoo.card_proofs import proof_cells, verified
from tatl_keras.zoo.registry import CAPTION, CLASSIFY, list_models, spec

SCORES = ("chrf", "bleu", "exact_match")
BASELINES = ("most_common", "unigram", "nearest", "copy")
_DECODERS = {
    "transformer": "learned from the training text: vocabulary, embedding and Transformer",
    "lstm": "learned from the training text: vocabulary, embedding, LSTM and attention",
}
_TASKS = {CAPTION: "writes captions", "translate": "translates"}


def result_row(metrics):
    """The columns of a results.csv that say how good texts are.

    Args:
        metrics: dict as of `training.measure_texts`.

    Returns:
        Dict of floats: `chrf`, `bleu` (0 to 100), `exact_match` (0 to 1), `perplexity`,
        `unigram_perplexity`, and `<baseline>_chrf` and `<baseline>_bleu` of each baseline.

    Example:

    >>> score = {"value": 50.0}
    >>> found = {"chrf": score, "bleu": score, "exact_match": {"value": 0.25}}
    >>> found |= {"perplexity": 2.0, "unigram_perplexity": 9.0, "baselines": {"copy": found}}
    >>> list(result_row(found))[-2:]
    ['copy_chrf', 'copy_bleu']
    """
    row = {score: metrics[score]["value"] for score in SCORES}
    row |= {name: metrics[name] for name in ("perplexity", "unigram_perplexity")}
    for baseline in BASELINES:
        found = metrics["baselines"].get(baseline)
        if found is not None:
            row |= {f"{baseline}_{score}": found[score]["value"] for score in ("chrf", "bleu")}
    return {name: round(value, 4) for name, value in row.items()}


def say_seeds(rows):
    """How many rows, one a seed, there are, in words."""
    return "1 seed" if len(rows) == 1 else f"{len(rows)} seeds"


def decoder_row(entry):
    """The row of a card's table of parts that is about the decoder.

    Args:
        entry: a `zoo.Spec`.
    """
    return f"| decoder | `{entry.decoder}` | {_DECODERS.get(entry.decoder, 'learned')} |"


def text_result_lines(rows):
    """Lines of Markdown on how good the texts of an entry are, beside baselines.

    Args:
        rows: list of dicts, those of its results.csv; see `result_row`.
    """
    if not rows:
        return ["Not measured yet."]
    one = rows[0]
    known = [name for name in BASELINES if f"{name}_chrf" in one]
    lines = [
        f"chrF {_mean(rows, 'chrf')} over {say_seeds(rows)} on {one['num_examples']} held-out "
        f"examples of `{one['data']}`.",
        "",
        "| texts | chrF | BLEU |",
        "|---|---|---|",
        f"| the model's | {_mean(rows, 'chrf')} | {_mean(rows, 'bleu')} |",
    ]
    for name in known:
        scores = f"{_mean(rows, f'{name}_chrf')} | {_mean(rows, f'{name}_bleu')}"
        lines.append(f"| baseline {name} | {scores} |")
    lines += ["", "| seed | chrF | BLEU | exactly right | perplexity | training, s |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in rows:
        chrf, bleu, exact, perplexity = (float(row[name]) for name in (*SCORES, "perplexity"))
        took = float(row["fit_seconds"])
        lines.append(
            f"| {row['seed']} | {chrf:.1f} | {bleu:.1f} | {exact:.1%} | {perplexity:.1f} "
            f"| {took:.0f} |"
        )
    return [
        *lines,
        "",
        f"A token's perplexity by frequencies alone is {_mean(rows, 'unigram_perplexity')}. "
        f"`{one['command']}` at {one['commit']} on {one['date']}, {one['device']}, TensorFlow "
        f"{one['tensorflow']}, Keras {one['keras']}.",
    ]


def text_limit_lines(entry):
    """Lines of Markdown on what such an entry cannot do.

    Args:
        entry: a `zoo.Spec`.
    """
    shared = [
        "- It writes with the words of the texts it has learned from, and knows nothing else of "
        "the world. What it writes can be fluent and wrong: nothing checks it.",
        "- Without a `tokenizer` the vocabulary is learned in `fit`: letters that are not in the "
        "training texts can be neither read nor written.",
        "- An export writes with the sampler and the length it was exported with.",
    ]
    if entry.task == CAPTION:
        return [
            *shared,
            "- One caption for each picture; where there is no picture, or none that can be read, "
            'it is "".',
            "- Captions are lower-cased.",
        ]
    return [
        *shared,
        "- It translates what is like the pairs it has learned from, in their direction.",
        '- An empty text is translated as "".',
    ]


def text_overview_lines(results, written, link="{name}/README.md"):
    """Lines of Markdown with a table of all entries that write but the tiny ones.

    Args:
        results: dict from entry to the rows of its results.csv.
        written: dict from entry to its proofs.json, or `None`.
        link: where the card of an entry is.
    """
    lines = [
        "| model | what it is | task | learned / all parameters | GFLOP | speed | data | chrF "
        "| BLEU | chrF of the nearest text | verified |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in writers():
        rows, entry = results.get(name, ()), spec(name)
        measured = [""] * 4
        if rows:
            scores = [_mean(rows, score) for score in ("chrf", "bleu", "nearest_chrf")]
            measured = [f"`{rows[0]['data']}`", *scores]
        proofs = written.get(name)
        cells = [f"[`{name}`]({link.format(name=name)})", entry.summary, _TASKS[entry.task]]
        cells += [*proof_cells(proofs), *measured, verified(proofs)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def writers():
    """Names of the entries that write, but the tiny `test_*` ones."""
    names = [name for name in list_models() if spec(name).task != CLASSIFY]
    return [name for name in names if not name.startswith("test_")]


def _mean(rows, column):
    """Mean and spread over the seeds, in words."""
    values = [float(row[column]) for row in rows]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"
