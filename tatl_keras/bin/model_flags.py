"""The flags that say which weights, sizes and further arguments a model has, and building it."""

import contextlib

from absl import app, flags

import tatl_keras

CLASS_TEXTS = flags.DEFINE_string(
    "class_texts",
    None,
    "Texts of the classes, to start from and as further examples: `names`, `prompts`, or a "
    'JSON file {"class": ["a description", …]}. Helps most with few examples a class.',
)
_IMAGE_PRESET = flags.DEFINE_string(
    "image_preset",
    None,
    "Weights of the image encoder: a KerasHub preset, hf:// or kaggle:// handle, folder, or `none` "
    "for random ones. Default: those that belong to the model.",
)
_TEXT_PRESET = flags.DEFINE_string("text_preset", None, "Likewise for the text encoder.")
UNFREEZE = flags.DEFINE_list(
    "unfreeze", [], "Pretrained encoders that learn too: image, text or image,text."
)
UNFREEZE_LAST_N = flags.DEFINE_integer(
    "unfreeze_last_n", None, "Only the last n blocks of those. Default: all.", lower_bound=1
)
_BIDIRECTIONAL = flags.DEFINE_bool(
    "bidirectional",
    False,
    "Learn captions from the last word to the first, too, by a second decoder: for captioners "
    "whose image encoder learns.",
)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", None, "Height and width in pixels. Default: the preset's.", lower_bound=1
)
_SEQUENCE_LENGTH = flags.DEFINE_integer(
    "sequence_length", None, "Tokens per text. Default: the model's own.", lower_bound=3
)
_MODEL_ARGS = flags.DEFINE_list(
    "model_args", [], "More arguments of the model: hidden_dim=512,dropout=0.2."
)
_TINY = {"sasa": "test_sasa", "clip": "test_clip", "siglip": "test_siglip"}


def check():
    """Raises an error for flags that do not go together."""
    arguments()
    unknown = set(UNFREEZE.value) - {"image", "text"}
    if unknown:
        raise app.UsageError(
            f"--unfreeze must be image, text or image,text. Received: {sorted(unknown)}"
        )
    if UNFREEZE_LAST_N.value is not None and not UNFREEZE.value:
        raise app.UsageError(
            "--unfreeze_last_n must come with --unfreeze=image, text or image,text. "
            f"Received: --unfreeze_last_n={UNFREEZE_LAST_N.value} alone"
        )


def build(name, num_classes, seed):
    """The model that the flags describe; to be compiled once what learns is decided.

    Args:
        name: entry of the zoo.
        num_classes: int, or `None` for a model that writes.
        seed: int.
    """
    given = arguments() | {"seed": seed} | _class_texts()
    for preset, holder in (("image_preset", _IMAGE_PRESET), ("text_preset", _TEXT_PRESET)):
        if holder.value is not None:
            given[preset] = None if holder.value == "none" else holder.value
    if _IMAGE_SIZE.value is not None:
        given["image_size"] = (_IMAGE_SIZE.value, _IMAGE_SIZE.value)
    if _SEQUENCE_LENGTH.value is not None:
        given["sequence_length"] = _SEQUENCE_LENGTH.value
    return _unfrozen(tatl_keras.zoo.build(name, num_classes, **given), name)


def build_tiny(name, num_classes, seed):
    """The model with tiny random encoders in place of pretrained ones, for `--smoke`.

    Args:
        name, num_classes, seed: as of `build`.
    """
    spec = tatl_keras.zoo.spec(name)
    image = _TINY.get((spec.image or "").split("_")[0], "test_image")
    text = f"{image}_text" if image in ("test_clip", "test_siglip") else "test_text"
    tiny = {
        "image": image if spec.image and not spec.image.startswith("test_") else None,
        "text": text if spec.text and _is_pretrained(spec.text) else None,
    }
    tiny = {modality: encoder for modality, encoder in tiny.items() if encoder}
    replaced = ", ".join(f"{getattr(spec, m)} by {encoder}" for m, encoder in tiny.items())
    print(f"smoke: {name}" + (f" with {replaced} (tiny, random)" if tiny else ""))
    given = {"seed": seed, **arguments(), **tiny}
    if CLASS_TEXTS.value is not None:
        given["class_texts"] = "names"  # a file would not name the made-up classes
    return _unfrozen(tatl_keras.zoo.build(name, num_classes, **given), name, tiny=True)


def arguments():
    """--model_args and the like: `["a=1", "b=x"]` → `{"a": 1, "b": "x"}`."""
    found = {}
    for pair in _MODEL_ARGS.value:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--model_args must be name=value,name=value. Received: {pair!r}")
        found[name] = _parse_value(value)
    return found | ({"bidirectional": True} if _BIDIRECTIONAL.value else {})


def _unfrozen(model, name, tiny=False):
    """The model, whose encoders learn as far as --unfreeze says; tiny ones have few blocks."""
    for modality in UNFREEZE.value:
        if modality not in model.encoders:
            raise ValueError(f"--unfreeze must name encoders of {name}. Received: {modality}")
        encoder, last_n = model.encoders[modality], UNFREEZE_LAST_N.value
        encoder.unfreeze(min(last_n, encoder.num_blocks) if tiny and last_n else last_n)
    return model


def _parse_value(text):
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _is_pretrained(text):
    return not text.startswith("test_") and text not in tatl_keras.encoders.catalog.LEARNED_TEXT


def _class_texts():
    """The model's `class_texts`, where there are any: words, or the dict in a JSON file."""
    given = CLASS_TEXTS.value
    if given is None:
        return {}
    words = ("names", "prompts")
    return {"class_texts": given if given in words else tatl_keras.training.read_json(given)}
