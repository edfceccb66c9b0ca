"""An exported model that writes, used without Keras."""

from tatl_keras.serving import batches

OUTPUT = "texts"


class LoadedWriter:
    """A SavedModel of a `Captioner` or `Translator`. Made by `serving.load`.

    Args:
        saved_model: what `tf.saved_model.load` returned, with a signature `serving_default` that
            takes one column of strings and gives `texts`.

    Attributes:
        source: "image" for a `Captioner`, "text" for a `Translator`.
        num_return: int, texts for each row.

    Example:

    >>> import tempfile
    >>> from tatl_keras import serving, zoo
    >>> model = zoo.build("test_transformer_translate", seed=1)
    >>> history = model.fit({"text": ["a b c"], "target": ["c b a"]}, verbose=0)
    >>> directory = tempfile.mkdtemp() + "/1"
    >>> model.export(directory)
    >>> writer = serving.load(directory)
    >>> writer.source, writer.generate(["", " "])
    ('text', ['', ''])
    """

    def __init__(self, saved_model):
        self._model = saved_model  # its variables live as long as this
        self._signature = saved_model.signatures["serving_default"]
        ((self._input, _),) = self._signature.structured_input_signature[1].items()
        self.source = self._input.removesuffix("_bytes")
        self.num_return = self._signature.structured_outputs[OUTPUT].shape[-1]

    def generate(self, rows, batch_size=32):
        """Texts about pictures or texts, in their order; arguments and errors as of `answer`.

        Returns:
            List of str, "" where there is nothing to write about; where the model was exported
            with a sampler that returns several texts, a list of lists.
        """
        found = self.answer(rows, batch_size)[OUTPUT]
        texts = [[text.decode() for text in row] for row in found]
        return texts if self.num_return > 1 else [row[0] for row in texts]

    def answer(self, rows, batch_size=32):
        """All that the model gives of pictures or texts, in their order.

        Args:
            rows: sequence of encoded pictures, b"" where there is none; or of str or UTF-8 bytes.
            batch_size: int, rows in one request.

        Returns:
            Dict of arrays: `texts` (B, N) of bytes, `log_probs` and `scores` (B, N), and `valid`
            (B,). See `models.Captioner.export`.

        Raises:
            ValueError: there is no row.
        """
        if not len(rows):
            raise ValueError(
                "`rows` must hold a picture or a text. Received: rows of length 0. "
                "A row without one is empty."
            )
        return batches.ask(self._signature, {self._input: rows}, batch_size)
