"""An entry of the zoo while it is examined; what several proofs need is made once."""

import concurrent.futures
import contextlib
import functools
import hashlib
import warnings

import keras
import numpy as np
import tensorflow as tf

from tatl_keras import data, zoo
from tatl_keras.encoders.catalog import ARCHITECTURES, LEARNED_TEXT
from tatl_keras.training.proofs.peak_memory import peak_memory

CLASSES, EXAMPLES, BATCH_SIZE = 3, 24, 8
COUNTED_CLASSES = 10  # as `tatl-zoo show` has it
_LEARNING = ("fusion", "head", "decoder", "backward_decoder")


class ProofError(Exception):
    """A proof has failed; the text says why."""


class NotCheckedError(Exception):
    """A proof cannot be done here; the text says what it needs."""


class Subject:
    """What proofs ask of an entry that classifies; `Writer` is one that writes.

    Args:
        name: an entry of the zoo.
        features: folder that keeps features of frozen encoders; entries may share it.

    Attributes:
        signature: of an export, which answers as the model does.
        each, number, numbers: words for one answer, a number in it, and several of them.
        bound: how far such numbers may differ, in parts of the largest.
    """

    signature = "serving_default"
    each, number, numbers = "an example", "logit", "logits"
    bound = 1e-5

    def __init__(self, name, features):
        self.name, self.spec, self.features = name, zoo.spec(name), features
        self.examples = self._examples()

    @property
    def weights(self):
        """Dict from "image", "text" or both to "learned", "carried", "test", "random" or "own"."""
        named = {"image": self.spec.image, "text": self.spec.text}
        return {modality: _weights_of(name) for modality, name in named.items() if name}

    def build(self, *, seed=0, replaced=("random",), counted=False, **options):
        """The entry for three classes, with its numbers drawn anew.

        Args:
            seed: int, of all that is random.
            replaced: which kinds of `weights` are random here.
            counted: whether it is for ten classes, as where parameters are counted.
            **options: as the entry takes them.
        """
        for modality, kind in self.weights.items():
            if kind in replaced:
                options[f"{modality}_preset"] = None
        keras.utils.set_random_seed(seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*random weights")
            return zoo.build(self.name, seed=seed, **self._built_for(counted) | options)

    def ask_weightless(self, question):
        """`question(model)` of a model of ten classes that has shapes and no values.

        It takes no memory, however large the model is. All happens in a thread of its own: Keras
        keeps a list, by thread, of the variables that have yet to get values, and would go on to
        give them some.
        """

        def answer():
            with keras.StatelessScope(initialize_variables=False):
                kinds = ("random", "carried", "test")
                return question(self.build(replaced=kinds, compile=False, counted=True))

        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(answer).result()

    @functools.cached_property
    def model(self):
        """The entry with seed 0 after some steps on raw examples.

        `before` holds the digests of its parts before them, `memory` what a step takes besides:
        as far as this process did not hold it already, so that it is the least that it can be.
        """
        model = self.build()
        self.before = digests(model)
        fit = functools.partial(self.fit, model, feature_cache=None)
        fit(batch_size=1)  # tracing takes memory, too
        self.memory = peak_memory(fit)
        return model

    @contextlib.contextmanager
    def at_work(self):
        """`model`, such that its answers differ from row to row."""
        yield self.model

    def fit(self, model, **options):
        """Trains for an epoch; with the features of frozen encoders unless these are tiny."""
        large = {"carried", "random", "own"} & set(self.weights.values())
        usual = {"batch_size": BATCH_SIZE, "feature_cache": self.features if large else None}
        model.fit(self.examples, verbose=0, **usual | options)
        return model

    def rows(self):
        """What a model is asked of a few rows: a dict of columns.

        Rows have a PNG or a JPEG and a text, one of them, a text with accents, or nothing.
        """
        images, texts = pictures(self.examples), texts_of(self.examples)
        images[2], texts[3] = b"", ""
        return {"image": [*images, b""], "text": [*texts, ""]}

    def answers(self, model, rows):
        """Dict of arrays with what a model says of `rows`."""
        return {"logits": model.predict(rows, verbose=0)}

    def served(self, outputs):
        """The same dict, of what an export's signature gives."""
        return {"logits": outputs["logits"].numpy()}

    def asking(self, model):
        """A function without arguments that has a model answer a batch."""
        batch = next(iter(model.preprocessor.dataset(
            self.examples, BATCH_SIZE, False, None, [*model.encoders]
        )))[0]  # fmt: skip
        return lambda: model.predict_on_batch(batch)

    def _examples(self):
        return data.synthetic.examples(CLASSES, EXAMPLES, seed=0)

    def _built_for(self, counted):
        """Arguments of the entry with its classes; those that are counted have no texts."""
        if not counted:
            names = self.examples.class_names
            return {"num_classes": len(names), "class_names": names}
        names = [str(index) for index in range(COUNTED_CLASSES)]
        texts = {} if self.spec.text is None else {"class_texts": None}
        return {"num_classes": len(names), "class_names": names} | texts


def encoders_of(model):
    """Dict from "image" or "text" to the encoder, be it one that reads nothing but class texts."""
    found = {name: getattr(model, f"{name}_encoder", None) for name in ("image", "text")}
    return {name: encoder for name, encoder in found.items() if encoder is not None}


def behind(model):
    """Dict from name to each part of a model behind its encoders: these parts learn."""
    found = {name: getattr(model, name, None) for name in _LEARNING}
    return {name: part for name, part in found.items() if part is not None}


def digests(model):
    """Dict from each part of a model to a SHA-256 of its weights, statistics among them."""
    parts = dict(model.encoders) | behind(model)
    return {name: digest(part.weights) for name, part in parts.items() if part.weights}


def digest(weights):
    """SHA-256 (hex) of the values of weights, in their order."""
    total = hashlib.sha256()
    for weight in weights:
        total.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return total.hexdigest()


def pictures(examples):
    """The encoded pictures of five examples, the second one as a JPEG."""
    images = [x["image"].numpy() for x in _few(examples)]
    images[1] = tf.io.encode_jpeg(tf.io.decode_png(images[1], 3)).numpy()
    return images


def texts_of(examples):
    """The texts of five examples, none empty, the last one with accents."""
    texts = [x["text"].numpy().decode() or "a red cross" for x in _few(examples)]
    texts[4] = "Blåbærgrød, ça va? 東京"
    return texts


def _few(examples):
    return [x[0] if isinstance(x, tuple) else x for x in examples.take(5)]


def _weights_of(name):
    """What the weights of an encoder are here, in a word."""
    if name not in ARCHITECTURES:
        return "learned" if name in LEARNED_TEXT else "own"
    architecture = ARCHITECTURES[name]
    if architecture.learned:
        return "learned"
    if architecture.seed is not None:
        return "test"
    return "carried" if architecture.folder else "random"
