"""The names of the classes, beside the SavedModel."""

import json
import os

from tatl_keras._files import write_whole

CLASS_NAMES = "class_names.json"


def served_class_names(model):
    """What a server calls the classes, in the order of the probabilities.

    Args:
        model: a `TextAssistedClassifier`.

    Returns:
        List of str: `model.class_names`, or "0", "1", … where it has none.
    """
    return model.class_names or [str(label) for label in range(model.num_classes)]


def write_class_names(directory, model):
    """Writes `class_names.json`, a JSON list in the order of the probabilities.

    Args:
        directory: the folder with `saved_model.pb`.
        model: the `TextAssistedClassifier` that was exported.

    Example:

    >>> import tempfile, types
    >>> directory = tempfile.mkdtemp()
    >>> write_class_names(directory, types.SimpleNamespace(class_names=None, num_classes=2))
    >>> open(os.path.join(directory, CLASS_NAMES)).read().split()
    ['[', '"0",', '"1"', ']']
    """
    text = json.dumps(served_class_names(model), indent=2, ensure_ascii=False) + "\n"
    write_whole(os.path.join(directory, CLASS_NAMES), text.encode())
