"""A model of any image encoder, text encoder and fusion."""

import difflib
import inspect

import keras_hub

from tatl_keras import data, encoders, models
from tatl_keras import fusion as fusions
from tatl_keras.layers.checks import check_choice
from tatl_keras.models.checks import is_linear, reads

DEFAULT = "default"
_LOSSES = ("distillation_weight", "temperature", "alignment_weight", "class_text_weight")


def compose(
    num_classes,
    *,
    image=None,
    text=None,
    fusion=None,
    head="linear",
    image_preset=DEFAULT,
    text_preset=DEFAULT,
    modality_dropout=0.0,
    text_at_inference=True,
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
        text_at_inference: bool; False makes a `models.TextSupervisedClassifier` on the pictures
            alone, which the texts teach in training: `fusion` then is "image_only" whatever fusion
            of both is named, and the weights of that class's losses may be given too.
        frozen: bool, whether pretrained encoders stay as they are. Encoders made to be trained
            (`lstm`, `transformer`, `embed`) always learn.
        image_size: `(height, width)` in pixels, or `None` for the preset's.
        sequence_length: int ≥ 3, tokens per text.
        class_names: list of `num_classes` strings, or `None` to take them from the data in `fit`.
        class_texts: what the classes are called or look like, to start from and to learn from:
            "names", "prompts", or a dict from class name or label to a text or a list of texts.
            Helps most with few examples a class. See `models.TextAssistedClassifier`.
        seed: int or `None`, of every random initial weight and of dropout.
        compile: bool, compile with the defaults.
        name: str or `None`, the Keras model's name.
        **fusion_arguments: of the fusion, when it is given by name (`hidden_dim=…`, `dropout=…`).

    Returns:
        A `TextAssistedClassifier` with its preprocessor.

    Raises:
        ValueError: no encoder is given, an argument is unknown or out of its bounds, or
            `text_at_inference` is False with one encoder, a fusion layer or head that reads text,
            or `modality_dropout`.
        encoders.PresetError: a preset cannot be loaded.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.compose(2, image="test_image", text="lstm", fusion="film", seed=1)
    >>> model.fusion.name.startswith("fi_lm")
    True
    """
    _check_given(image, text)
    if fusion is None:
        fusion = "concat" if image and text else "image_only" if image else "text_only"
    kind, losses = models.TextAssistedClassifier, {}
    if not check_choice("text_at_inference", text_at_inference, (True, False)):
        fusion = _image_only(image, text, fusion, head, modality_dropout)
        losses = {n: fusion_arguments.pop(n) for n in _LOSSES if n in fusion_arguments}
        kind = models.TextSupervisedClassifier
    if isinstance(fusion, str):
        _check_arguments(fusion, fusion_arguments)
        fusion_arguments |= {} if seed is None else {"seed": seed}
    fusion = fusions.get(fusion, **fusion_arguments)
    options = {"frozen": frozen, "seed": seed}
    image_encoder, image_converter = build_image(image, image_preset, image_size, options)
    text_encoder, tokenizer = _build_text(text, text_preset, options)
    return kind(
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
        **losses,
    )


def _check_given(image, text):
    if image is None and text is None:
        known = ", ".join([*encoders.names("image"), *encoders.names("text")])
        raise ValueError(
            "`image` or `text` must name an encoder. Received: image=None, text=None. "
            f"Known are {known}."
        )


def build_image(image, preset, image_size, options):
    """The encoder `image` and its converter; `None` for both where it is `None`."""
    if image is None:
        return None, None
    options = options | ({} if preset is DEFAULT else {"preset": preset})
    return encoders.build_image(image, image_size=image_size, **options)


def _build_text(text, preset, options):
    """The encoder `text` and its tokenizer; `None` for both where it is `None`."""
    if text is None:
        return None, None
    options = options | ({} if preset is DEFAULT else {"preset": preset})
    encoder, tokenizer = encoders.build_text(text, **options)
    bare = keras_hub.models.BertTokenizer(lowercase=True, strip_accents=True)
    return encoder, tokenizer or bare


def _image_only(image, text, fusion, head, modality_dropout):
    """The fusion of a model that reads text in training alone, or a ValueError."""
    missing = [name for name, value in (("image", image), ("text", text)) if value is None]
    if missing:
        raise ValueError(
            f"`{missing[0]}` must name an encoder where text_at_inference=False: the model learns "
            f"from pictures with text. Received: {missing[0]}=None"
        )
    named = isinstance(fusion, str) and fusion != "text_only"
    if not named and (isinstance(fusion, str) or reads(fusion) != ["image"]):
        raise ValueError(
            "`fusion` must be a name, or a layer that reads the image alone, where "
            f"text_at_inference=False. Received: fusion={fusion!r}"
        )
    if head == "class_texts":
        raise ValueError(
            '`head` must be "linear" or a layer where text_at_inference=False. '
            f"Received: head={head!r}"
        )
    if modality_dropout != 0:
        raise ValueError(
            "`modality_dropout` must be 0 where text_at_inference=False: the model reads pictures "
            f"alone. Received: modality_dropout={modality_dropout}"
        )
    return "image_only" if named else fusion


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
        scale = text_encoder.backbone.logit_scale
        return models.ClassTextHead(num_classes, scale=scale, name="head")
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
