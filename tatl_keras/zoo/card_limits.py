"""What a card says of the limits of an entry."""

from tatl_keras.encoders.catalog import ARCHITECTURES
from tatl_keras.zoo.card_texts import text_limit_lines
from tatl_keras.zoo.provenance import provenance
from tatl_keras.zoo.registry import CLASSIFY

_ENGLISH = ("minilm", "bert_base")


def limit_lines(entry):
    """Lines of Markdown.

    Args:
        entry: a `zoo.Spec`.
    """
    lines = ["- Pictures are taken as they are stored: EXIF rotation is not applied."]
    english = ["- The text encoder knows English."] if entry.text in _ENGLISH else []
    if entry.task != CLASSIFY:
        return [*(lines if entry.image else []), *text_limit_lines(entry), *english]
    if entry.fusion == "no_harm":
        lines.append(
            "- Rows without text are answered as by the image-only model. A text that does not "
            "belong to its picture still costs accuracy, less than with the other fusions: see "
            "`training.estimate_corruption`."
        )
    elif is_made_of_class_texts(entry):
        lines += _limits_of_class_texts(entry)
    elif entry.image and entry.text:
        lines.append("- Rows without a picture or without text are legal; accuracy falls there.")
    lines += english
    if learns_from_scratch(entry.image):
        lines.append(
            "- There are no pretrained weights: it needs far more pictures than the others."
        )
        lines.append("- The entry's argument `stem` is `conv` or `attention`.")
    return lines


def is_made_of_class_texts(entry):
    """Whether an entry reads texts of classes, and none of examples."""
    return bool(entry.text) and entry.fusion == "image_only"


def learns_from_scratch(part):
    """Whether the encoder of that name has no pretrained weights."""
    return part in ARCHITECTURES and ARCHITECTURES[part].learned


def _limits_of_class_texts(entry):
    lines = [
        "- The weights are not carried along: KerasHub loads them by the preset's name. "
        f"{provenance(entry.image)['source']}.",
        "- The real weights have not been measured here; tiny random ones agree with KerasHub.",
        "- The text encoder knows English. Texts of examples are not read.",
        "- `fit` trains an offset a class, no more; `training.solve_head` learns from pictures.",
    ]
    if entry.image.startswith("clip_"):
        lines.append(
            "- Exports know the model's own classes only: CLIP's tokenizer cannot be served, so "
            "`classify_with_texts` is left out."
        )
    return lines
