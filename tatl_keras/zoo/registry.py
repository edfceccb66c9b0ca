"""Models by name."""

import dataclasses
import difflib
import fnmatch
import inspect
from collections.abc import Callable

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


def register(function=None, *, image=None, text=None, fusion=None):
    """Adds a model to the zoo; a decorator, with or without arguments.

    The function's name becomes the model's name and the first line of its docstring the summary.

    Args:
        function: takes `num_classes` and keyword arguments, returns a model.
        image, text, fusion: names of the parts, for the table and the model's card.

    Returns:
        The function.

    Raises:
        ValueError: the name is taken, the function has no docstring, or its first parameter is not
            `num_classes`.

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
    if function is None:
        return lambda decorated: register(decorated, image=image, text=text, fusion=fusion)
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
    if next(iter(inspect.signature(function).parameters), None) != "num_classes":
        raise ValueError(
            "`function` must take `num_classes` as its first parameter. "
            f"Received: {name}{inspect.signature(function)}"
        )
    _ENTRIES[name] = Spec(name, summary, function, image, text, fusion)
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


def list_models(pattern="*"):
    """Names of the models in the zoo, sorted.

    Args:
        pattern: shell-style wildcard, such as `"resnet50*"` or `"*_cross"`.

    Returns:
        List of str.

    Example:

    >>> from tatl_keras import zoo
    >>> zoo.list_models("resnet50_lstm*")
    ['resnet50_lstm_concat', 'resnet50_lstm_cross', 'resnet50_lstm_gated']
    """
    return sorted(fnmatch.filter(_ENTRIES, pattern))


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


def build(name, /, num_classes, **kwargs):
    """Builds a model of the zoo.

    Args:
        name: the entry's name; see `list_models`.
        num_classes: int ≥ 2.
        **kwargs: arguments of `compose` (`image_preset`, `text_preset`, `class_names`,
            `sequence_length`, …) and of the entry's fusion (`hidden_dim`, …).

    Returns:
        A compiled `TextAssistedClassifier`.

    Raises:
        ValueError: there is no such entry, an argument is unknown or out of its bounds, or a preset
            cannot be loaded.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_efficientnet_bert_gated", num_classes=3, hidden_dim=16)
    >>> model.fusion.hidden_dim
    16
    """
    return spec(name).build(num_classes, **kwargs)
