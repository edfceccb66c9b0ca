"""What cards and tables say of the proofs in zoo/<name>/proofs.json."""

from tatl_keras.zoo.card_results import mean_accuracy
from tatl_keras.zoo.registry import spec

# Proofs as `training.verify` names them, in the words of a card. Those of the second half need
# weights: of large entries they may not have been made.
TITLES = {
    "counts": "parameters and operations",
    "input_sizes": "sizes of inputs",
    "licences": "origin and licence of weights",
    "measured": "results with conditions and controls",
    "frozen": "what is frozen keeps every bit in `fit`, the rest changes",
    "determinism": "a seed decides all weights",
    "parity": "served as trained",
    "replicas": "two replicas learn what one device learns",
    "speed": "speed and memory",
}
WITH_WEIGHTS = ("frozen", "determinism", "parity", "replicas", "speed")
BEGIN, END = "<!-- models: written by make docs -->", "<!-- models: end -->"
# What the README of the project shows.
SHOWN = (
    *("efficientnet_lite0_image_only", "minilm_text_only", "efficientnet_lite0_minilm_concat"),
    *("efficientnet_lite0_minilm_gated", "efficientnet_lite0_minilm_cross", "resnet50_bert_concat"),
    *("vit_b16_bert_cross", "sasa_resnet50", "clip_b16_class_texts"),
)
_HEADER = [
    "| model | what it is | learned / all parameters | GFLOP | speed | accuracy | verified |",
    "|---|---|---|---|---|---|---|",
]


def proof_lines(name, written):
    """Lines of Markdown with a table of an entry's proofs.

    Args:
        name: the entry's name.
        written: dict as proofs.json holds it, or `None`.

    Example:

    >>> proof_lines("resnet50_image_only", None)
    ['Not verified here: see `tatl-zoo verify resnet50_image_only`.']
    """
    if written is None:
        return [f"Not verified here: see `tatl-zoo verify {name}`."]
    lines = ["| what | found | how |", "|---|---|---|"]
    for proof, title in TITLES.items():
        found = written["proofs"].get(proof)
        if found is None:
            lines.append(f"| {title} | not verified here | |")
        elif found["passed"]:
            lines.append(f"| {title} | {found['result']} | {found['bound']} |")
        else:
            word = "not checked" if found["passed"] is None else "FAILED"
            lines.append(f"| {title} | {word}: {found['reason']} | |")
    return [*lines, "", *_paper_lines(written), _conditions(name, written)]


def overview_lines(names, written, results, link="{name}/README.md"):
    """Lines of Markdown with a table of entries.

    Args:
        names: of the entries.
        written: dict from entry to its proofs.json, or `None`.
        results: dict from entry to the rows of its results.csv.
        link: where the card of an entry is.
    """
    lines = list(_HEADER)
    for name in names:
        accuracy = mean_accuracy(results.get(name, ()))
        cells = [
            f"[`{name}`]({link.format(name=name)})",
            spec(name).summary,
            *proof_cells(written.get(name)),
            "" if accuracy is None else f"{accuracy:.1%}",
            verified(written.get(name)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def with_models(text, written, results):
    """A document with the table of `SHOWN` between its two markers; as it is, without markers.

    Args:
        text: str, Markdown.
        written, results: as `overview_lines` takes them.

    Example:

    >>> with_models("No markers.", {}, {})
    'No markers.'
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return text
    lines = overview_lines(SHOWN, written, results, link="zoo/{name}/README.md")
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}"


def verified(written):
    """In a word or two, how far an entry is verified.

    Args:
        written: dict as proofs.json holds it, or `None`.

    Example:

    >>> verified(None), verified({"proofs": {"counts": {"passed": True}}})
    ('', 'by shapes')
    """
    if written is None:
        return ""
    outcomes = {name: proof["passed"] for name, proof in written["proofs"].items()}
    if False in outcomes.values():
        return "FAILED"
    if not any(outcomes.get(name) for name in WITH_WEIGHTS):
        return "by shapes"
    if not all(outcomes.get(name) for name in WITH_WEIGHTS):
        return "in part"
    return "with random weights" if "random" in written["weights"].values() else "yes"


def proof_cells(written):
    """Parameters, operations and speed, as cells of a table; empty where they are not known.

    Args:
        written: dict as proofs.json holds it, or `None`.

    Example:

    >>> proof_cells(None)
    ['', '', '']
    """
    counts, speed = _facts(written, "counts"), (_facts(written, "speed") or {}).get("speed", "")
    if counts is None:
        return ["", "", speed]
    learned, total = (_short(counts["parameters"][name]) for name in ("learned", "total"))
    return [f"{learned} / {total}", f"{sum(counts['flops'].values()) / 1e9:.3g}", speed]


def _facts(written, proof):
    """The facts of a proof that was passed, or `None`."""
    found = {} if written is None else written["proofs"].get(proof, {})
    return found["facts"] if found.get("passed") else None


def _short(number):
    """A number of parameters in three figures.

    >>> _short(10), _short(16_650), _short(652_161_366)
    ('10', '16.6 k', '652 M')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return str(number)


def _paper_lines(written):
    """A table of what papers count."""
    rows = (_facts(written, "counts") or {}).get("papers", [])
    if not rows:
        return []
    lines = [
        "| encoder | counted | in the paper | where | why they differ |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        what = row["quantity"].replace("multiply_adds", "multiply-adds")
        numbers = f"{row['ours']:,} {what} | {row['theirs']:,.0f}"
        difference = row["ours"] / row["theirs"] - 1
        why = row["why"] or "rounding there"
        lines.append(
            f"| `{row['encoder']}` | {numbers} | {row['source']} | {difference:+.1%}: {why} |"
        )
    return [*lines, ""]


def _conditions(name, written):
    """Under which conditions the proofs were made, in a sentence."""
    found = written["conditions"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    drawn = [modality for modality, kind in written["weights"].items() if kind == "random"]
    weights = f" The {' and the '.join(drawn)} encoder had random weights." if drawn else ""
    made = any(proof in written["proofs"] for proof in WITH_WEIGHTS)
    return (
        f"`tatl-zoo verify {name}` at {found['commit'] or 'no commit'} on {found['date']}, "
        f"{found['device']}; {versions}." + (weights if made else "")
    )
