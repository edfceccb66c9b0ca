"""What is handed to the model beside features: inputs of encoders that learn."""

import numpy as np
import tensorflow as tf

_ROWS = 256


class Kept:
    """Collects the inputs of encoders that learn, made of raw examples.

    Args:
        modalities: list of "image", "text" or neither.
        preprocessor: a `tatl_keras.data.Preprocessor`; not needed without modalities.
    """

    def __init__(self, modalities, preprocessor):
        self._modalities, self._preprocessor = modalities, preprocessor
        self._waiting, self._done = [], []

    def take(self, x):
        """Notes an example; makes tensors of some at a time."""
        if self._modalities:
            self._waiting.append({m: x.get(m, b"") for m in self._modalities})
        if len(self._waiting) == _ROWS:
            self._make()

    def arrays(self):
        """Dict of arrays of all examples; texts are as long as the longest."""
        if self._waiting:
            self._make()
        names = self._done[0] if self._done else ()
        arrays = {name: np.concatenate([some[name] for some in self._done]) for name in names}
        if "padding_mask" not in arrays:
            return arrays
        # Places that are masked in every row have no effect.
        longest = int(np.max(np.nonzero(arrays["padding_mask"])[1], initial=0)) + 1
        texts = {name: arrays[name][:, :longest] for name in ("token_ids", "padding_mask")}
        return arrays | texts

    def _make(self):
        made = {}
        for modality in self._modalities:
            values = [one[modality] for one in self._waiting]
            if modality == "text":
                made |= self._preprocessor.text_tensors(tf.constant(values))
            else:
                rows = [self._preprocessor.image_tensors(tf.constant(value)) for value in values]
                made |= {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        self._done.append({name: np.asarray(value) for name, value in made.items()})
        self._waiting = []


class GivenTensors:
    """Collects the tensors and features of examples that are not raw.

    Args:
        consumed: names of tensors that are encoded, and so not kept.
    """

    def __init__(self, consumed):
        self._consumed, self._rows = consumed, []

    def take(self, x):
        """Notes an example."""
        kept = {name: value for name, value in x.items() if name not in self._consumed}
        self._rows.append(kept)

    def arrays(self):
        """Dict of arrays of all examples."""
        return {name: np.stack([row[name] for row in self._rows]) for name in self._rows[0]}
