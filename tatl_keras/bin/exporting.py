"""An export from a run: calibrated, replayed, compared, and moved to its place."""

import contextlib
import dataclasses
import os
import shutil
import sys
import tempfile
import types
from typing import Any

import tatl_keras
from tatl_keras.bin import records, trained

_MODELS_CONFIG = "models.config"


@dataclasses.dataclass(frozen=True)
class Validation:
    """Labelled examples that training has not learned from, and what the model says to them.

    Attributes:
        images: list of N bytes.
        texts: list of N bytes.
        labels: ints (N,).
        logits: floats (N, C), the model's own.
    """

    images: list
    texts: list
    labels: Any
    logits: Any


def validation(config, model, batch_size):
    """The `Validation` of a run; `None`, and a line on stderr, where there is none."""
    import numpy as np

    split = config["flags"]["validation_split"]
    missing = None if split or config["smoke"] else "the training had no --validation_split"
    try:
        if missing is None:
            found = trained.load_split(config, split, verify=None, verbose=False, on_bad="skip")
    except FileNotFoundError:
        missing = f"the data is not where it was ({config['flags']['data']})"
    if missing is not None:
        print(
            f"Probabilities are not calibrated, and nothing is replayed: {missing}.",
            file=sys.stderr,
        )
        return None
    rows = [(x["image"], x["text"], int(y)) for x, y in found.as_numpy_iterator()]
    images, texts, labels = (list(column) for column in zip(*rows, strict=True))
    columns = {"image": images, "text": [text.decode() for text in texts]}
    logits = model.predict(columns, batch_size=batch_size, verbose=0)
    return Validation(images, texts, np.array(labels), logits)


def examples(config, count):
    """Some examples of the data, and the same without picture and without text."""
    found = found_or_made_up(config, count, verify=None, verbose=False, on_bad="skip")
    taken = found.take(count).as_numpy_iterator()
    some = [{"image": x["image"], "text": x["text"].decode()} for x, _ in taken]
    return [*some, some[0] | {"image": b""}, some[0] | {"text": ""}]


def found_or_made_up(config, count, **options):
    """The test split of a run; made-up examples, and a line on stderr, where it is gone."""
    try:
        return trained.load_split(config, **options)
    except FileNotFoundError:
        print(
            f"The data is not where it was ({config['flags']['data']}): compared on made-up "
            "examples. --data names it.",
            file=sys.stderr,
        )
        return trained.made_up(records.task_in(config), count)


def described(config):
    """What of a run's `config.json` goes along with its export: no folders of this machine."""
    names = {"workdir", "output", "feature_cache", "data_dir"}
    kept = {
        name: os.path.basename(value) if isinstance(value, str) and os.path.isabs(value) else value
        for name, value in config["flags"].items()
        if name not in names
    }
    data = {
        name: {key: summary[key] for key in ("split", "num_examples", "fingerprint")}
        for name, summary in config["data"].items()
    }
    return {"flags": kept, "data": data, **{key: config[key] for key in ("started", "versions")}}


def is_version(output):
    """Whether a folder is called by a number."""
    return os.path.basename(os.path.normpath(output)).isdecimal()


def export_verified(model, output, examples, validation, *, temperature, lossy, **options):
    """Exports beside `output`, verifies, and renames; a wrong export leaves nothing behind.

    Args:
        model: a `TextAssistedClassifier`.
        output: folder to make, which replaces one that is there; or a folder of versions, which
            gets the next.
        examples: list of dicts with `image` (bytes) and `text` (str).
        validation: `Validation` or `None`.
        temperature: float, of the probabilities.
        lossy: bool, whether the export need not answer as the model does; then a new process must
            answer as it does here.
        **options: further arguments of `model.export`.

    Returns:
        The folder of the export, the largest difference between the probabilities, and a
        `serving.Effect` or `None`.

    Raises:
        ValueError: the export answers something else than the model.
    """
    import tensorflow as tf

    serving = tatl_keras.serving
    with placing(output) as place:
        model.export(place.beside, temperature=temperature, **options)
        loaded = serving.load(place.beside)
        columns = {name: [one[name] for one in examples] for name in ("image", "text")}
        if lossy:
            logits = loaded.answer(*columns.values())["logits"]
        else:
            logits = model.predict(columns, verbose=0)
        probabilities = tf.nn.softmax(logits / temperature).numpy()
        difference = serving.verify(place.beside, examples, probabilities, temperature=temperature)
        effect = None
        if validation is not None:
            answered = loaded.predict(validation.images, validation.texts)
            effect = serving.measure_effect(validation.logits, answered, validation.labels)
            tatl_keras.models.artifact.manifest.add_metrics(
                place.beside, {"validation": effect.to_dict()}
            )
    return place.path, difference, effect


@contextlib.contextmanager
def placing(output):
    """Lets an export be written and verified in a hidden folder, and moves it to its place.

    Args:
        output: folder to make, which replaces one that is there; or a folder of versions, which
            gets the next.

    Yields:
        A namespace: `beside`, the folder to write; once the block is over without an error `path`,
        where it is now. An error leaves nothing behind.
    """
    parent = os.path.dirname(os.path.abspath(output)) if is_version(output) else output
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unverified-", dir=parent) as folder:
        place = types.SimpleNamespace(beside=os.path.join(folder, "export"), path=output)
        yield place
        if not is_version(output):
            version = tatl_keras.serving.publish(place.beside, output)
            place.path = os.path.join(output, str(version))
            return
        if os.path.exists(output):
            shutil.rmtree(output)
        os.rename(place.beside, output)


def prune(base, keep, models_config):
    """Removes old versions but those that a server's `models.config` names.

    Args:
        base: folder of versions.
        keep: int, how many of the newest stay.
        models_config: path, or `None` for the file beside `base`, if there is one.

    Returns:
        The versions that are gone.
    """
    path = models_config or os.path.join(os.path.dirname(base), _MODELS_CONFIG)
    protected = set()
    if models_config or os.path.exists(path):
        protected = tatl_keras.serving.ModelsConfig(path).named(base)
    return tatl_keras.serving.prune(base, keep, protected)
