"""An entry of the zoo that writes, while it is examined."""

import contextlib

import numpy as np

from tatl_keras import data
from tatl_keras.models.targets import source_batches
from tatl_keras.training.proofs import subject
from tatl_keras.training.proofs.subject import Subject, pictures, texts_of
from tatl_keras.zoo.registry import CAPTION

_SPREAD, _LEAST = 2.0, 0.05  # of matrices at work: in parts of what they were, and of that at least


class Writer(Subject):
    """What proofs ask of an entry that writes captions or translations.

    Args:
        name: an entry of the zoo.
        features: folder that keeps features of frozen encoders; entries may share it.
    """

    each, number, numbers = "a text", "log-probability", "log-probabilities"
    bound = 1e-4  # dozens of steps, with large weights, add up what is rounded

    @property
    def signature(self):
        """Of an export, which answers as the model does."""
        return self.spec.task

    @contextlib.contextmanager
    def at_work(self):
        """`model`, while all learned matrices are drawn so large that texts differ and are long.

        What was learned in a few steps writes much the same of everything.
        """
        learned, rng = self.model.trainable_weights, np.random.default_rng(0)
        kept = [weight.numpy() for weight in learned]
        try:
            for weight, values in zip(learned, kept, strict=True):
                weight.assign(_larger(values, rng))
            yield self.model
        finally:
            for weight, values in zip(learned, kept, strict=True):
                weight.assign(values)

    def rows(self):
        """What a model is asked of a few rows: a dict with the column that it reads.

        Rows have a PNG, a JPEG or nothing; or a text, one with accents, or none.
        """
        if self.spec.task == CAPTION:
            return {"image": [*pictures(self.examples), b""]}
        return {"text": [*texts_of(self.examples), ""]}

    def answers(self, model, rows):
        """Dict of arrays: `texts`, `log_probs` and `valid`, as an export gives them."""
        found = model.generate(rows, return_details=True)
        return {
            "texts": np.array([one.text for one in found]),
            "log_probs": np.array([one.log_prob for one in found]),
            "valid": np.array([one.valid for one in found]),
        }

    def served(self, outputs):
        """The same dict, of what an export's signature gives."""
        return {
            "texts": np.array([text.decode() for text in outputs["texts"][:, 0].numpy()]),
            "log_probs": outputs["log_probs"][:, 0].numpy(),
            "valid": outputs["valid"].numpy(),
        }

    def asking(self, model):
        """A function without arguments that has a model write of a batch."""
        size = subject.BATCH_SIZE
        batch = next(iter(source_batches(model, self.examples, size, None, 0)))
        return lambda: model.generate(batch, batch_size=size)

    def _examples(self):
        if self.spec.task == CAPTION:
            return super()._examples()
        return data.synthetic.pairs("reverse", subject.EXAMPLES, seed=0)

    def _built_for(self, counted):
        """No arguments: the largest vocabulary is counted."""
        return {}


def _larger(values, rng):
    """Numbers in place of a matrix, `_SPREAD` times as widely spread; vectors stay as they are."""
    if values.ndim < 2:
        return values
    return rng.normal(0.0, _SPREAD * max(values.std(), _LEAST), values.shape)
