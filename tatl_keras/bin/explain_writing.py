"""What tatl-explain does for models that write: where they looked for each word."""

import json
import os

import numpy as np

import tatl_keras
from tatl_keras import _html
from tatl_keras._files import write_whole
from tatl_keras.bin import records, sampler_flags, writing, writing_rows

_OF_CLASSIFIERS = ("class_name", "regions", "samples", "grade")
_DIGITS = 6
_MEANING = {
    "image": "How the attention was spread over the regions of a picture while each word was "
    "written.",
    "text": "How the attention was spread over the source while each token was written.",
}
_FOOTER = "Attention shows where a model read, not why it chose a word."


def check(predictor, images, texts):
    """Raises a usage error for flags and examples that a model that writes does not take.

    Args:
        predictor: a `Predictor` of such a model.
        images, texts: lists of str, those of the command line.
    """
    writing.refuse(_OF_CLASSIFIERS, "a model that writes")
    writing_rows.check(predictor, images, texts)


def explain_one(predictor, examples, paths):
    """Explains the one example of the command line, on the screen and in files.

    Args:
        predictor: a `Predictor` of a `Captioner` or `Translator`.
        examples: data set of `data.load` with one example.
        paths: the picture and the JSON file to write, or `None`.
    """
    (one,) = _explained(predictor, examples, [0])
    print(_summary(one))
    if paths:
        kind = os.path.splitext(paths[0])[1].lstrip(".").lower()
        write_whole(paths[0], _picture(one, kind))
        tatl_keras.training.write_json(paths[1], _record(one))


def explain_many(predictor, examples, paths, count):
    """Explains some examples, spread evenly over all, on a page and in lines of JSON.

    Args:
        predictor, examples: as of `explain_one`.
        paths: the page and the file of lines to write.
        count: int, how many examples at most.
    """
    total = len(examples.ids)
    rows = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int)).tolist()
    found = _explained(predictor, examples, rows)
    lines = [json.dumps(_record(one), ensure_ascii=False, allow_nan=False) + "\n" for one in found]
    write_whole(paths[0], _page(found, total, predictor.writes_about).encode())
    write_whole(paths[1], "".join(lines).encode())
    print(
        records.table([["id", "written"], *([one["id"], one["generation"].text] for one in found)])
    )


def _explained(predictor, examples, rows):
    """A dict for each of some rows: the example, and what the model wrote about it."""
    model, source = predictor.model, predictor.writes_about
    wanted, found = set(rows), []
    for row, element in enumerate(examples.as_numpy_iterator()):
        if row in wanted:
            found.append({"row": row, "x": element[0] if isinstance(element, tuple) else element})
    raw = [one["x"][source] for one in found]
    options = sampler_flags.options(predictor.config) | {"return_details": True}
    for one, generation in zip(found, model.generate({source: raw}, **options), strict=True):
        one |= {"id": examples.ids[one["row"]], "generation": generation}
        reference = one["x"].get(model.target, b"").decode("utf-8", "replace")
        one["reference"] = reference or None
        if source == "image":
            one["view"] = tatl_keras.training.picture_view(model, one["x"]["image"])
        else:
            one["text"] = one["x"]["text"].decode("utf-8", "replace")
            one["source"] = tatl_keras.training.source_tokens(model, one["text"])
    return found


def _picture(one, kind):
    from tatl_keras.training import alignment_figure, caption_figure

    if "view" in one:
        image = one["x"]["image"]
        return caption_figure.caption_picture(one["generation"], image, kind, view=one["view"])
    return alignment_figure.alignment_picture(one["generation"], one["source"], kind)


def _record(one):
    """An example as JSON: what was written, and the attention of each word or token."""
    generation = one["generation"]
    record = {"id": one["id"], "reference": one["reference"], "written": generation.text}
    record |= {
        name: getattr(generation, name) for name in ("valid", "finished", "log_prob", "score")
    }
    if "view" in one:
        words = [
            {
                "word": word.text,
                "tokens": list(word.tokens),
                "attention": _rounded(word.attention.reshape(generation.grid)),
            }
            for word in tatl_keras.training.attended_words(generation)
        ]
        return record | {"grid": generation.grid, "view": one["view"], "words": words}
    attention = _aligned(one)
    record |= {"text": one["text"], "source_tokens": one["source"]}
    return record | {"tokens": list(generation.tokens), "attention": _rounded(attention)}


def _aligned(one):
    """Attention (written tokens, source tokens)."""
    found = tatl_keras.training.alignment_figure.aligned(one["generation"], one["source"])
    return found.T


def _rounded(values):
    return np.round(values, _DIGITS).tolist()


def _summary(one):
    """A few lines about one example: for each word where most of the attention was."""
    from tatl_keras.training.explanation_words import percent, region_name

    generation = one["generation"]
    if not generation.valid:
        return f"{one['id']}: nothing to write about"
    head = f"{one['id']}: {generation.text or '(no words)'}"
    if "view" in one:
        rows = [["word", "most attention to", "share"]]
        for word in tatl_keras.training.attended_words(generation):
            place = np.unravel_index(int(word.attention.argmax()), generation.grid)
            most = percent(float(word.attention.max()))
            rows.append([word.text, region_name(*map(int, place), generation.grid), most])
    else:
        rows = [["token", "most attention to", "share"]]
        for token, values in zip(generation.tokens, _aligned(one), strict=True):
            rows.append([token, one["source"][int(values.argmax())], percent(float(values.max()))])
    return f"{head}\n{records.table(rows)}"


def _page(found, total, source):
    figures = []
    for one in found:
        said = [f"{one['id']}: {one['generation'].text or '(no words)'}"]
        said += [f"reference: {one['reference']}"] if one["reference"] else []
        alt = f"Attention for each word of “{one['generation'].text}”."
        figures.append(_html.figure(_picture(one, "png"), alt, "; ".join(said), _html.LEAST_WIDTH))
    summary = f"{len(found):,} of {total:,} examples, spread evenly. {_MEANING[source]}"
    return _html.page("Where it looked", *figures, summary=summary, footer=_FOOTER)
