"""Where pretrained weights come from and under which licence, as far as it is known offline."""

import os

from tatl_keras.encoders.catalog import ARCHITECTURES
from tatl_keras.encoders.presets import locate

# Weights that KerasHub loads by name: by the beginning of the encoder's name, the licence of the
# original and where that is.
_ORIGINALS = {
    "resnet": (
        "Apache-2.0",
        "timm's ResNets of the recipe A1 (https://github.com/huggingface/pytorch-image-models), "
        "trained on ImageNet-1k",
    ),
    "vit": (
        "Apache-2.0",
        "Google's ViT (https://github.com/google-research/vision_transformer), trained on "
        "ImageNet-21k and fine-tuned on ImageNet-1k",
    ),
    "bert": (
        "Apache-2.0",
        "Google's BERT (https://github.com/google-research/bert), trained on English Wikipedia "
        "and BooksCorpus",
    ),
    "clip": (
        "MIT",
        "OpenAI's CLIP, MIT licence (https://github.com/openai/CLIP), trained on 400 million "
        "pictures with text from the web; its model card asks for a test on the task at hand "
        "before any use",
    ),
    "siglip": (
        "Apache-2.0",
        "Google's SigLIP, Apache-2.0 (https://github.com/google-research/big_vision), "
        "trained on pictures with text from the web (WebLI)",
    ),
}


def provenance(name):
    """What is known of the weights of an encoder.

    Args:
        name: of an encoder, as the catalog of encoders has it.

    Returns:
        A dict: `weights` ("carried along", "KerasHub preset", "random" or "learned"), `preset`,
        `licence` and `source`, each `None` where there is none or nothing is known; for weights
        that are carried along also `notes`, the text of their README.

    Example:

    >>> provenance("resnet50")["licence"], provenance("lstm")["weights"]
    ('Apache-2.0', 'learned')
    """
    found = {"weights": "learned", "preset": None, "licence": None, "source": None}
    architecture = ARCHITECTURES.get(name)
    if architecture is None or architecture.learned:
        return found
    if architecture.seed is not None:
        return found | {"weights": "random"}
    if architecture.folder:
        notes = _notes(os.path.join(locate(name), "README.md"))
        found |= {"weights": "carried along", "preset": architecture.folder, "notes": notes}
        return found | {
            "licence": _section(notes, "Licence"),
            "source": _section(notes, "Provenance"),
        }
    licence, source = _ORIGINALS.get(name.split("_")[0].rstrip("0123456789"), (None, None))
    known = {"preset": architecture.preset, "licence": licence, "source": source}
    return found | {"weights": "KerasHub preset"} | known


def _notes(path):
    if not os.path.isfile(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def _section(notes, title):
    """The first clause under a heading, or `None`."""
    _, _, text = notes.partition(f"## {title}\n")
    return text.split(":", 1)[0].split(",", 1)[0].strip().replace("\n", " ") or None
