"""Models by name."""

import dataclasses
import difflib
import fnmatch
import inspect
from collections.abc import Callable

from tatl_keras.layers.checks import check_choice

CLASSIFY, CAPTION, TRANSLATE = TASKS = ("classify", "caption", "translate")
_ENTRIES: dict[str, "Spec"] = {}


@dataclasses.dataclass(frozen=True)
class Spec:
    """What the registry knows of a model.

    Attributes:
        name: the entry's name, as `build` takes it.
        summary: one line on what the model is.
        build: function `(num_classes, **kwargs)` that makes it.
        image: name of the image encoder, or `None`.
        text: name of the text encoder, or `None`.
        fusion: name of the fusion, or `None` for a function that does not say.
        decoder: name of the decoder of a model that writes, or `None`.
        task: "classify", "caption" or "translate".

    Example:

    >>> from tatl_keras import zoo
    >>> zoo.spec("resnet50_bert_gated").text
    'bert_base'
    """

    name: str
    summary: str
    build: Callable = dataclasses.field(repr=False)
    image: str | None = None
    text: str | None = None
    fusion: str | None = None
    decoder: str | None = None
    task: str = CLASSIFY


def register(
    function=None, *, image=None, text=None, fusion=None, decoder=None, task=CLASSIFY
):  # fmt: skip
    """Adds a model to the zoo; a decorator, with or without arguments.

    The function's name becomes the model's name and the first line of its docstring the summary.

    Args:
        function: takes `num_classes` and keyword arguments, or, where `task` is not "classify",
            keyword arguments alone, and returns a model.
        image, text, fusion, decoder: names of the parts, for the table and the model's card.
        task: "classify", "caption" or "translate": what the model is for.

    Returns:
        The function.

    Raises:
        ValueError: the name is taken, the function has no docstring, its first parameter is not
            `num_classes` where it classifies, or `task` is another word.

    Example:

    >>> from tatl_keras import zoo
    >>> @zoo.register
    ... def my_tiny_model(num_classes, **kwargs):
    ...     '''A tiny EfficientNet and a bag of words.'''
    ...     return zoo.compose(image="test_image", text="embed", num_classes=num_classes, **kwargs)
    >>> zoo.build("my_tiny_model", num_classes=3).num_classes
    3
    >>> zoo.unregister("my_tiny_model")
    """
    check_choice("task", task, TASKS)
    parts = {"image": image, "text": text, "fusion": fusion, "decoder": decoder, "task": task}
    if function is None:
        return lambda decorated: register(decorated, **parts)
    name, summary = function.__name__, (inspect.getdoc(function) or "").split("\n")[0]
    if name in _ENTRIES:
        raise ValueError(
            f"`function` must have a name that is not taken. Received: {name!r}, which is "
            f"{_ENTRIES[name].summary!r}"
        )
    if not summary:
        raise ValueError(
            f"`function` must have a docstring, whose first line is the summary. Received: {name}"
        )
    first = next(iter(inspect.signature(function).parameters), None)
    if task == CLASSIFY and first != "num_classes":
        raise ValueError(
            "`function` must take `num_classes` as its first parameter. "
            f"Received: {name}{inspect.signature(function)}"
        )
    _ENTRIES[name] = Spec(name, summary, function, **parts)
    return function


def unregister(name):
    """Removes a model from the zoo.

    Args:
        name: the entry's name.

    Raises:
        ValueError: there is no such entry.

    Example:

    >>> from tatl_keras import zoo
    >>> zoo.unregister("nothing")
    Traceback (most recent call last):
    ValueError: `name` must be a model of the zoo. Received: name='nothing'. ...
    """
    del _ENTRIES[spec(name).name]


def list_models(pattern="*", task=None):
    """Names of the models in the zoo, sorted.

    Args:
        pattern: shell-style wildcard, such as `"resnet50*"` or `"*_cross"`.
        task: "classify", "caption" or "translate" for models of one kind, `None` for all.

    Returns:
        List of str.

    Example:

    >>> from tatl_keras import zoo
    >>> zoo.list_models("resnet50_lstm*")
    ['resnet50_lstm_caption', 'resnet50_lstm_concat', 'resnet50_lstm_cross', 'resnet50_lstm_gated']
    >>> zoo.list_models("resnet50*", task="caption")
    ['resnet50_lstm_caption', 'resnet50_transformer_caption']
    """
    if task is not None:
        check_choice("task", task, TASKS)
    names = fnmatch.filter(_ENTRIES, pattern)
    return sorted(name for name in names if task in (None, _ENTRIES[name].task))


def spec(name):
    """What the zoo knows of a model.

    Args:
        name: the entry's name.

    Returns:
        A `Spec`.

    Raises:
        ValueError: there is no such entry; the message names the nearest ones.

    Example:

    >>> from tatl_keras import zoo
    >>> zoo.spec("vit_b16_bert_cross").fusion
    'cross'
    """
    if name not in _ENTRIES:
        near = difflib.get_close_matches(str(name), _ENTRIES, n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else "zoo.list_models() lists them."
        raise ValueError(f"`name` must be a model of the zoo. Received: name={name!r}. {hint}")
    return _ENTRIES[name]


def build(name, /, num_classes=None, **kwargs):
    """Builds a model of the zoo.

    Args:
        name: the entry's name; see `list_models`.
        num_classes: int ≥ 2, for a model that classifies; `None` for one that writes.
        **kwargs: arguments of `compose` (`image_preset`, `text_preset`, `class_names`,
            `sequence_length`, …) and of the entry's fusion (`hidden_dim`, …); or those of
            `compose_captioner` or `compose_translator` and of the entry's decoder.

    Returns:
        A compiled `TextAssistedClassifier`, `Captioner` or `Translator`.

    Raises:
        ValueError: there is no such entry, an argument is unknown or out of its bounds, a preset
            cannot be loaded, or `num_classes` is missing, or given for a model that writes.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_efficientnet_bert_gated", num_classes=3, hidden_dim=16)
    >>> model.fusion.hidden_dim
    16
    """
    entry = spec(name)
    if entry.task == CLASSIFY and num_classes is not None:
        return entry.build(num_classes, **kwargs)
    if entry.task != CLASSIFY and num_classes is None:
        return entry.build(**kwargs)
    needed = "an int of at least 2" if num_classes is None else "None for a model that writes"
    raise ValueError(
        f"`num_classes` must be {needed}. Received: num_classes={num_classes!r} for {name!r}"
    )
