"""An exported model, used without Keras."""

import os

import tensorflow as tf
import tensorflow_text as _tensorflow_text  # noqa: F401  (registers the ops of tokenizers)

from tatl_keras.serving import batches, loaded_writer

_SIGNATURE, _WITH_TEXTS = "serving_default", "classify_with_texts"
_INPUTS = {"image_bytes", "text"}
_OUTPUT = "probabilities"


def load(directory):
    """Loads a SavedModel that `model.export` wrote.

    Args:
        directory: the folder with `saved_model.pb`.

    Returns:
        A `LoadedModel`; a `LoadedWriter` of a `Captioner` or `Translator`.

    Raises:
        FileNotFoundError: there is no SavedModel in `directory`.
        ValueError: it has no signature `serving_default` with these inputs and outputs.

    Example:

    >>> import tempfile
    >>> from tatl_keras import serving, zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> directory = tempfile.mkdtemp() + "/1"
    >>> model.export(directory)
    >>> serving.load(directory).predict([b"", b""], ["a cat", "a dog"])
    array([[0., 0.],
           [0., 0.]], dtype=float32)
    """
    model = read_saved_model(directory)
    if writes(model):
        return loaded_writer.LoadedWriter(model)
    return LoadedModel(model, os.fspath(directory))


def load_classifier(directory):
    """As `load`, but a ValueError for a model that writes."""
    model = load(directory)
    if isinstance(model, loaded_writer.LoadedWriter):
        raise ValueError(
            "`directory` must hold a model that classifies. Received: directory="
            f"{os.fspath(directory)!r} with one that writes texts. "
            "serving.load(directory).generate asks it."
        )
    return model


def writes(saved_model):
    """Whether what `tf.saved_model.load` returned is the export of a model that writes."""
    signature = getattr(saved_model, "signatures", {}).get(_SIGNATURE)
    if signature is None or loaded_writer.OUTPUT not in signature.structured_outputs:
        return False
    return [*signature.structured_input_signature[1]] in (["image_bytes"], ["text"])


def read_saved_model(directory):
    """What `tf.saved_model.load` makes of a folder; a FileNotFoundError where there is nothing."""
    directory = os.fspath(directory)
    if not os.path.isfile(os.path.join(directory, "saved_model.pb")):
        raise FileNotFoundError(
            "`directory` must hold a SavedModel (saved_model.pb). "
            f"Received: directory={directory!r}. It is the numbered folder, as in pets/1."
        )
    return tf.saved_model.load(directory)


class LoadedModel:
    """A SavedModel of this library, with NumPy arrays at both ends. Made by `load`.

    Args:
        saved_model: what `tf.saved_model.load` returned.
        directory: where it came from, for messages.

    Raises:
        ValueError: see `load`.

    Example: see `load`.

    >>> LoadedModel(tf.Module(), "pets/1")
    Traceback (most recent call last):
    ValueError: `directory` must hold a model with the signature 'serving_default' that takes ...
    """

    def __init__(self, saved_model, directory):
        signature = getattr(saved_model, "signatures", {}).get(_SIGNATURE)
        inputs = set() if signature is None else set(signature.structured_input_signature[1])
        if inputs != _INPUTS or _OUTPUT not in signature.structured_outputs:
            raise ValueError(
                f"`directory` must hold a model with the signature {_SIGNATURE!r} that takes "
                f"{sorted(_INPUTS)} and gives {_OUTPUT!r}. Received: directory={directory!r} with "
                f"inputs {sorted(inputs)}"
            )
        self._model = saved_model  # its variables live as long as this
        self._signature = signature
        self.num_classes = signature.structured_outputs[_OUTPUT].shape[-1]

    @property
    def class_names(self):
        """List of str in the order of the probabilities, or `None` where the model has none."""
        names = getattr(self._model, "class_names", None)
        return None if names is None else [name.decode() for name in names().numpy()]

    def predict(self, image_bytes, texts, batch_size=32):
        """Probabilities of raw examples, in their order; zeros where `answer` says `valid` = False.

        Arguments and errors as of `answer`.

        Returns:
            A float32 array (number of examples, num_classes).
        """
        return self.answer(image_bytes, texts, batch_size)[_OUTPUT]

    def answer(self, image_bytes, texts, batch_size=32):
        """All that the model gives of raw examples, in their order.

        Args:
            image_bytes: sequence of encoded pictures, b"" where there is none.
            texts: sequence of str or UTF-8 bytes, "" where there is none.
            batch_size: int, examples in one request.

        Returns:
            Dict from output to array: `probabilities`, `logits`, `label` and `evidence` (both of
            bytes) and `valid`: false where the model could read nothing of the example, neither
            picture nor text. See `models.TextAssistedClassifier.export`.

        Raises:
            ValueError: there is no example, or the sequences are not equally long.
        """
        return self._ask(self._signature, image_bytes, texts, batch_size)

    def classify_with_texts(self, image_bytes, texts, class_texts, batch_size=32):
        """What the model gives of raw examples among classes that are described now.

        Args:
            image_bytes, texts, batch_size: see `answer`.
            class_texts: list with a text, or a list of texts, for each class.

        Returns:
            As `answer`, `probabilities` and `logits` (number of examples, number of classes), and
            `label` the first text of the most probable class.

        Raises:
            ValueError: as `answer`; a class has no text; the model's head is not made of class
                texts.
        """
        signature = self._model.signatures.get(_WITH_TEXTS)
        if signature is None:
            raise ValueError(
                "`class_texts` must go to a model whose head is made of class texts. Received: a "
                f"model with signatures {sorted(self._model.signatures)}. Build it with "
                'head="class_texts".'
            )
        more = {"class_texts": tf.constant([class_text_table(class_texts)], tf.string)}
        return self._ask(signature, image_bytes, texts, batch_size, **more)

    @staticmethod
    def _ask(signature, image_bytes, texts, batch_size, **more):
        if len(image_bytes) != len(texts) or not len(texts):
            raise ValueError(
                "`image_bytes` and `texts` must be equally long and not empty. "
                f"Received: {len(image_bytes)} pictures, {len(texts)} texts"
            )
        columns = {"image_bytes": image_bytes, "text": texts}
        return batches.ask(signature, columns, batch_size, **more)


def class_text_table(class_texts):
    """Texts of classes as lists of one length, filled up with "".

    Raises:
        ValueError: there is no class, or one has no text or a blank one.
    """
    classes = [[some] if isinstance(some, str) else list(some) for some in class_texts]
    if not classes or not all(some and all(text.strip() for text in some) for some in classes):
        raise ValueError(
            "`class_texts` must hold a text, or texts, for each class, none of them blank. "
            f"Received: class_texts={class_texts!r}"
        )
    longest = max(map(len, classes))
    return [some + [""] * (longest - len(some)) for some in classes]
