"""A model of any image encoder, text encoder and fusion."""

import difflib
import inspect

import keras_hub

from tatl_keras import data, encoders, models
from tatl_keras import fusion as fusions
from tatl_keras.models.checks import is_linear, reads

_DEFAULT = "default"
_COSINE_SCALE = 100.0  # what CLIP's training ends with


def compose(
    num_classes,
    *,
    image=None,
    text=None,
    fusion=None,
    head="linear",
    image_preset=_DEFAULT,
    text_preset=_DEFAULT,
    modality_dropout=0.0,
    frozen=True,
    image_size=None,
    sequence_length=64,
    class_names=None,
    class_texts=None,
    seed=None,
    compile=True,
    name=None,
    **fusion_arguments,
):
    """Builds a classifier of an image encoder, a text encoder and a fusion.

    Args:
        num_classes: int ≥ 2.
        image: a name of `encoders.names("image")`, a KerasHub preset, handle or local directory, or
            `None` for a model of text alone.
        text: likewise for `encoders.names("text")`, or `None` for a model of pictures alone.
        fusion: a name that `fusion.get` knows, or a fusion layer. Defaults to `"concat"`, or to the
            control of the one encoder given.
        head: "linear" for the fusion's own; "class_texts" for a `models.ClassTextHead`, to which
            classes can be added by their texts alone; or a layer. With "class_texts" and a fusion
            that reads no text, text is for the class texts only.
        image_preset: preset for the weights of a named image encoder: a KerasHub name, an `hf://`
            or `kaggle://` handle, a local directory, or `None` for random weights. Defaults to the
            encoder's own.
        text_preset: likewise for text; `None` also means a vocabulary learned in `fit`.
        modality_dropout: fraction of the rows with picture and text that lose one of them at each
            step of training, in [0, 1), so that the model learns to answer with either alone.
        frozen: bool, whether pretrained encoders stay as they are. Encoders made to be trained
            (`lstm`, `embed`) always learn.
        image_size: `(height, width)` in pixels, or `None` for the preset's.
        sequence_length: int ≥ 3, tokens per text.
        class_names: list of `num_classes` strings, or `None` to take them from the data in `fit`.
        class_texts: what the classes are called or look like, to start from and to learn from:
            "names", or a dict from class name or label to a text or a list of texts. Helps most
            with few examples a class. See `models.TextAssistedClassifier`.
        seed: int or `None`, of every random initial weight and of dropout.
        compile: bool, compile with the defaults.
        name: str or `None`, the Keras model's name.
        **fusion_arguments: of the fusion, when it is given by name (`hidden_dim=…`, `dropout=…`).

    Returns:
        A `TextAssistedClassifier` with its preprocessor.

    Raises:
        ValueError: no encoder is given, or an argument is unknown or out of its bounds.
        encoders.PresetError: a preset cannot be loaded.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.compose(2, image="test_image", text="lstm", fusion="film", seed=1)
    >>> model.fusion.name.startswith("fi_lm")
    True
    """
    if image is None and text is None:
        known = ", ".join([*encoders.names("image"), *encoders.names("text")])
        raise ValueError(
            "`image` or `text` must name an encoder. Received: image=None, text=None. "
            f"Known are {known}."
        )
    if fusion is None:
        fusion = "concat" if image and text else "image_only" if image else "text_only"
    if isinstance(fusion, str):
        _check_arguments(fusion, fusion_arguments)
        if seed is not None:
            fusion_arguments["seed"] = seed
    fusion = fusions.get(fusion, **fusion_arguments)
    image_encoder = image_converter = text_encoder = tokenizer = None
    if image is not None:
        options = {"frozen": frozen, "image_size": image_size, "seed": seed}
        options |= {} if image_preset is _DEFAULT else {"preset": image_preset}
        image_encoder, image_converter = encoders.build_image(image, **options)
    if text is not None:
        options = {"frozen": frozen, "seed": seed}
        options |= {} if text_preset is _DEFAULT else {"preset": text_preset}
        text_encoder, tokenizer = encoders.build_text(text, **options)
        tokenizer = tokenizer or keras_hub.models.BertTokenizer(lowercase=True, strip_accents=True)
    return models.TextAssistedClassifier(
        image_encoder,
        text_encoder,
        fusion,
        num_classes,
        head=_head(head, num_classes, fusion, image_encoder, text_encoder),
        modality_dropout=fusions.ModalityDropout(modality_dropout, seed, name="modality_dropout"),
        preprocessor=data.Preprocessor(image_converter, tokenizer, sequence_length),
        class_names=class_names,
        class_texts=class_texts,
        compile=compile,
        **({} if name is None else {"name": name}),
    )


def _head(head, num_classes, fusion, image_encoder, text_encoder):
    """The layer that `head` stands for; `None` for the fusion's own."""
    if head == "linear":
        return None
    if not isinstance(head, str):
        return head
    if head != "class_texts" or text_encoder is None or not text_encoder.frozen:
        found = "no text encoder" if text_encoder is None else f"frozen={text_encoder.frozen}"
        raise ValueError(
            '`head` must be "linear", a layer, or "class_texts" for a model with a frozen text '
            f"encoder. Received: head={head!r} with {found}"
        )
    image_only = reads(fusion) == ["image"]
    if image_only and encoders.share_space(image_encoder, text_encoder):
        return models.ClassTextHead(num_classes, scale=_COSINE_SCALE, name="head")
    return models.ClassTextHead(
        num_classes,
        text_encoder.output_dim,
        text_start=is_linear(fusion) and not image_only,
        name="head",
    )


def _check_arguments(fusion, arguments):
    """A misspelt argument of `compose` ends up among those of the fusion."""
    fusion_class, fixed = fusions.registry.NAMES.get(fusion, (None, {}))
    if fusion_class is None:
        return  # `fusion.get` says what is wrong
    skipped = {"self", "kwargs", "fusion_arguments", "seed", *fixed}
    of_fusion = set(inspect.signature(fusion_class.__init__).parameters) - skipped
    known = of_fusion | set(inspect.signature(compose).parameters) - skipped
    for argument, value in arguments.items():
        if argument not in of_fusion:
            near = difflib.get_close_matches(argument, known, n=1)
            hint = (
                f"Did you mean `{near[0]}`?" if near else f"Known are {', '.join(sorted(known))}."
            )
            raise ValueError(
                f"`{argument}` must be an argument of zoo.compose or of the fusion {fusion!r}. "
                f"Received: {argument}={value!r}. {hint}"
            )
